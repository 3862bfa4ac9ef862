//! What a job knows of itself besides keyed state: committed with every epoch under one key.

use crate::drain::Drain;
use crate::ids::{Epoch, Offset, StageId, Tick};
use crate::ports::{CommittedState, PortError, StateBackend};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidemark_dataflow::EventTime;
use tidemark_dataflow::watermark::{Activity, PartitionProgress, Watermarks};

const KEY: &[u8] = b"progress";
const FORMAT: u32 = 1;

/// The committed progress of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    format: u32,
    /// Fixed when the job was created.
    pub key_groups: u16,
    /// The last committed epoch.
    pub epoch: Epoch,
    /// The last tick in it.
    pub tick: Tick,
    /// Source partitions by place.
    pub partitions: Vec<PartitionState>,
    /// Merged watermark in ms.
    pub watermark: i64,
    /// Which partition is asked first for the next tick.
    pub next_partition: usize,
    /// Metrics that were ever part of the job.
    pub stages: BTreeMap<String, StageId>,
    /// Digests of the modules that were ever part of it, in the order in which states refer to them.
    pub modules: Vec<String>,
    /// Input columns of each join, as JSON: what its waiting rows are encoded by.
    #[serde(default)]
    pub joins: BTreeMap<String, String>,
    /// Poison groups held against each metric's budget, with the digest they were made by.
    pub poison: BTreeMap<String, (String, u32)>,
    /// How far the end of time is approached, once the source has ended.
    #[serde(default)]
    pub drain: Option<Drain>,
    /// Whether the source has ended and everything was emitted.
    pub finished: bool,
}

/// One source partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionState {
    /// Its name.
    pub name: String,
    /// Where reading goes on.
    pub position: Offset,
    /// Greatest event time seen, in ms.
    pub max_seen: i64,
    /// `active`, `idle` or `ended`.
    pub activity: String,
}

impl Progress {
    /// Of a job that has not begun.
    #[must_use]
    pub fn new(key_groups: u16) -> Self {
        Self {
            format: FORMAT,
            key_groups,
            epoch: Epoch(0),
            tick: Tick(0),
            partitions: Vec::new(),
            watermark: EventTime::MIN.0,
            next_partition: 0,
            stages: BTreeMap::new(),
            modules: Vec::new(),
            joins: BTreeMap::new(),
            poison: BTreeMap::new(),
            drain: None,
            finished: false,
        }
    }

    /// What was committed; `None` if nothing ever was.
    pub fn load(state: &dyn StateBackend) -> Result<Option<Self>, PortError> {
        state.meta(KEY)?.map(|value| Self::read(&value)).transpose()
    }

    /// The same, from another thread.
    pub fn of_committed(state: &dyn CommittedState) -> Result<Option<Self>, PortError> {
        state.meta(KEY)?.map(|value| Self::read(&value)).transpose()
    }

    fn read(value: &[u8]) -> Result<Self, PortError> {
        let progress: Self = serde_json::from_slice(value).map_err(|error| {
            PortError::Stop(format!("the job's progress can't be read ({error}): restore the newest checkpoint"))
        })?;
        if progress.format != FORMAT {
            let found = progress.format;
            return Err(PortError::Stop(format!(
                "the state has format {found}, this version reads {FORMAT}: use the version that wrote it"
            )));
        }
        Ok(progress)
    }

    /// As a meta entry.
    pub(crate) fn entry(&self) -> (Vec<u8>, Vec<u8>) {
        (KEY.to_vec(), serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn watermarks(&self, bound_ms: i64) -> Watermarks {
        let partitions = self.partitions.iter().map(|partition| PartitionProgress {
            max_seen: EventTime(partition.max_seen),
            activity: match partition.activity.as_str() {
                "idle" => Activity::Idle,
                "ended" => Activity::Ended,
                _ => Activity::Active,
            },
        });
        Watermarks::restore(bound_ms, partitions.collect(), EventTime(self.watermark))
    }

    pub(crate) fn keep_watermarks(&mut self, watermarks: &Watermarks) {
        self.watermark = watermarks.current().0;
        for (partition, progress) in self.partitions.iter_mut().zip(watermarks.partitions()) {
            partition.max_seen = progress.max_seen.0;
            partition.activity = match progress.activity {
                Activity::Active => "active",
                Activity::Idle => "idle",
                Activity::Ended => "ended",
            }
            .to_owned();
        }
    }
}
