//! Picks by event time: which value a group had first or last, whatever the order in which its rows arrive.

use crate::state::{Malformed, Reader, State};

/// Keeps the earliest moment that it is given.
///
/// ```
/// # use tidemark_metric::keep_earliest;
/// let mut first_ms = None;
/// [30, 10, 20].into_iter().for_each(|time_ms| keep_earliest(&mut first_ms, time_ms));
/// assert_eq!(first_ms, Some(10));
/// ```
pub fn keep_earliest(kept_ms: &mut Option<i64>, event_time_ms: i64) {
    *kept_ms = Some(kept_ms.map_or(event_time_ms, |kept_ms| kept_ms.min(event_time_ms)));
}

/// The text with the earliest time, of those that are not empty; of one moment the least text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EarliestText(Option<(i64, String)>);

impl EarliestText {
    /// Takes `text` if it is earlier. No memory is needed for one that is not.
    pub fn offer(&mut self, event_time_ms: i64, text: Option<&str>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.0.as_ref().is_none_or(|(time, kept)| (event_time_ms, text) < (*time, kept.as_str())) {
            self.0 = Some((event_time_ms, text.to_owned()));
        }
    }

    /// Takes the text of `other` if it is earlier.
    pub fn merge(&mut self, other: Self) {
        if other.0.is_some() && (self.0.is_none() || other.0 < self.0) {
            *self = other;
        }
    }

    /// The text, if it is not later than `event_time_ms`.
    #[must_use]
    pub fn until(&self, event_time_ms: i64) -> Option<&str> {
        self.0.as_ref().filter(|(time, _)| *time <= event_time_ms).map(|(_, text)| text.as_str())
    }
}

/// The text with the latest time, of those that are not empty; of one moment the greatest text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LatestText(Option<(i64, String)>);

impl LatestText {
    /// Takes `text` if it is later. A text that is the same as before needs no memory.
    pub fn offer(&mut self, event_time_ms: i64, text: Option<&str>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        match &mut self.0 {
            Some((time, kept)) if (event_time_ms, text) > (*time, kept.as_str()) => {
                *time = event_time_ms;
                if kept != text {
                    text.clone_into(kept);
                }
            }
            Some(_) => {}
            None => self.0 = Some((event_time_ms, text.to_owned())),
        }
    }

    /// Takes the text of `other` if it is later.
    pub fn merge(&mut self, other: Self) {
        if other.0 > self.0 {
            *self = other;
        }
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, text)| text.as_str())
    }
}

/// As the `Option` of a pair of time and text.
macro_rules! state {
    ($type:ident) => {
        impl State for $type {
            fn encode(&self, bytes: &mut Vec<u8>) {
                self.0.encode(bytes);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                State::decode(reader).map(Self)
            }
        }
    };
}

state!(EarliestText);
state!(LatestText);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_arrival_decides_nothing() {
        let offers = [(2, Some("b")), (1, Some("")), (1, None), (2, Some("a")), (3, Some("c")), (3, Some("d"))];
        for rotation in 0..offers.len() {
            let (mut earliest, mut latest) = (EarliestText::default(), LatestText::default());
            for (time, text) in offers.iter().cycle().skip(rotation).take(offers.len()) {
                earliest.offer(*time, *text);
                latest.offer(*time, *text);
            }
            assert_eq!((earliest.until(2), earliest.until(1), latest.get()), (Some("a"), None, Some("d")));
        }
    }

    #[test]
    fn the_earlier_one_of_two_wins() {
        let (mut early, mut late) = (EarliestText::default(), EarliestText::default());
        early.offer(1, Some("z"));
        late.offer(2, Some("a"));
        late.merge(early.clone());
        assert_eq!(late, early);
        early.merge(EarliestText::default());
        assert_eq!(early.until(1), Some("z"));
        let mut empty = EarliestText::default();
        empty.merge(early.clone());
        assert_eq!(empty, early);
    }

    #[test]
    fn the_later_one_of_two_wins() {
        let (mut early, mut late) = (LatestText::default(), LatestText::default());
        early.offer(1, Some("z"));
        late.offer(2, Some("a"));
        early.merge(late.clone());
        assert_eq!(early.get(), Some("a"));
        late.merge(LatestText::default());
        assert_eq!(late.get(), Some("a"));
    }
}
