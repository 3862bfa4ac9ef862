//! Records that are submitted again: they reach whom they are for, once, and never move time.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::changes::{Schedule, deploy, pause};
use support::natives::Gather;
use support::*;
use tidemark_engine::deployment::{Change, PastWanted};
use tidemark_engine::fail_point::{self, Hook, no_hook};
use tidemark_engine::ids::{Epoch, Offset, Partition};
use tidemark_engine::memory::{MemoryEvent, MemorySource};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::output::TableKind;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Again, Next, PortError, Source, SourceStart};
use tidemark_engine::{Engine, Step};

/// A source whose second partition is submitted again for the metric `late`, and whose third for everybody.
struct WithAgain(MemorySource);

impl Source for WithAgain {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        self.0.start(start)
    }

    fn partitions(&self) -> &[String] {
        self.0.partitions()
    }

    fn first_offset(&self, partition: Partition) -> Offset {
        self.0.first_offset(partition)
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        self.0.next(partition, wait)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.0.change_plan(plan)
    }

    fn bounded(&self) -> bool {
        true
    }

    fn again(&self, partition: Partition) -> Option<Again> {
        match partition.0 {
            1 => Some(Again { metric: Some("late".to_owned()) }),
            2 => Some(Again { metric: None }),
            _ => None,
        }
    }
}

fn with_id(event: MemoryEvent, id: &str) -> MemoryEvent {
    let MemoryEvent { time, mut event } = event;
    event["id"] = json!(id);
    MemoryEvent { time, event }
}

fn partitions() -> Vec<Vec<MemoryEvent>> {
    let stream = (0..60).map(|at| with_id(event("a", "k", at * 50, at), &format!("id-{at}"))).collect();
    // Of long ago; one with an id that the job has seen, since the event came before.
    let for_one = vec![with_id(event("a", "k", 3, 1_000), "id-0"), event("a", "k", 4, 1_001)];
    let for_all = vec![with_id(event("a", "k", 5, 2_000), "new"), with_id(event("a", "k", 6, 2_001), "id-1")];
    vec![stream, for_one, for_all]
}

fn metrics() -> Vec<MetricSpec> {
    let window = json!({ "kind": "tumbling", "size_ms": 1_000 });
    let patient = Overrides { allowed_lateness_ms: Some(1_000_000), ..Overrides::default() };
    vec![
        metric_with("late", Arc::new(Gather::values()), &["a"], window.clone(), patient.clone()),
        metric_with("other", Arc::new(Gather::values()), &["a"], window.clone(), patient),
        metric("strict", Arc::new(Gather::values()), &["a"], window),
    ]
}

fn open(world: &World, hook: Hook) -> Engine {
    let mut parts = world.parts(metrics(), hook, &Arc::default());
    parts.source = Box::new(WithAgain(MemorySource::new(world.partitions.clone())));
    Engine::open(parts).expect("opens")
}

fn run(world: &World, hook: Hook) {
    let mut engine = open(world, hook);
    while engine.step().expect("steps") != Step::Finished {}
}

fn world() -> World {
    World { tick_records: 6, epoch_records: 12, bound_ms: 0, ..World::new(partitions()) }
}

/// The values of the last row of the first window.
fn first_window(world: &World, metric: &str) -> Vec<i64> {
    let rows = world.sink.metric(metric);
    let first: Vec<&Value> = rows.iter().filter(|row| row["window_start"] == 0).collect();
    let values = first.last().expect("a row")["values"].clone();
    let values: Value = values.as_str().map_or(values.clone(), |text| serde_json::from_str(text).expect("JSON"));
    let mut values: Vec<i64> = serde_json::from_value(values).expect("numbers");
    values.sort_unstable();
    values
}

#[test]
fn they_reach_whom_they_are_for() {
    let world = world();
    run(&world, no_hook());
    let stream: Vec<i64> = (0..20).collect();
    let with = |more: &[i64]| [stream.as_slice(), more].concat();
    // To one metric alone, whether or not the id was seen; what is for everybody is told from what was seen.
    assert_eq!(first_window(&world, "late"), with(&[1_000, 1_001, 2_000]));
    assert_eq!(first_window(&world, "other"), with(&[2_000]));
    let archived = world.sink.rows().into_iter().filter(|(kind, _)| *kind == TableKind::Events);
    let again: Vec<Value> = archived.map(|(_, row)| row["partition"].clone()).filter(|name| name != "0").collect();
    assert_eq!(again, [json!("2")], "only what never got that far is archived now");
}

/// The values of what was submitted again for `late`, as rows and as dead letters, and the letters' reasons.
fn found(world: &World) -> (Vec<i64>, Vec<i64>, Vec<String>) {
    let in_row = |row: Value| -> Vec<i64> {
        let values =
            row["values"].as_str().map_or(row["values"].clone(), |text| serde_json::from_str(text).expect("JSON"));
        serde_json::from_value(values).expect("numbers")
    };
    let mut counted: Vec<i64> =
        world.sink.metric("late").into_iter().flat_map(in_row).filter(|value| *value >= 1_000).collect();
    counted.sort_unstable();
    let letters = world.sink.dead_letters().into_iter().filter(|letter| letter["partition"] == "1");
    let of_letter = |letter: &Value| {
        let event: Value = serde_json::from_str(letter["payload_text"].as_str().expect("text")).expect("an event");
        event["data"]["value"].as_i64().expect("a number")
    };
    let (mut back, mut reasons): (Vec<i64>, Vec<String>) =
        letters.map(|letter| (of_letter(&letter), letter["reason"].as_str().expect("text").to_owned())).unzip();
    back.sort_unstable();
    reasons.sort();
    reasons.dedup();
    (counted, back, reasons)
}

/// While the metric is paused, reads the past or does not run at all, what is submitted again for it comes back as a dead
/// letter: it is counted, or it is told, and never both.
#[test]
fn what_a_metric_does_not_take_comes_back() {
    let window = |kind: &str| match kind {
        "session" => json!({ "kind": "session", "gap_ms": 120 }),
        "key" => json!({ "kind": "key", "ttl_ms": 1_i64 << 40 }),
        _ => json!({ "kind": "tumbling", "size_ms": 400 }),
    };
    for kind in ["tumbling", "session", "key"] {
        for with_past in [false, true] {
            let again = |at: i64| event("a", "k", at * 50, 1_000 + at);
            let stream = (0..120).map(|at| with_id(event("a", "k", at * 50, at), &format!("id-{at}"))).collect();
            let world = World { partitions: vec![stream, (0..120).map(again).collect()], ..world() };
            let metric = || metric("late", Arc::new(Gather::values()), &["a"], window(kind));
            let mut schedule = Schedule::default();
            let first = if with_past {
                let change = deploy(&world, metric());
                let Change::Deploy { deployment, reset_state, .. } = change else { unreachable!() };
                let past = Some(PastWanted::Date { epoch: Epoch(1), from_ms: -1 });
                schedule.0.insert(8, vec![Change::Deploy { deployment, reset_state, past }]);
                Vec::new()
            } else {
                schedule.0.insert(4, vec![pause(&world, metric())]);
                schedule.0.insert(8, vec![deploy(&world, metric())]);
                vec![metric()]
            };
            let mut parts = world.parts(first, no_hook(), &Arc::default());
            parts.source = Box::new(WithAgain(MemorySource::new(world.partitions.clone())));
            let mut engine = Engine::open(parts).expect("opens");
            let (_, refused) = schedule.drive(&mut engine);
            assert_eq!(refused, 0);
            let (counted, back, reasons) = found(&world);
            let mut all = [counted.clone(), back.clone()].concat();
            all.sort_unstable();
            assert_eq!(
                all,
                (1_000..1_120).collect::<Vec<i64>>(),
                "{kind}, with the past: {with_past}: {counted:?} {back:?}"
            );
            assert!(!counted.is_empty() && reasons.contains(&"not_taken".to_owned()), "{kind} {reasons:?}");
        }
    }
}

#[test]
fn they_never_move_time() {
    let first = |count| partitions().into_iter().take(count).collect();
    let alone = World { partitions: first(1), ..world() };
    alone.run(metrics());
    let world = World { partitions: first(2), ..world() };
    run(&world, no_hook());
    // Ordered events are never late by themselves, and old ones beside them change nothing about that.
    for metric in ["strict", "other"] {
        assert_eq!(without_epochs(world.sink.metric(metric)), without_epochs(alone.sink.metric(metric)), "{metric}");
    }
}

#[test]
fn a_crash_or_a_lost_disk_changes_nothing() {
    let undisturbed = world();
    run(&undisturbed, no_hook());
    for point in fail_point::ALL {
        for nth in 1..4 {
            let world = world();
            if !dies(|| run(&world, deadly_hook(point, nth))) {
                continue;
            }
            run(&world, no_hook());
            assert_eq!(world.sink.rows(), undisturbed.sink.rows(), "{point} {nth}");
        }
        let first = world();
        if dies(|| run(&first, deadly_hook(point, 3))) {
            let lost = World { state: World::new(Vec::new()).state, restored: true, ..first };
            run(&lost, no_hook());
            assert_eq!(lost.sink.rows(), undisturbed.sink.rows(), "{point}, and the disk is lost");
        }
    }
}
