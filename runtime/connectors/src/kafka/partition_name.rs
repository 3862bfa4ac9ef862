//! Names of partitions, as the engine and people see them: `topic/7`.

use std::fmt;

/// A partition of a topic. Partitions are in the order of their numbers, not of their digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PartitionName {
    pub(crate) topic: String,
    pub(crate) number: i32,
}

impl PartitionName {
    pub(crate) fn new(topic: &str, number: i32) -> Self {
        Self { topic: topic.to_owned(), number }
    }

    /// From its text; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Topics have no slash in their names.
        let (topic, number) = text.split_once('/')?;
        let parsed = Self::new(topic, number.parse().ok()?);
        (parsed.to_string() == text && parsed.number >= 0).then_some(parsed)
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_one() {
        assert_eq!(PartitionName::parse("events.eu/12"), Some(PartitionName::new("events.eu", 12)));
        for text in ["events", "events/", "events/01", "events/-1", "events/+1", "a/b/1", "/x"] {
            assert_eq!(PartitionName::parse(text), None, "{text}");
        }
    }
}
