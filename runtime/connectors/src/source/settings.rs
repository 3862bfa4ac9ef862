//! What a configuration says about where events come from.

use super::generate::{GenerateSettings, Generator};
use serde::Deserialize;
use std::path::PathBuf;

/// The `[source]` section: `from = { kind = "file", path = "events" }`, and `read`, which may be absent.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// From where.
    pub from: SourceKind,
    /// How it is read.
    #[serde(default)]
    pub read: ReadSettings,
}

/// Where events come from: `kind = "file"`, `"stdin"` or `"generate"`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SourceKind {
    /// NDJSON files.
    File(FileSettings),
    /// NDJSON on standard input, read to its end.
    Stdin,
    /// Generated events.
    Generate(GenerateSourceSettings),
}

/// NDJSON files: plain, gzip or zstd, told apart by their content.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// A file, or a folder: each of its files is a partition.
    pub path: PathBuf,
    /// Whether to wait for more at the end, and for new files in a folder. For plain files only.
    #[serde(default)]
    pub follow: bool,
}

/// Events from the generator.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateSourceSettings {
    /// What is generated.
    pub generator: GenerateSettings,
    /// Events per second of the clock; absent: as fast as they are taken. A paced source is live: its blocks depend on
    /// the clock, though its events do not.
    pub paced_per_second: Option<u32>,
}

/// How a source is read. None of it changes what is read.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadSettings {
    /// Threads that decode, beside one that reads. 0: no threads at all, everything happens when the engine asks; best
    /// where the process has a single core.
    pub decoders: usize,
    /// Blocks per partition that are read ahead.
    pub prefetch: usize,
    /// A longer record is a dead letter of which the first 4 KiB are kept.
    pub max_record_bytes: usize,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self { decoders: 1, prefetch: 4, max_record_bytes: 1 << 20 }
    }
}

impl ReadSettings {
    /// Most decoding threads.
    pub const MAX_DECODERS: usize = 256;

    /// What is wrong with them.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.decoders > Self::MAX_DECODERS {
            mistakes.push(format!("source.read.decoders: {} is above {}", self.decoders, Self::MAX_DECODERS));
        }
        if !(1..=64).contains(&self.prefetch) {
            mistakes.push(format!("source.read.prefetch: {} is not between 1 and 64", self.prefetch));
        }
        if !(1024..=64 << 20).contains(&self.max_record_bytes) {
            let bytes = self.max_record_bytes;
            mistakes.push(format!("source.read.max_record_bytes: {bytes} is not between 1024 and {}", 64 << 20));
        }
        mistakes
    }
}

impl GenerateSourceSettings {
    /// The generator and the rate to keep to. The error has every mistake, one a line.
    pub(crate) fn generator(&self) -> Result<(Generator, Option<u32>), String> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() {
            Ok((Generator::new(self.generator.clone())?, self.paced_per_second))
        } else {
            Err(mistakes.join("\n"))
        }
    }

    /// What is wrong with them.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.generator.mistakes();
        if self.generator.events.is_some() == self.paced_per_second.is_some() {
            mistakes.push("source: give exactly one of `generator.events` and `paced_per_second`".to_owned());
        }
        mistakes
    }
}
