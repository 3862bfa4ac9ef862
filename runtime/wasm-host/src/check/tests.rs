//! Descriptions as authors write them, wrong in every way at once.

use super::*;
use serde_json::json;

fn sound() -> Value {
    json!({
        "describe": 1,
        "name": "jitter-coefficient",
        "version": "1.0.0-rc.1+build.7",
        "doc": "How evenly frames come.",
        "inputs": [{ "name": "fps", "path": "data.inference_status.fps", "type": "float" }],
        "filter": { "type": ["ai_stream_status"], "data.stream_id": true },
        "key": "data.stream_id",
        "window": { "kind": "tumbling", "size_ms": 60_000 },
        "output": [{ "name": "samples", "type": "integer" }],
        "state_version": 1,
        "mergeable": true
    })
}

fn mistakes(changes: Value) -> Vec<String> {
    let mut description = sound();
    for (name, value) in changes.as_object().expect("changes are an object") {
        description[name] = value.clone();
    }
    parse_descriptor(&description.to_string()).err().unwrap_or_default()
}

#[test]
fn a_sound_description_passes() {
    assert_eq!(mistakes(json!({})), Vec::<String>::new());
}

#[test]
fn all_mistakes_come_in_one_report() {
    let found = mistakes(json!({
        "name": "Jitter",
        "version": "1.0",
        "key": "stream_id",
        "inputs": [
            { "name": "fps", "path": "data..fps", "type": "float", "side": "left" },
            { "name": "fps", "path": "data.fps", "type": "float" },
        ],
        "window": { "kind": "sliding", "size_ms": -1, "slide_ms": 0 },
        "output": [{ "name": "row_id", "type": "text" }, { "name": "Größe", "type": "text" }],
        "state_version": 0,
        "config_schema": 7,
    }));
    let expected = [
        "name \"Jitter\"",
        "version \"1.0\"",
        "key \"stream_id\"",
        "\"data..fps\"",
        "has a side",
        "\"fps\" occurs twice",
        "\"row_id\" is a column that every",
        "output \"Größe\"",
        "size_ms = -1",
        "slide_ms = 0",
        "mergeable, but",
        "config_schema",
    ];
    let report = found.join("\n");
    assert!(expected.iter().all(|part| report.contains(part)), "{report}");
    assert_eq!(found.len(), expected.len(), "{report}");
}

#[test]
fn windows_are_checked_each_in_its_way() {
    let cases = [
        (json!({ "kind": "tumbling", "size_ms": 0 }), "size_ms = 0"),
        (json!({ "kind": "tumbling", "size_ms": 10, "offset_ms": -10 }), "offset_ms = -10"),
        (json!({ "kind": "sliding", "size_ms": 100_000_000, "slide_ms": 1 }), "100000000 windows"),
        (json!({ "kind": "session", "gap_ms": -5 }), "gap_ms = -5"),
        (json!({ "kind": "key", "ttl_ms": 0 }), "ttl_ms = 0"),
        (json!({ "kind": "hopping", "size_ms": 1 }), "unknown variant `hopping`"),
        (
            json!({ "kind": "interval-join", "left": {}, "right": {}, "lower_ms": 1, "upper_ms": 1, "upper": "exclusive" }),
            "no pair lies between",
        ),
    ];
    for (window, expected) in cases {
        let mut changes = json!({ "inputs": [] });
        changes["window"] = window;
        let found = mistakes(changes);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?} instead of {expected}");
    }
}

#[test]
fn a_side_stands_exactly_in_joins_and_sessions_need_merge() {
    let join = json!({ "kind": "interval-join", "left": {}, "right": {}, "lower_ms": 0, "upper_ms": 1 });
    assert_eq!(mistakes(json!({ "window": join })), ["input \"fps\" of an interval join has no side"]);
    let session = json!({ "window": { "kind": "session", "gap_ms": 1 }, "mergeable": false });
    assert_eq!(mistakes(session), ["session windows need `mergeable`"]);
}

#[test]
fn another_format_is_told_apart_from_a_broken_one() {
    assert_eq!(mistakes(json!({ "describe": 2, "novelty": 1 })), ["describe = 2, this runtime reads format 1"]);
    assert!(mistakes(json!({ "describe": null }))[0].contains("is missing"));
    assert!(mistakes(json!({ "novelty": 1 }))[0].contains("unknown field `novelty`"));
    assert!(parse_descriptor("{").expect_err("cut off")[0].starts_with("not JSON"));
}

#[test]
fn versions_are_those_of_semver() {
    let sound = ["0.0.0", "1.2.3", "10.20.30-alpha.1", "1.0.0+20130313144700", "1.0.0-beta+exp.sha-5114f85"];
    assert!(sound.iter().all(|version| is_semantic_version(version)));
    let unsound = ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3+", "1.2.3-a..b", "v1.2.3", "1.2.-3"];
    assert!(unsound.iter().all(|version| !is_semantic_version(version)));
}
