//! What is known of a metric when it is compiled, as constants that `#[derive(Metric)]` writes.

/// The facts of one metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Name.
    pub name: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// One paragraph for people.
    pub doc: &'static str,
    /// Path of the key.
    pub key: &'static str,
    /// Which events it wants.
    pub filter: Filter,
    /// How its rows are grouped.
    pub window: Window,
    /// Version of the state's encoding; 0 where there is no state.
    pub state_version: u32,
    /// Whether states can be merged.
    pub mergeable: bool,
}

/// Conditions by path; an event passes if all of them hold.
pub type Filter = &'static [(&'static str, Condition)];

/// What one path must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Anything but null and the empty text.
    Present,
    /// Nothing, null or the empty text.
    Absent,
}

/// How rows are grouped in event time; durations are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of describe.md")]
pub enum Window {
    Tumbling { size_ms: i64, offset_ms: i64 },
    Sliding { size_ms: i64, slide_ms: i64, offset_ms: i64 },
    Session { gap_ms: i64 },
    Key { ttl_ms: Option<i64> },
    Join(JoinTerms),
}

/// The terms of an interval join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinTerms {
    /// Which events are left ones, on top of the metric's filter.
    pub left: Filter,
    /// Which events are right ones.
    pub right: Filter,
    /// Least `right − left`.
    pub lower_ms: i64,
    /// Greatest `right − left`.
    pub upper_ms: i64,
    /// Whether `lower_ms` itself does not count.
    pub lower_exclusive: bool,
    /// Whether `upper_ms` itself does not count.
    pub upper_exclusive: bool,
    /// Whether only the first right row of each left one counts.
    pub take_first: bool,
    /// Whether left rows without a partner count.
    pub unmatched_left: bool,
    /// Whether right rows without a partner count.
    pub unmatched_right: bool,
}
