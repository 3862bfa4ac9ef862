//! The handle of an epoch: what its prepare left in the outbox folder, and what recovery needs to know to publish it.

use super::outbox::Content;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// The format that this version writes.
const FORMAT: u32 = 1;

/// The outbox of the running epoch.
pub(super) const OPEN: &str = "open.outbox";

/// What publishing an epoch needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    format: u32,
    pub(super) epoch: Epoch,
    pub(super) content: Content,
    /// The topic on whose first partition the epoch's marker is kept. Fixed here, since settings may change before the
    /// epoch is published.
    pub(super) marker_topic: String,
    /// How far the source was read, to be committed for its group in the same transaction.
    pub(super) positions: Vec<Position>,
    /// How far event time has come, to be told to the readers of the cleansed events.
    #[serde(default)]
    pub(super) marks: Option<Marks>,
    /// The same for the readers of the exchange.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) exchange: Vec<Marks>,
}

/// A record without a value for each partition of `topic`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    pub(super) topic: String,
    /// Milliseconds since 1970; `i64::MIN` where there is no watermark yet.
    pub(super) watermark_ms: i64,
    /// Who says so, where several write the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writer: Option<MarkWriter>,
}

/// One of several writers of a topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkWriter {
    /// The topic that it reads.
    pub(super) family: String,
    /// The partition of it that it reads.
    pub(super) writer: u32,
    /// How many partitions there are.
    pub(super) writers: u32,
    /// Whether it has nothing to write for now.
    pub(super) idle: bool,
}

/// How far a partition of the source was read: topic, partition and the offset that comes next.
pub type Position = (String, i32, i64);

impl Handle {
    pub(super) fn new(
        epoch: Epoch,
        content: Content,
        marker_topic: String,
        positions: Vec<Position>,
        marks: Option<Marks>,
        exchange: Vec<Marks>,
    ) -> Self {
        Self { format: FORMAT, epoch, content, marker_topic, positions, marks, exchange }
    }

    /// Whether there is nothing to publish.
    pub(super) fn is_empty(&self) -> bool {
        let is_silent = self.marks.is_none() && self.exchange.is_empty();
        self.content.records == 0 && self.positions.is_empty() && is_silent
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a handle holds only texts and numbers")
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PortError> {
        let stop = |detail: String| PortError::Stop(format!("the Kafka sink's handle in state {detail}"));
        let handle: Self = serde_json::from_slice(bytes).map_err(|error| stop(format!("cannot be read: {error}")))?;
        if handle.format != FORMAT {
            return Err(stop(format!("has format {}: use the version of this program that wrote it", handle.format)));
        }
        Ok(handle)
    }
}

/// Where the outbox of `epoch` waits to be published.
pub(super) fn outbox_path(folder: &Path, epoch: Epoch) -> PathBuf {
    folder.join(outbox_name(epoch))
}

fn outbox_name(epoch: Epoch) -> String {
    format!("e{:012}.outbox", epoch.0)
}

/// The epoch of an outbox, by its name.
pub(super) fn epoch_of(name: &str) -> Option<Epoch> {
    let epoch = Epoch(name.strip_prefix('e')?.strip_suffix(".outbox")?.parse().ok()?);
    (outbox_name(epoch) == name).then_some(epoch)
}
