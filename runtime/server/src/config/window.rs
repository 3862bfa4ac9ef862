//! The `window` of a metric.

use super::metric::read_filter;
use super::section::Section;
use tidemark_engine::descriptor::{Bound, Take, Unmatched, WindowSpec};

/// The greatest length of a window or a join's interval: ten years.
const MAX_MS: i64 = 3_650 * 24 * 60 * 60_000;

/// The most windows that one row may belong to.
const MAX_WINDOWS_PER_ROW: i64 = 1_000;

#[derive(Clone, Copy)]
enum Kind {
    Tumbling,
    Sliding,
    Session,
    Key,
    IntervalJoin,
}

const KINDS: [(&str, Kind); 5] = [
    ("tumbling", Kind::Tumbling),
    ("sliding", Kind::Sliding),
    ("session", Kind::Session),
    ("key", Kind::Key),
    ("interval-join", Kind::IntervalJoin),
];

const BOUNDS: [(&str, Bound); 2] = [("inclusive", Bound::Inclusive), ("exclusive", Bound::Exclusive)];
const TAKES: [(&str, Take); 2] = [("all", Take::All), ("first", Take::First)];
const UNMATCHED: [(&str, Unmatched); 4] =
    [("none", Unmatched::None), ("left", Unmatched::Left), ("right", Unmatched::Right), ("both", Unmatched::Both)];

/// The window that the table describes; `None` where it is absent or wrong.
pub(super) fn read(mut section: Section<'_>) -> Option<WindowSpec> {
    if !section.present() {
        return None;
    }
    section.require("kind", "\"tumbling\"");
    // Without a known kind no field can be judged.
    let window = match section.choice("kind", &KINDS)? {
        Kind::Tumbling => {
            let size_ms = length(&mut section, "size_ms");
            WindowSpec::Tumbling { size_ms, offset_ms: offset(&mut section, size_ms) }
        }
        Kind::Sliding => read_sliding(&mut section),
        Kind::Session => WindowSpec::Session { gap_ms: length(&mut section, "gap_ms") },
        Kind::Key => WindowSpec::Key { ttl_ms: section.integer("ttl_ms", 1..=MAX_MS) },
        Kind::IntervalJoin => read_interval_join(&mut section),
    };
    section.finish();
    Some(window)
}

fn read_sliding(section: &mut Section<'_>) -> WindowSpec {
    let size_ms = length(section, "size_ms");
    let slide_ms = length(section, "slide_ms");
    if size_ms / slide_ms > MAX_WINDOWS_PER_ROW {
        let message = format!("puts each row into {} windows, of at most {MAX_WINDOWS_PER_ROW}", size_ms / slide_ms);
        section.mistake("slide_ms", format!("{message}: use a longer slide or a shorter size"));
    }
    WindowSpec::Sliding { size_ms, slide_ms, offset_ms: offset(section, slide_ms) }
}

fn read_interval_join(section: &mut Section<'_>) -> WindowSpec {
    section.require("left", "{ \"data.type\" = [\"request\"] }");
    section.require("right", "{ \"data.type\" = [\"answer\"] }");
    section.require("lower_ms", "-10000");
    section.require("upper_ms", "60000");
    let lower_ms = section.integer("lower_ms", -MAX_MS..=MAX_MS).unwrap_or(-MAX_MS);
    let upper_ms = section.integer("upper_ms", -MAX_MS..=MAX_MS).unwrap_or(MAX_MS);
    let lower = section.choice("lower", &BOUNDS).unwrap_or_default();
    let upper = section.choice("upper", &BOUNDS).unwrap_or_default();
    let excluded = i64::from(lower == Bound::Exclusive) + i64::from(upper == Bound::Exclusive);
    if lower_ms + excluded > upper_ms {
        section.mistake("upper_ms", format!("no time lies between {lower_ms} and {upper_ms}: raise it"));
    }
    WindowSpec::IntervalJoin {
        left: read_filter(section, "left").unwrap_or_default(),
        right: read_filter(section, "right").unwrap_or_default(),
        lower_ms,
        upper_ms,
        lower,
        upper,
        take: section.choice("take", &TAKES).unwrap_or_default(),
        unmatched: section.choice("unmatched", &UNMATCHED).unwrap_or_default(),
    }
}

/// A length that must be there; 1 stands in for a wrong one.
fn length(section: &mut Section<'_>, name: &'static str) -> i64 {
    section.require(name, "60000");
    section.integer_or(name, 1..=MAX_MS, 1)
}

/// A shift of windows that start every `period_ms`: smaller than that, in either direction.
fn offset(section: &mut Section<'_>, period_ms: i64) -> i64 {
    section.integer_or("offset_ms", 1 - period_ms..=period_ms - 1, 0)
}
