//! Settings of the Parquet sink: plain data, checked whole.

use serde::Deserialize;

/// Most bytes that any of the size settings may ask for.
const MOST_BYTES: u64 = 16 << 30;

/// How the Parquet sink writes. Two runs give the same bytes only with the same settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParquetSettings {
    /// Rows of the running epoch held in memory; more are spilled to disk as sorted runs.
    pub buffer_bytes: u64,
    /// zstd level, 1 (fast) to 22 (small).
    pub zstd_level: i32,
    /// Most rows of a row group.
    pub row_group_rows: usize,
    /// Most encoded bytes of a row group: what a writer holds in memory.
    pub row_group_bytes: u64,
    /// Most folders `type=…` below one date; events of further types go to `type=__other__`.
    pub event_types: usize,
    /// When small files are merged.
    pub compaction: CompactionSettings,
}

/// When small files are merged. See [`super::compaction`] for the rule.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactionSettings {
    /// Files of one tier in one folder that are merged into one of the next tier; 0 switches merging off.
    pub files: usize,
    /// Most bytes of a merged file. A file of half of it or more is left alone.
    pub target_bytes: u64,
    /// Bytes merged in one epoch, over all folders; what is due beyond waits for the next. One merge is always done.
    pub epoch_bytes: u64,
}

impl Default for ParquetSettings {
    fn default() -> Self {
        Self {
            buffer_bytes: 64 << 20,
            zstd_level: 1,
            row_group_rows: 128 << 10,
            row_group_bytes: 64 << 20,
            event_types: 500,
            compaction: CompactionSettings::default(),
        }
    }
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self { files: 16, target_bytes: 128 << 20, epoch_bytes: 64 << 20 }
    }
}

impl ParquetSettings {
    /// Every mistake, one sentence each, names relative to this table.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("{name} = {value} must be from {least} to {most}"));
            }
        };
        check("buffer_bytes", self.buffer_bytes, 64 << 10, MOST_BYTES);
        check("row_group_rows", self.row_group_rows as u64, 1, 16 << 20);
        check("row_group_bytes", self.row_group_bytes, 64 << 10, MOST_BYTES);
        check("event_types", self.event_types as u64, 1, 100_000);
        if self.compaction.files != 0 {
            check("compaction.files", self.compaction.files as u64, 2, 256);
        }
        check("compaction.target_bytes", self.compaction.target_bytes, 64 << 10, MOST_BYTES);
        check("compaction.epoch_bytes", self.compaction.epoch_bytes, 64 << 10, MOST_BYTES);
        if !(1..=22).contains(&self.zstd_level) {
            mistakes.push(format!("zstd_level = {} must be from 1 to 22", self.zstd_level));
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_no_mistakes_and_every_mistake_is_reported() {
        assert_eq!(ParquetSettings::default().mistakes(), Vec::<String>::new());
        let settings: ParquetSettings =
            serde_json::from_str(r#"{"zstd_level": 0, "row_group_rows": 0, "compaction": {"files": 1}}"#).unwrap();
        let mistakes = settings.mistakes();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].contains("row_group_rows = 0 must be from 1"), "{mistakes:?}");
        assert!(serde_json::from_str::<ParquetSettings>(r#"{"row_groups": 0}"#).is_err());
    }
}
