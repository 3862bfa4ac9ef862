//! `[sink.*]` and `[archive]`: where rows go.

use super::section::Section;
use tidemark_connectors::sink::console::ConsoleSettings;
use tidemark_connectors::sink::parquet::ParquetSettings;

/// `[archive]`: whether cleansed events are kept.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// Whether they are.
    pub enabled: bool,
}

impl ArchiveSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let enabled = section.boolean("enabled").unwrap_or(true);
        section.finish();
        Self { enabled }
    }
}

/// The names of sinks, as `[sink.<name>]` and a metric's `sinks` write them.
pub const SINKS: [&str; 2] = ["parquet", "console"];

/// `[sink]`.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Parquet files below the data folder; `None`: turned off.
    pub parquet: Option<ParquetSettings>,
    /// Rows on standard output, one JSON object per line; `None` unless the table is there.
    pub console: Option<ConsoleSettings>,
}

impl SinkSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let parquet = read_parquet(section.section("parquet"));
        let console = read_console(section.section("console"));
        section.finish();
        Self { parquet, console }
    }

    /// Whether the sink of this name is used.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        match name {
            "parquet" => self.parquet.is_some(),
            "console" => self.console.is_some(),
            _ => false,
        }
    }
}

fn read_parquet(mut section: Section<'_>) -> Option<ParquetSettings> {
    let enabled = section.boolean("enabled").unwrap_or(true);
    let settings: ParquetSettings = section.rest();
    section.mistakes(settings.mistakes());
    enabled.then_some(settings)
}

fn read_console(mut section: Section<'_>) -> Option<ConsoleSettings> {
    // The table alone turns it on: who writes `[sink.console]` wants to see rows.
    let enabled = section.boolean("enabled").unwrap_or(section.present());
    let settings = section.rest();
    enabled.then_some(settings)
}
