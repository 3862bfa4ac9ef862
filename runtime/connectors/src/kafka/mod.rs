//! What the Kafka source and the Kafka sink share: properties, connections, names and what errors mean.

mod brief;
mod connection;
mod error;
mod members;
mod membership;
mod partition_name;
mod properties;
mod topic_writer;

pub use brief::wait_for_clients;
pub use members::{Group, Member};
pub use membership::{Membership, MembershipSettings, OwnedPartition, Owner};
pub use properties::Properties;
pub use topic_writer::TopicWriter;

pub(crate) use brief::Brief;
pub(crate) use connection::{Connection, Context};
pub(crate) use error::{Verdict, advice, code_of};
pub(crate) use partition_name::PartitionName;
pub(crate) use properties::Owned;

/// A header of cleansed events: what lookup tables added, as JSON by `table.field`.
pub(crate) const ENRICHMENT_HEADER: &str = "tidemark-enrichment";

/// The header of a record without a value that says how far event time has come: milliseconds since 1970, in digits.
pub(crate) const WATERMARK_HEADER: &str = "tidemark-watermark";

/// The header of such a record that says who writes it, where several do: what it reads, which partition of it, of how
/// many, as in `events/3/8`; behind them `/idle` if it has nothing to write for now.
pub(crate) const WRITER_HEADER: &str = "tidemark-writer";

/// Whether a topic can have this name.
pub(crate) fn is_topic_name(text: &str) -> bool {
    let fits = (1..=249).contains(&text.len()) && text != "." && text != "..";
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
