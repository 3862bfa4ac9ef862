//! What the Kafka source and the Kafka sink share: properties, connections and what errors mean.

mod connection;
mod error;
mod properties;

pub use properties::Properties;

pub(crate) use connection::{Connection, Context};
pub(crate) use error::{Verdict, advice, code_of};
pub(crate) use properties::{Owned, Secrets};
