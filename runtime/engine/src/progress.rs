//! What a job knows of itself besides keyed state: committed with every epoch under one key.

use crate::deployment::Deployment;
use crate::descriptor::OutputColumn;
use crate::drain::Drain;
use crate::ids::{Epoch, Offset, StageId, Tick};
use crate::ports::{CommittedState, PortError, StateBackend};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidemark_dataflow::EventTime;
use tidemark_dataflow::watermark::{Activity, Family, PartitionProgress, Watermarks, Writers};

const KEY: &[u8] = b"progress";
const FORMAT: u32 = 2;

/// The committed progress of a job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
    /// Greatest event time, in ms, of all that a metric can have read: of events, which may be ahead of what moves the
    /// watermark, and of rows of a metric that another one reads, which a window may emit before its end.
    pub newest_seen: i64,
    /// Which partition is asked first for the next tick.
    pub next_partition: usize,
    /// Metrics that are deployed, paused ones included, by name.
    pub metrics: BTreeMap<String, Deployment>,
    /// What runs: one stage per metric, and one for each earlier version that still has open windows.
    pub stages: Vec<StageRecord>,
    /// Columns of each metric's table: those of every version that it has had since it was deployed first.
    pub columns: BTreeMap<String, Vec<OutputColumn>>,
    /// What each metric was before, the newest last: what it can be rolled back to.
    pub history: BTreeMap<String, Vec<Deployment>>,
    /// The id of the next stage: none is ever used again.
    pub next_stage: u16,
    /// Digests of the modules that were ever part of it, in the order in which states refer to them.
    pub modules: Vec<String>,
    /// Poison groups held against each stage's budget, with the digest they were made by.
    pub poison: BTreeMap<StageId, (String, u32)>,
    /// How far the end of time is approached, once the source has ended.
    #[serde(default)]
    pub drain: Option<Drain>,
    /// Whether the source has ended and everything was emitted.
    pub finished: bool,
}

/// One stage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name in state.
    pub id: StageId,
    /// The metric that it runs.
    pub deployment: Deployment,
    /// It takes windows that start here, in ms of event time, or later: those of which it sees every row.
    pub from: i64,
    /// Another version has taken over: it takes windows that start before this, and ends with them. A stage of sessions
    /// takes the rows of keys that had an open one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The first epoch of whose rows it is made. Of sessions, keys and joins it is that of the first version, since later ones
    /// go on with what that has seen.
    pub begun: Epoch,
    /// It has not read the past that it begins with: it takes nothing of what comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// It read the last of its past in the epoch of this progress, whose rows may have taken the place of others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arriving: bool,
}

impl StageRecord {
    /// Whether rows that it makes of the past may have ids that rows of another version have.
    #[must_use]
    pub const fn repeats_rows(&self) -> bool {
        self.past.is_some() || self.arriving
    }
}

/// How far a stage has read the past.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Past {
    /// The next epoch.
    pub next: Epoch,
    /// Greatest event time of each partition so far, in ms.
    pub max_seen: BTreeMap<String, i64>,
    /// The watermark that follows, in ms.
    pub watermark: i64,
}

impl Past {
    /// From `next` on.
    #[must_use]
    pub fn from(next: Epoch) -> Self {
        Self { next, max_seen: BTreeMap::new(), watermark: EventTime::MIN.0 }
    }
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
    /// Of a partition that several write: what each said last, by what the writers read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writers: BTreeMap<String, FamilyState>,
}

/// The writers of a partition that read one topic.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FamilyState {
    /// How many there are; 0 while none was heard of.
    pub count: u32,
    /// The watermark of each that was heard of, in ms, and whether it is idle.
    pub said: BTreeMap<u32, (i64, bool)>,
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
            newest_seen: i64::MIN,
            next_partition: 0,
            metrics: BTreeMap::new(),
            stages: Vec::new(),
            columns: BTreeMap::new(),
            history: BTreeMap::new(),
            next_stage: 0,
            modules: Vec::new(),
            poison: BTreeMap::new(),
            drain: None,
            finished: false,
        }
    }

    /// The stages of a metric: the version that takes new windows first, then those that end theirs.
    pub fn stages_of(&self, metric: &str) -> impl Iterator<Item = &StageRecord> {
        self.stages.iter().rev().filter(move |stage| stage.deployment.name == metric)
    }

    /// The first moment, in ms of event time, of which no row was seen yet: windows that start then or later are whole
    /// for whoever begins now. `i64::MIN` before the first row.
    #[must_use]
    pub fn unseen(&self) -> i64 {
        let newest = self.newest_seen.max(self.watermark);
        if newest == i64::MIN { i64::MIN } else { newest.saturating_add(1) }
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
        let writers = self.partitions.iter().enumerate().filter(|(_, partition)| !partition.writers.is_empty());
        let writers = writers.map(|(place, partition)| {
            let families = partition.writers.iter().map(|(name, family)| {
                let said = family.said.iter().map(|(writer, (at, idle))| (*writer, (EventTime(*at), *idle)));
                (name.clone(), Family { count: family.count, said: said.collect() })
            });
            (place, Writers { families: families.collect() })
        });
        Watermarks::restore(bound_ms, partitions.collect(), writers.collect(), EventTime(self.watermark))
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
        for (place, writers) in watermarks.writers() {
            let Some(partition) = self.partitions.get_mut(*place) else { continue };
            let families = writers.families.iter().map(|(name, family)| {
                let said = family.said.iter().map(|(writer, (at, idle))| (*writer, (at.0, *idle)));
                (name.clone(), FamilyState { count: family.count, said: said.collect() })
            });
            partition.writers = families.collect();
        }
    }
}
