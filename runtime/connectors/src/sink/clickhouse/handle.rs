//! The handle of an epoch: the blocks that wait in the outbox, in the order in which they were closed.

use super::outbox::BlockFile;
use crate::durable::Fingerprint;
use serde::{Deserialize, Serialize};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// The format that this version writes.
const FORMAT: u32 = 1;

/// What finalising an epoch needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    format: u32,
    pub(super) epoch: Epoch,
    pub(super) blocks: Vec<Block>,
}

/// A block: one insert.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    pub(super) table: BlockTable,
    pub(super) rows: u64,
    pub(super) content: Fingerprint,
}

/// Whose rows a block has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BlockTable {
    Events,
    DeadLetters,
    Metric(String),
}

impl From<&TableKind> for BlockTable {
    fn from(kind: &TableKind) -> Self {
        match kind {
            TableKind::Events => Self::Events,
            TableKind::DeadLetters => Self::DeadLetters,
            TableKind::Metric(name) => Self::Metric(name.clone()),
        }
    }
}

impl BlockTable {
    pub(super) fn kind(&self) -> TableKind {
        match self {
            Self::Events => TableKind::Events,
            Self::DeadLetters => TableKind::DeadLetters,
            Self::Metric(name) => TableKind::Metric(name.clone()),
        }
    }
}

impl Handle {
    pub(super) fn new(epoch: Epoch, files: &[BlockFile]) -> Self {
        let blocks = files.iter().map(|file| Block {
            table: BlockTable::from(&file.kind),
            rows: file.rows,
            content: file.content.clone(),
        });
        Self { format: FORMAT, epoch, blocks: blocks.collect() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a handle holds only texts and numbers")
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PortError> {
        let stop = |detail: String| PortError::Stop(format!("the ClickHouse sink's handle in state {detail}"));
        let handle: Self = serde_json::from_slice(bytes).map_err(|error| stop(format!("cannot be read: {error}")))?;
        if handle.format != FORMAT {
            return Err(stop(format!("has format {}: use the version of this program that wrote it", handle.format)));
        }
        Ok(handle)
    }
}
