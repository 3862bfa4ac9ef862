//! Who belongs to a consumer group, and what each member owns: as its coordinator tells it.

use super::membership::OwnedPartition;
use super::{Connection, Context, Properties};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ports::PortError;

/// How long the cluster may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A group, looked at from outside.
pub struct Group {
    consumer: BaseConsumer<Context>,
    connection: Arc<Connection>,
    group: String,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// What it calls itself.
    pub name: String,
    /// Where it is.
    pub host: String,
    /// What it owns, sorted; empty while the group is being shared out anew.
    pub partitions: Vec<OwnedPartition>,
}

impl Group {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// [`PortError::Stop`] for properties that are wrong.
    pub fn new(brokers: &[String], properties: &Properties, group: &str) -> Result<Self, PortError> {
        let (config, secrets) = properties.client(brokers)?;
        let connection = Connection::new("cluster", secrets);
        let consumer = config.create_with_context(Context(Arc::clone(&connection)));
        let consumer = consumer.map_err(|error| PortError::Stop(connection.secrets().refused(&error)))?;
        Ok(Self { consumer, connection, group: group.to_owned() })
    }

    /// The members, by name.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub fn members(&self) -> Result<Vec<Member>, PortError> {
        // Errors that concern the connection are told in here.
        let _ = self.consumer.poll(Duration::ZERO);
        let listed = self.consumer.fetch_group_list(Some(&self.group), ANSWER_WITHIN);
        let listed = listed.map_err(|error| self.connection.error("ask who belongs to the group of nodes", &error))?;
        let members = listed.groups().iter().flat_map(|group| group.members()).map(|member| {
            let mut partitions = member.assignment().and_then(parse).unwrap_or_default();
            partitions.sort_unstable();
            Member { name: member.client_id().to_owned(), host: member.client_host().to_owned(), partitions }
        });
        let mut members: Vec<Member> = members.collect();
        members.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(members)
    }
}

/// What a member owns, in the consumer protocol's form: a version, then topics with their partitions.
fn parse(mut bytes: &[u8]) -> Option<Vec<OwnedPartition>> {
    let rest = &mut bytes;
    take::<2>(rest)?;
    let mut partitions = Vec::new();
    for _ in 0..i32::from_be_bytes(take(rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(rest)?)).ok()?;
        let topic = std::str::from_utf8(rest.split_off(..length)?).ok()?;
        for _ in 0..i32::from_be_bytes(take(rest)?) {
            partitions.push((topic.to_owned(), i32::from_be_bytes(take(rest)?)));
        }
    }
    Some(partitions)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_owns_is_read() {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 2];
        bytes.extend_from_slice(b"ev");
        bytes.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 255, 255, 255, 255]);
        let expected = vec![("ev".to_owned(), 3), ("ev".to_owned(), 0)];
        assert_eq!(parse(&bytes), Some(expected));
        assert_eq!(parse(&bytes[..20]), None);
        assert_eq!(parse(&[0, 1, 0, 0, 0, 0]), Some(Vec::new()));
    }
}
