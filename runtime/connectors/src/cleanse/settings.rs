//! What a configuration says about cleansing.

use super::table::TableSettings;
use serde::Deserialize;
use std::collections::BTreeMap;
use tidemark_engine::descriptor::ColumnType;

/// The `[cleanse]` section. The defaults fit Livepeer's gateways.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanseSettings {
    /// Where an event keeps its envelope.
    pub envelope: EnvelopeSettings,
    /// Event paths (`data.timestamp`, `timestamp`) that may hold the event time, in epoch milliseconds as a number or a
    /// text of one. The first usable one counts; other units are never guessed.
    pub event_time: Vec<String>,
    /// An earlier time is not usable: seconds since the epoch or since a machine's start are far below it.
    pub min_event_time_ms: i64,
    /// A later time is not usable.
    pub max_event_time_ms: i64,
    /// A time so much later than the envelope's is not usable. Measured against the event itself and not against a
    /// clock, so that a re-run decides alike.
    pub max_ahead_of_envelope_ms: i64,
    /// What to do with event types that no schema names.
    pub unknown_types: UnknownTypes,
    /// Rules, at most one entry per event type.
    pub schema: Vec<SchemaSettings>,
    /// Lookup tables for enrichment.
    pub table: Vec<TableSettings>,
    /// Whether rows of metrics come, too, from other pieces of the job: no schema is about them, and their time is the
    /// envelope's.
    #[serde(skip)]
    pub rows: bool,
}

/// Dotted paths of the envelope's fields in the event as the source writes it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvelopeSettings {
    /// Unique id of the event; the event may lack it.
    pub id: String,
    /// Event type, a text; an event without it is a dead letter.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the gateway sent the event, in epoch milliseconds; the event may lack it.
    pub timestamp: String,
    /// Name of the gateway; the event may lack it.
    pub gateway: String,
    /// The payload: an object, an array, or a text that holds JSON.
    pub data: String,
}

/// What to do with an event type that no schema names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownTypes {
    /// It passes.
    #[default]
    Accept,
    /// It is a dead letter.
    DeadLetter,
}

/// What an event of one type must look like.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaSettings {
    /// The event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Paths that must hold something other than null.
    #[serde(default)]
    pub required: Vec<String>,
    /// Paths that, if they hold something other than null, must read as the type.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
    /// Paths that, if they hold something other than null, must be numbers (or texts of one) in a range.
    #[serde(default)]
    pub ranges: BTreeMap<String, Range>,
}

/// A range of numbers, both ends inside.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Least value.
    #[serde(default)]
    pub min: Option<f64>,
    /// Greatest value.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Default for CleanseSettings {
    fn default() -> Self {
        Self {
            envelope: EnvelopeSettings::default(),
            event_time: vec!["data.timestamp".to_owned(), "timestamp".to_owned()],
            // 2015-01-01 and 2100-01-01.
            min_event_time_ms: 1_420_070_400_000,
            max_event_time_ms: 4_102_444_800_000,
            max_ahead_of_envelope_ms: 3_600_000,
            unknown_types: UnknownTypes::Accept,
            schema: Vec::new(),
            table: Vec::new(),
            rows: false,
        }
    }
}

impl Default for EnvelopeSettings {
    fn default() -> Self {
        let name = str::to_owned;
        Self {
            id: name("id"),
            kind: name("type"),
            timestamp: name("timestamp"),
            gateway: name("gateway"),
            data: name("data"),
        }
    }
}

/// Mistakes in a configuration, all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsErrors(
    /// One sentence each, beginning with the setting's path.
    pub Vec<String>,
);
