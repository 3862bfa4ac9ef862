//! `[log]`: what the process says of itself, on standard error.

use super::section::Section;

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The words for the formats.
    pub const NAMES: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// The words for how much is said.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The form of lines.
    pub format: LogFormat,
    /// One of [`LEVELS`].
    pub level: &'static str,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info" }
    }
}

impl LogSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let format = section.choice("format", &LogFormat::NAMES).unwrap_or_default();
        let level = section.choice("level", &LEVELS.map(|level| (level, level))).unwrap_or("info");
        section.finish();
        Self { format, level }
    }
}
