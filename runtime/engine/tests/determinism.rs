//! The first invariant: rows are a function of the input and the tick log. Not of threads, of where calls are split, or
//! of when and how often the process died.

mod support;

use serde_json::json;
use std::sync::Arc;
use support::*;
use tidemark_engine::fail_point::{self, no_hook};
use tidemark_engine::memory::MemoryEvent;
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::{Engine, Step};

/// Events of 40 keys over three partitions, out of order by up to `disorder` ms, some of them late, doubled or cursed.
fn input(disorder: i64) -> Vec<Vec<MemoryEvent>> {
    input_with(disorder, 666)
}

/// The same with another value for what a metric may fail on.
fn input_with(disorder: i64, cursed: i64) -> Vec<Vec<MemoryEvent>> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let partition = |partition| {
        let mut time = 0;
        let mut events = Vec::new();
        for number in 0..200 {
            time += random(20) as i64;
            let key = format!("key-{}", random(40));
            let kind = ["left", "right", "status"][random(3) as usize];
            let value = if number % 67 == 66 { cursed } else { random(100) as i64 };
            let mut event = event(kind, &key, time - random(disorder as u64 + 1) as i64, value);
            event.event["id"] = json!(format!("id-{partition}-{number}"));
            if number % 31 == 30 {
                event.event["data"]["key"] = json!(null);
            }
            events.push(event.clone());
            if number % 17 == 16 {
                events.push(event);
            }
        }
        events
    };
    (0..3).map(partition).collect()
}

fn metrics() -> Vec<MetricSpec> {
    let lateness = Overrides { allowed_lateness_ms: Some(40), ..Overrides::default() };
    let join = json!({
        "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
        "lower_ms": -50, "upper_ms": 200, "unmatched": "both",
    });
    let mut first = join.clone();
    first["take"] = json!("first");
    vec![
        // Reads other metrics' rows, and stands first to be put in order.
        metric("of-counts", Arc::new(Counter), &["metric.tumbling", "metric.join"], json!({ "kind": "key" })),
        metric("tumbling", Arc::new(Collect), &["status"], json!({ "kind": "tumbling", "size_ms": 200 })),
        metric_with(
            "sliding",
            Arc::new(Collect),
            &["status", "left"],
            json!({ "kind": "sliding", "size_ms": 200, "slide_ms": 80 }),
            lateness,
        ),
        metric("session", Arc::new(Collect), &["status"], json!({ "kind": "session", "gap_ms": 90 })),
        metric("keyed", Arc::new(Counter), &["status", "right"], json!({ "kind": "key", "ttl_ms": 10_000 })),
        metric("join", Arc::new(Pairs), &[], join),
        metric("first", Arc::new(Pairs), &[], first),
    ]
}

#[test]
fn rows_do_not_depend_on_the_number_of_workers() {
    let world = |workers| World { workers, ..World::new(input(250)) };
    let expected = world(1).run(metrics()).rows();
    assert!(expected.len() > 1_000, "the input gives rows of every kind: {}", expected.len());
    for workers in [2, 5, 16] {
        assert!(world(workers).run(metrics()).rows() == expected, "{workers} workers give other rows");
    }
}

#[test]
fn without_late_rows_they_do_not_depend_on_ticks_either() {
    let names = ["tumbling", "session", "keyed", "join", "first", "sliding"];
    let rows = |tick_records| {
        // The time to live of `keyed` is longer than the input: whether a row comes before the watermark passes its
        // key's expiry is a matter of arrival.
        // And nothing is cursed: a poison group takes the rows of its tick with it.
        let world = World { tick_records, bound_ms: 400, ..World::new(input_with(100, 0)) };
        let sink = world.run(metrics());
        names.map(|name| {
            let mut rows = without_epochs(sink.metric(name));
            rows.sort_by_key(|row| row["row_id"].as_str().map(str::to_owned));
            rows
        })
    };
    let expected = rows(1);
    for tick_records in [2, 13, 1_000_000] {
        for ((name, rows), expected) in names.iter().zip(rows(tick_records)).zip(&expected) {
            assert!(!expected.is_empty(), "{name} has rows");
            let differing = rows.iter().zip(expected).find(|(row, expected)| row != expected);
            assert!(rows == *expected, "{name} with ticks of {tick_records}: {differing:?}");
        }
    }
}

#[test]
fn a_crash_at_any_step_changes_nothing() {
    let expected = World::new(input(250)).run(metrics()).rows();
    let points = fail_point::ALL.iter().filter(|name| !name.contains("checkpoint"));
    for point in points {
        for nth in [1, 3, 11] {
            let world = World { workers: 2, ..World::new(input(250)) };
            assert!(world.run_until_death(metrics(), point, nth), "{point} is reached {nth} times");
            assert!(world.run(metrics()).rows() == expected, "killed at {point} number {nth}");
        }
    }
}

#[test]
fn dying_again_and_again_ends_well_too() {
    let expected = World::new(input(250)).run(metrics()).rows();
    let world = World::new(input(250));
    let mut deaths = 0;
    for point in fail_point::ALL.iter().cycle().filter(|name| !name.contains("checkpoint")) {
        if !world.run_until_death(metrics(), point, 2) {
            break;
        }
        deaths += 1;
        assert!(deaths < 1_000, "progress is made between deaths");
    }
    assert!(deaths > 10);
    assert!(world.sink.rows() == expected);
}

#[test]
fn a_lost_disk_is_made_good_from_an_old_image_and_the_tick_log() {
    let expected = World::new(input(250)).run(metrics()).rows();
    for (image_after, lost_after, point) in [(2, 9, fail_point::LOGGED), (1, 20, fail_point::FINALISED)] {
        let world = World::new(input(250));
        assert!(world.run_until_death(metrics(), fail_point::FINALISED, image_after));
        let image = world.state.image();
        assert!(world.run_until_death(metrics(), point, lost_after));
        let restored = World { state: image, restored: true, workers: 5, tick_records: 3, ..world };
        let engine: Engine = restored.open(metrics(), no_hook(), &Arc::default()).expect("opens");
        drop(engine);
        // The rest of the run has the old tick size again: ticks that the log does not tell of are made anew.
        let rest = World { tick_records: 7, ..restored };
        assert!(rest.run(metrics()).rows() == expected, "image of epoch {image_after}, lost at {point}");
    }
}

#[test]
fn a_sink_that_lost_the_last_epoch_gets_its_rows_again() {
    let expected = World::new(input(250)).run(metrics()).rows();
    for point in [fail_point::LOGGED, fail_point::COMMITTED] {
        let world = World::new(input(250));
        assert!(world.run_until_death(metrics(), fail_point::FINALISED, 2));
        let image = world.state.image();
        assert!(world.run_until_death(metrics(), point, 6));
        world.sink.lose_prepared();
        if point == fail_point::COMMITTED {
            let error = world.open(metrics(), no_hook(), &Arc::default()).err().expect("refused").to_string();
            assert!(error.contains("has lost the rows of epoch"), "{error}");
        }
        let restored = World { state: image, restored: true, workers: 3, ..world };
        // Dying on the way changes nothing.
        assert!(restored.run_until_death(metrics(), fail_point::PREPARED, 2));
        assert!(restored.run(metrics()).rows() == expected, "lost at {point}");
    }
}

#[test]
fn a_recovery_that_is_stopped_half_way_is_not_a_commit() {
    let expected = World::new(input(250)).run(metrics()).rows();
    let world = World::new(input(250));
    assert!(world.run_until_death(metrics(), fail_point::FINALISED, 8));
    let restored = World { state: World::new(Vec::new()).state, restored: true, ..world };
    for ticks in [1, 2, 4] {
        let mut engine = restored.open(metrics(), no_hook(), &Arc::default()).expect("opens");
        for _ in 0..ticks {
            assert_eq!(engine.step().expect("steps"), Step::Ticked);
        }
        engine.close().expect("closes");
    }
    assert!(restored.run(metrics()).rows() == expected);
}

#[test]
fn another_number_of_key_groups_is_refused() {
    let world = World::new(input(0));
    world.run(metrics());
    let error = Engine::open(world.parts_with_key_groups(8, metrics())).err().expect("refused").to_string();
    assert!(error.contains("16 key groups") && error.contains("8"), "{error}");
}
