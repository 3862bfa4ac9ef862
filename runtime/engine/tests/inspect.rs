//! What a job holds of a key, as those see it who look at committed state.

mod support;

use serde_json::json;
use std::sync::Arc;
use support::*;
use tidemark_engine::Step;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::inspect::{KeyState, Most, key_state, stage_watermark};
use tidemark_engine::metric::MetricSpec;

const MOST: Most = Most { windows: 10, rows: 10, timers: 100, state_bytes: 1_000 };

fn metrics() -> Vec<MetricSpec> {
    let join = json!({ "kind": "interval-join", "left": { "type": ["l"] }, "right": { "type": ["r"] },
                       "lower_ms": -50, "upper_ms": 300, "unmatched": "left" });
    vec![
        metric("window", Arc::new(Collect), &["l"], json!({ "kind": "sliding", "size_ms": 1_000, "slide_ms": 500 })),
        metric("session", Arc::new(Collect), &["l"], json!({ "kind": "session", "gap_ms": 400 })),
        metric("key", Arc::new(Counter), &["l"], json!({ "kind": "key", "ttl_ms": 5_000 })),
        metric("join", Arc::new(Pairs), &["l", "r"], join),
        metric("behind", Arc::new(Collect), &["metric.join"], json!({ "kind": "tumbling", "size_ms": 100 })),
    ]
}

/// The state in the middle of a job, of which the last epoch is not committed.
fn world() -> World {
    let events = vec![
        event("l", "k", 1_000, 1),
        event("l", "k2", 1_000, 2),
        event("l", "k", 1_200, 3),
        event("r", "k", 1_250, 4),
        event("l", "k", 1_600, 5),
        event("r", "k", 2_000, 6),
        event("l", "later", 9_000, 7),
    ];
    let world = World { tick_records: 1, epoch_records: 6, ..World::new(vec![events]) };
    let mut engine = world.open(metrics(), no_hook(), &Arc::default()).expect("opens");
    while engine.progress().epoch.0 == 0 {
        assert_eq!(engine.step().expect("steps"), Step::Ticked);
    }
    engine.step().expect("a tick that is not committed");
    world
}

fn look(world: &World, metric: &str, key: &str) -> KeyState {
    let metrics = metrics();
    let spec = metrics.iter().find(|spec| spec.name == metric).expect("a metric");
    key_state(&world.state, spec, key, MOST).expect("a look").expect("something is committed")
}

#[test]
fn open_windows_and_their_timers() {
    let found = look(&world(), "window", "k");
    assert_eq!((found.epoch, found.source_watermark), (1, 1_899));
    let windows: Vec<_> = found.accumulators.iter().map(|window| window.window.expect("a window")).collect();
    assert_eq!(windows, [(1_000, 2_000), (1_500, 2_500)], "those that have not ended");
    let timers: Vec<_> = found.timers.iter().map(|timer| (timer.time, timer.kind, timer.window_start)).collect();
    assert_eq!(timers, [(1_999, "fire", Some(1_000)), (2_499, "fire", Some(1_500))]);
    assert!(found.accumulators[0].bytes > 0 && !found.truncated);
    let few = Most { windows: 1, state_bytes: 2, ..MOST };
    let cut = key_state(&world().state, &metrics()[0], "k", few).expect("a look").expect("something");
    assert!(cut.truncated && cut.accumulators.len() == 1 && cut.accumulators[0].state.len() == 2);
}

#[test]
fn sessions_and_keys_without_windows() {
    let world = world();
    let session = look(&world, "session", "k");
    // Sessions that touch are one.
    assert_eq!(session.accumulators[0].window, Some((1_000, 2_000)));
    let key = look(&world, "key", "k");
    assert_eq!((key.accumulators.len(), key.accumulators[0].newest), (1, Some(1_600)));
    assert!(key.timers.iter().any(|timer| timer.kind == "expiry"));
    assert!(look(&world, "key", "nobody").accumulators.is_empty());
}

#[test]
fn rows_that_wait_and_until_when() {
    let waiting = look(&world(), "join", "k").waiting.expect("a join");
    let left: Vec<_> = waiting.left.iter().map(|row| (row.event_time, row.waits_until, row.matched)).collect();
    assert_eq!(left, [(1_600, 1_900, false)], "earlier ones have had their time");
    assert_eq!(waiting.left[0].values["left"], json!(5));
    assert_eq!(waiting.right[0].values["right"], json!(6));
    assert_eq!((waiting.right[0].event_time, waiting.right[0].waits_until), (2_000, 2_050));
}

#[test]
fn watermarks_follow_from_the_source() {
    let metrics = metrics();
    assert_eq!(stage_watermark(&metrics, "join", 1_899), Some(1_899));
    // A lonely row comes up to 300 ms behind the watermark that decides it.
    assert_eq!(stage_watermark(&metrics, "behind", 1_899), Some(1_599));
    assert_eq!(stage_watermark(&metrics, "no-such", 1_899), None);
}
