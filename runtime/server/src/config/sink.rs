//! `[sink.*]` and `[archive]`: where rows go.

use super::paths::beside;
use super::section::Section;
use std::path::Path;
use tidemark_connectors::sink::console::ConsoleSettings;
use tidemark_connectors::sink::kafka::KafkaSinkSettings;
use tidemark_connectors::sink::parquet::ParquetSettings;

/// `[archive]`: whether cleansed events are kept.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// Whether they are.
    pub enabled: bool,
}

impl ArchiveSettings {
    /// `default` is whether they are if nothing is said.
    pub(super) fn read(mut section: Section<'_>, default: bool) -> Self {
        let enabled = section.boolean("enabled").unwrap_or(default);
        section.finish();
        Self { enabled }
    }
}

/// The names of sinks, as `[sink.<name>]` and a metric's `sinks` write them.
pub const SINKS: [&str; 3] = ["parquet", "console", "kafka"];

/// `[sink]`.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Parquet files below the data folder; `None`: turned off.
    pub parquet: Option<ParquetSettings>,
    /// Rows on standard output, one JSON object per line; `None` unless the table is there.
    pub console: Option<ConsoleSettings>,
    /// Records in topics of a Kafka cluster; `None` unless the table is there.
    pub kafka: Option<KafkaSinkSettings>,
}

impl SinkSettings {
    /// `environment` looks variables up that secrets come from; files with secrets are beside `config_file`.
    pub(super) fn read(
        mut section: Section<'_>,
        config_file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let parquet = read_parquet(section.section("parquet"));
        let console = read_console(section.section("console"));
        let kafka = read_kafka(section.section("kafka"), config_file, environment);
        section.finish();
        Self { parquet, console, kafka }
    }

    /// Whether the sink of this name is used.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        match name {
            "parquet" => self.parquet.is_some(),
            "console" => self.console.is_some(),
            "kafka" => self.kafka.is_some(),
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

fn read_kafka(
    mut section: Section<'_>,
    config_file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<KafkaSinkSettings> {
    if !section.boolean("enabled").unwrap_or(section.present()) {
        return None;
    }
    let mut settings: KafkaSinkSettings = section.rest();
    settings.properties.files_beside(&beside(config_file, ""));
    section.mistakes(settings.mistakes());
    section.mistakes(settings.properties.missing("properties", environment));
    Some(settings)
}
