//! What an author may get wrong, and the sentence that the compiler says then.

use crate::{Expansion, input, metric, output, setting, state};
use syn::{DeriveInput, parse_str};

fn refusal(expansion: Expansion, item: &str) -> String {
    let item: DeriveInput = parse_str(item).expect("an item");
    expansion(&item).err().map(|error| error.to_string()).unwrap_or_default()
}

fn metric_refusal(attribute: &str) -> String {
    refusal(metric::expand, &format!("#[metric({attribute})] struct M;"))
}

fn window_refusal(window: &str) -> String {
    metric_refusal(&format!(r#"name = "m", key = "data.k", window({window})"#))
}

#[test]
fn every_window_is_understood() {
    for window in [
        r#"tumbling = "60s""#,
        r#"tumbling = "1d", offset = "-6h""#,
        r#"sliding = "5m", every = "1m", offset = "1s""#,
        "key",
        r#"key, ttl = "1h","#,
        r#"join, left("data.a" = "x"), right(), lower = "-10s", upper = "60s""#,
        r#"join, left(), right(), lower = "0s", upper = "2ms", lower_bound = exclusive, upper_bound = exclusive,
           take = first, unmatched = both"#,
    ] {
        assert_eq!(window_refusal(window), "", "{window}");
    }
    assert_eq!(metric_refusal(r#"name = "m", key = "data.k", window(session = "1s"), mergeable, migrates"#), "");
}

#[test]
fn an_impossible_window_is_refused() {
    assert_eq!(window_refusal(r#"tumbling = "0s""#), "this duration must be positive");
    assert_eq!(window_refusal(r#"tumbling = "60""#), "a duration is a number and ms, s, m, h or d, such as \"60s\"");
    assert_eq!(window_refusal(r#"tumbling = "1s", offset = "1s""#), "the offset must be shorter than the window");
    assert_eq!(window_refusal(r#"tumbling = "1s", every = "1s""#), "this window has no such term");
    assert_eq!(window_refusal(r#"sliding = "1m""#), "`every = \"…\"` is missing");
    assert_eq!(window_refusal(r#"session = "1m""#), "sessions grow together: say `mergeable` and implement Merge");
    assert_eq!(window_refusal(""), "a window is tumbling = …, sliding = …, session = …, key or join");
}

#[test]
fn an_impossible_join_is_refused() {
    let join = |rest: &str| window_refusal(&format!("join, left(), right(), {rest}"));
    assert_eq!(join(r#"lower = "1s", upper = "0s""#), "no time lies between these bounds");
    assert_eq!(
        join(r#"lower = "1ms", upper = "2ms", lower_bound = exclusive, upper_bound = exclusive"#),
        "no time lies between these bounds"
    );
    assert_eq!(join(r#"lower = "1s", upper = "2s", take = last"#), "known are all, first");
    assert_eq!(join(r#"lower = "1s", upper = "2s", ttl = "1s""#), "this window has no such term");
    assert_eq!(window_refusal(r#"join, left(), lower = "0s", upper = "1s""#), "a join needs `right(…)`");
}

#[test]
fn an_attribute_is_checked_whole() {
    assert_eq!(metric_refusal(r#"key = "data.k", window(key)"#), "`name = \"…\"` is missing");
    assert_eq!(
        metric_refusal(r#"name = "Bad Name", key = "data.k", window(key)"#),
        "a name has lower-case letters, digits and hyphens"
    );
    assert_eq!(
        metric_refusal(r#"name = "m", key = "date.k", window(key)"#),
        "a path begins with `id`, `type`, `timestamp`, `gateway`, `data` or `enrich`"
    );
    assert_eq!(
        metric_refusal(r#"name = "m", key = "data..k", window(key)"#),
        "a path is made of names with a dot between them, such as `data.stream_id`"
    );
    assert_eq!(
        metric_refusal(r#"name = "m", key = "data.k", window(key), filter("type" = "a", "type" = "b")"#),
        "a path has one condition"
    );
    assert_eq!(
        metric_refusal(r#"name = "m", key = "data.k", window(key), filter("type" = some)"#),
        "a condition is a text, [texts], present or absent"
    );
    assert_eq!(refusal(metric::expand, "struct M;"), "#[metric(…)] is missing");
}

#[test]
fn rows_are_checked() {
    assert_eq!(
        refusal(input::expand, "struct Row { fps: Option<f64> }"),
        "say where its value stands: #[at = \"data.…\"]"
    );
    assert_eq!(
        refusal(input::expand, "struct Row<'a, 'b> { }"),
        "a row has at most one lifetime and no other parameter"
    );
    assert_eq!(
        refusal(output::expand, "struct Row { window_start: i64 }"),
        "every row has the column `window_start` already"
    );
    assert_eq!(
        refusal(output::expand, "struct Row { Fps: f64 }"),
        "a column's name has lower-case letters, digits and underscores"
    );
    assert_eq!(refusal(output::expand, "enum Row { A }"), "only a struct can be derived");
    assert_eq!(refusal(state::expand, "struct State(i64);"), "the fields need names");
    assert_eq!(refusal(state::expand, "struct State<T> { value: T }"), "generic parameters are not supported here");
    assert_eq!(refusal(setting::expand, "struct S { #[setting(minimum = 1)] a: i64 }"), "only `default = …` is known");
}
