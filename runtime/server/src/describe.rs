//! Parts of a module's description in words.

use tidemark_engine::descriptor::{
    Bound, ColumnType, Condition, Descriptor, Filter, Side, Take, Unmatched, WindowSpec,
};

/// A window, for example `tumbling, 60 s`.
#[must_use]
pub fn window(window: &WindowSpec) -> String {
    let shifted =
        |offset_ms: &i64| if *offset_ms == 0 { String::new() } else { format!(", shifted by {}", span(*offset_ms)) };
    match window {
        WindowSpec::Tumbling { size_ms, offset_ms } => format!("tumbling, {}{}", span(*size_ms), shifted(offset_ms)),
        WindowSpec::Sliding { size_ms, slide_ms, offset_ms } => {
            format!("sliding, {} every {}{}", span(*size_ms), span(*slide_ms), shifted(offset_ms))
        }
        WindowSpec::Session { gap_ms } => format!("session, ends after {} of silence", span(*gap_ms)),
        // A join whose right side never comes: what a statement without GROUP BY becomes.
        WindowSpec::IntervalJoin { right, .. } if right.types().is_some_and(<[String]>::is_empty) => {
            "none, each event is a row".to_owned()
        }
        WindowSpec::Key { ttl_ms: None } => "key, state is kept for ever".to_owned(),
        WindowSpec::Key { ttl_ms: Some(ttl_ms) } => format!("key, state is kept for {}", span(*ttl_ms)),
        WindowSpec::IntervalJoin { left, right, lower_ms, upper_ms, lower, upper, take, unmatched } => {
            let open = if *lower == Bound::Inclusive { '[' } else { '(' };
            let close = if *upper == Bound::Inclusive { ']' } else { ')' };
            let take = if *take == Take::First { ", the first match" } else { "" };
            let unmatched = match unmatched {
                Unmatched::None => "",
                Unmatched::Left => ", unmatched left rows too",
                Unmatched::Right => ", unmatched right rows too",
                Unmatched::Both => ", unmatched rows too",
            };
            let bounds = format!("{open}{}, {}{close}", span(*lower_ms), span(*upper_ms));
            format!(
                "interval join, right − left in {bounds}{take}{unmatched}; left: {}; right: {}",
                filter(left),
                filter(right)
            )
        }
    }
}

/// A filter, for example `type is ai_stream_status and data.stream_id is present`.
#[must_use]
pub fn filter(filter: &Filter) -> String {
    if filter.0.is_empty() {
        return "every event".to_owned();
    }
    let conditions = filter.0.iter().map(|(path, condition)| match condition {
        Condition::OneOf(texts) => format!("{path} is {}", texts.join(" or ")),
        Condition::Present(true) => format!("{path} is present"),
        Condition::Present(false) => format!("{path} is absent"),
    });
    conditions.collect::<Vec<_>>().join(" and ")
}

/// What a module keeps.
#[must_use]
pub fn state(descriptor: &Descriptor) -> String {
    match (descriptor.state_version, descriptor.mergeable) {
        (0, _) => "none".to_owned(),
        (version, true) => format!("version {version}, can be merged"),
        (version, false) => format!("version {version}"),
    }
}

/// A column's type.
#[must_use]
pub const fn column_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "boolean",
        ColumnType::Integer => "integer",
        ColumnType::Float => "float",
        ColumnType::Text => "text",
        ColumnType::Json => "json",
    }
}

/// A side of a join.
#[must_use]
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

/// A duration in the largest unit that is exact.
fn span(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match UNITS.iter().find(|(unit, _)| ms != 0 && ms % unit == 0) {
        Some((unit, name)) => format!("{} {name}", ms / unit),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_windows_in_words() {
        assert_eq!(window(&WindowSpec::Tumbling { size_ms: 60_000, offset_ms: 0 }), "tumbling, 1 min");
        assert_eq!(window(&WindowSpec::Session { gap_ms: 1_500 }), "session, ends after 1500 ms of silence");
        assert_eq!(window(&WindowSpec::Key { ttl_ms: Some(3_600_000) }), "key, state is kept for 1 h");
    }
}
