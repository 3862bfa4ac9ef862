//! What the Kafka source and the Kafka sink share: properties, connections and what errors mean.

mod connection;
mod error;
mod properties;
mod topic_writer;

pub use properties::Properties;
pub use topic_writer::TopicWriter;

pub(crate) use connection::{Connection, Context};
pub(crate) use error::{Verdict, advice, code_of};
pub(crate) use properties::Owned;

/// Whether a topic can have this name.
pub(crate) fn is_topic_name(text: &str) -> bool {
    let fits = (1..=249).contains(&text.len()) && text != "." && text != "..";
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
