//! What was undone of a job that several nodes run, when it was taken back to a savepoint: records of the exchange that
//! nobody may read any more, and how often that was, so that a node knows a state of its own that is of the time undone.

use crate::config::Config;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use tidemark_connectors::checkpoint::JobFiles;
use tidemark_engine::ports::PortError;

/// Where that is written down, among the files of the job.
const NAME: &str = "undone.json";

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// What was undone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undone {
    format: u32,
    /// How often the job was taken back.
    pub(crate) times: u64,
    /// The savepoint that the job is being taken back to: until that is done, no node may run it.
    pub(crate) restoring: Option<String>,
    /// By `topic/partition`: the offsets of records that are of a time that is undone.
    records: BTreeMap<String, Vec<Range<u64>>>,
}

impl Default for Undone {
    fn default() -> Self {
        Self { format: FORMAT, times: 0, restoring: None, records: BTreeMap::new() }
    }
}

impl Undone {
    /// As it is written down; nothing was where it is not.
    pub(crate) fn read(files: &JobFiles) -> anyhow::Result<Self> {
        let Some(content) = files.read(NAME)? else { return Ok(Self::default()) };
        let undone: Self = serde_json::from_slice(&content)
            .with_context(|| format!("{NAME}, beside the checkpoints, cannot be read: put it back from a copy"))?;
        if undone.format != FORMAT {
            bail!("{NAME}, beside the checkpoints, has format {}: use the version that wrote it", undone.format);
        }
        Ok(undone)
    }

    /// Writes it down.
    pub(crate) fn write(&self, files: &JobFiles) -> Result<(), PortError> {
        files.write(NAME, &serde_json::to_vec_pretty(self).expect("texts and numbers"))
    }

    /// Adds records of a partition. What was undone before and begins later is in there, too.
    pub(crate) fn add(&mut self, partition: &str, records: Range<u64>) {
        if records.is_empty() {
            return;
        }
        let all = self.records.entry(partition.to_owned()).or_default();
        all.retain(|other| other.start < records.start);
        all.push(records);
    }

    /// Those of a partition, in order.
    pub(crate) fn records_of(&self, partition: &str) -> Vec<Range<u64>> {
        self.records.get(partition).cloned().unwrap_or_default()
    }
}

/// The files of the whole job.
pub(crate) fn job_files(config: &Config) -> Result<JobFiles, PortError> {
    match &config.checkpoint.store {
        None => Ok(JobFiles::in_folder(config.kept_apart())),
        Some(store) => JobFiles::in_store(store),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undone_again_and_again_is_passed_over_once() {
        let mut undone = Undone::default();
        undone.add("a/0", 10..20);
        undone.add("a/0", 30..30);
        undone.add("a/0", 25..40);
        undone.add("b/0", 1..2);
        assert_eq!(undone.records_of("a/0"), [10..20, 25..40]);
        // Back to a moment before both.
        undone.add("a/0", 5..60);
        assert_eq!(undone.records_of("a/0"), vec![5..60]);
        assert_eq!(undone.records_of("c/0"), Vec::<Range<u64>>::new());
    }
}
