//! What a module says of itself: the versioned JSON that `describe` returns, parsed and checked.
//!
//! The format is documented for authors in `wit/describe.md`; the SDKs write it. A deployment may override the
//! operational parts (filter, key, window, lateness, TTL), never the facts of the code (columns, types, versions).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format version that this runtime reads.
pub const DESCRIBE_VERSION: u32 = 1;

/// The type of a column, of input or of output.
///
/// Reading an event's value as a type: `Integer` takes whole numbers and texts of one; `Float` any number and texts
/// of one; `Text` texts, and numbers and booleans as they are written; `Boolean` true and false; `Json` any value as
/// its JSON text. Everything else, `null` and a missing path are null.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Arrow `Boolean`.
    Boolean,
    /// Arrow `Int64`.
    Integer,
    /// Arrow `Float64`.
    Float,
    /// Arrow `Utf8`.
    Text,
    /// Arrow `Utf8` holding JSON.
    Json,
}

/// Which side of an interval join a column is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The side that bounds are measured from.
    Left,
    /// The side whose time minus the left time must lie within the bounds.
    Right,
}

/// One input column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputColumn {
    /// The author's name for it.
    pub name: String,
    /// Where in the event; see [`crate::plan::EventPath`].
    pub path: String,
    /// Read as what.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// For interval joins, the side; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// One output column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputColumn {
    /// Column name: lower-case letters, digits and underscores.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether a row may leave it null.
    #[serde(default)]
    pub nullable: bool,
}

/// What one path must hold for a row to pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Condition {
    /// One of these texts.
    OneOf(Vec<String>),
    /// `true`: present and not an empty text. `false`: absent, null or an empty text.
    Present(bool),
}

/// Rows that a metric wants: every condition holds. The path `type` selects event types.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<String, Condition>);

impl Filter {
    /// The event types that the filter names, `None` where it accepts any.
    #[must_use]
    pub fn types(&self) -> Option<&[String]> {
        match self.0.get("type") {
            Some(Condition::OneOf(types)) => Some(types),
            _ => None,
        }
    }
}

/// Whether a bound itself belongs to the interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// It does.
    #[default]
    Inclusive,
    /// It does not.
    Exclusive,
}

/// Which matches of an interval join count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// Every pair, once, as soon as both sides are there: Flink's interval join.
    #[default]
    All,
    /// For each left row the first right row by (event time, partition, offset), emitted when the watermark says that
    /// no earlier one can come.
    First,
}

/// Which rows without a partner are rows of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmatched {
    /// Neither side's.
    #[default]
    None,
    /// Left rows.
    Left,
    /// Right rows.
    Right,
    /// Both.
    Both,
}

/// How a metric's rows are grouped in event time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WindowSpec {
    /// `[n·size + offset, (n+1)·size + offset)`.
    Tumbling {
        /// Length.
        size_ms: i64,
        /// Shift from the epoch.
        #[serde(default)]
        offset_ms: i64,
    },
    /// Windows of `size_ms`, one starting every `slide_ms`.
    Sliding {
        /// Length.
        size_ms: i64,
        /// Distance between starts.
        slide_ms: i64,
        /// Shift from the epoch.
        #[serde(default)]
        offset_ms: i64,
    },
    /// Windows that grow while rows come within `gap_ms` of each other.
    Session {
        /// Shortest silence that ends a session.
        gap_ms: i64,
    },
    /// No window: state per key, with timers, dropped when no row came for `ttl_ms` of event time.
    Key {
        /// Time to live after the newest row; absent: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<i64>,
    },
    /// Pairs of a left and a right row of one key with `lower_ms ≤ right − left ≤ upper_ms`.
    IntervalJoin {
        /// Filter of the left side, on top of the metric's.
        left: Filter,
        /// Filter of the right side, on top of the metric's.
        right: Filter,
        /// Least `right − left`.
        lower_ms: i64,
        /// Greatest `right − left`.
        upper_ms: i64,
        /// Whether `lower_ms` itself counts.
        #[serde(default)]
        lower: Bound,
        /// Whether `upper_ms` itself counts.
        #[serde(default)]
        upper: Bound,
        /// Which matches count.
        #[serde(default)]
        take: Take,
        /// Which rows without a partner are emitted.
        #[serde(default)]
        unmatched: Unmatched,
    },
}

/// A module's description of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// [`DESCRIBE_VERSION`].
    pub describe: u32,
    /// The metric's name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The module's semantic version.
    pub version: String,
    /// One sentence for people.
    #[serde(default)]
    pub doc: String,
    /// Input columns, in the order in which `update` gets them.
    pub inputs: Vec<InputColumn>,
    /// Default filter.
    #[serde(default)]
    pub filter: Filter,
    /// Default path of the key.
    pub key: String,
    /// Default window.
    pub window: WindowSpec,
    /// Output columns, in the order in which rows carry them.
    pub output: Vec<OutputColumn>,
    /// Version of the state's encoding; 0 for a metric without state.
    #[serde(default)]
    pub state_version: u32,
    /// JSON schema of the configuration; `null` where there is nothing to configure.
    #[serde(default)]
    pub config_schema: serde_json::Value,
    /// Whether `merge` is implemented: session windows need it.
    #[serde(default)]
    pub mergeable: bool,
}
