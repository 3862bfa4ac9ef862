//! Metrics that begin with the past: a new one from a date on, and an earlier version as if the later had never run. Their
//! rows are those of a run that had them all along.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::changes::{KINDS, Schedule, Signed, TUMBLING, deploy, input, of_kind, unsigned, version, window};
use support::script::{Line, ScriptSource};
use support::*;
use tidemark_engine::deployment::{Change, ChangeError, PastWanted};
use tidemark_engine::fail_point::{self, Hook, no_hook};
use tidemark_engine::ids::Epoch;
use tidemark_engine::memory::{MemoryHistory, Row};
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::output::TableKind;
use tidemark_engine::{Engine, Step};

const SLIDING: &str = "sliding";

fn with_past(change: Change, past: PastWanted) -> Change {
    match change {
        Change::Deploy { deployment, reset_state, .. } => Change::Deploy { deployment, reset_state, past: Some(past) },
        other => other,
    }
}

/// From the first epoch on, with every row there is.
const ALL: PastWanted = PastWanted::Date { epoch: Epoch(1), from_ms: -10_000 };

/// Opens the job. How much of the past an epoch takes is not to be the clock's.
fn open(world: &World, metrics: Vec<MetricSpec>, hook: Hook) -> Engine {
    let mut parts = world.parts(metrics, hook, &Arc::default());
    parts.settings.epoch_interval = Duration::from_secs(3_600);
    Engine::open(parts).expect("opens")
}

fn run(world: &World, metrics: Vec<MetricSpec>, schedule: &Schedule) -> Vec<Row> {
    let mut engine = open(world, metrics, no_hook());
    // After a death, some of it was made before.
    let begun = engine.progress().epoch.0;
    let left = schedule.0.keys().filter(|epoch| **epoch >= begun).count();
    assert_eq!(schedule.drive(&mut engine), (left, 0));
    world.sink.rows()
}

/// The last row of each id, without what tells versions and epochs apart.
fn newest(rows: Vec<Row>) -> BTreeMap<String, (String, String)> {
    let rows = rows.into_iter().filter(|(_, row)| row["metric"].is_null() && row.get("window_start").is_some());
    rows.map(|row| (row.1["row_id"].to_string(), unsigned(row))).collect()
}

fn all() -> Vec<MetricSpec> {
    KINDS.iter().map(|kind| of_kind(kind, 1)).collect()
}

#[test]
fn a_metric_that_begins_with_the_past_has_the_rows_of_one_that_was_always_there() {
    let expected = newest(run(&World::new(input(60)), all(), &Schedule::default()));
    for workers in [1, 3] {
        let world = World { workers, ..World::new(input(60)) };
        let begin = all().into_iter().map(|metric| with_past(deploy(&world, metric), ALL)).collect();
        let rows = run(&world, Vec::new(), &Schedule(BTreeMap::from([(20, begin)])));
        let ids = |rows: &[Row]| rows.iter().filter(|(_, row)| row.get("window_start").is_some()).count();
        assert_eq!(ids(&rows), expected.len(), "no row twice");
        assert!(newest(rows) == expected && expected.len() > 500, "{}", expected.len());
        assert_eq!(world.state.size(), (0, 0));
    }
}

/// While the past is read, each epoch takes as many live records as any other, and of the past no more than three times as
/// many: by counts, at least a quarter of all that is done is for what comes, and it comes to an end.
#[test]
fn what_comes_goes_on_while_the_past_is_read() {
    let world = World::new(input(60));
    let mut engine = open(&world, vec![of_kind(TUMBLING, 1)], no_hook());
    let live = |engine: &Engine| engine.progress().partitions.iter().map(|partition| partition.position.0).sum::<u64>();
    let past = |engine: &Engine| engine.progress().stages.iter().find_map(|stage| stage.past.clone());
    while engine.progress().epoch.0 < 12 {
        engine.step().expect("steps");
    }
    let archived: BTreeMap<u64, u64> = world.sink.rows().iter().filter(|(kind, _)| *kind == TableKind::Events).fold(
        BTreeMap::new(),
        |mut rows, (_, row)| {
            *rows.entry(row["epoch"].as_u64().expect("an epoch")).or_default() += 1;
            rows
        },
    );
    engine.change(vec![with_past(deploy(&world, of_kind("keyed", 1)), ALL)]).expect("deployed");
    let mut epochs = 0;
    while let Some(before) = past(&engine) {
        let (epoch, taken) = (engine.progress().epoch, live(&engine));
        while engine.progress().epoch == epoch {
            assert_ne!(engine.step().expect("steps"), Step::Finished, "what comes lasts longer than the past");
        }
        let taken = live(&engine) - taken;
        let until = past(&engine).map_or(epoch.0 + 1, |past| past.next.0);
        let read: u64 = archived.range(before.next.0..until).map(|(_, rows)| rows).sum();
        assert!(taken >= world.epoch_records as u64, "epoch {}: {taken} live records", epoch.0 + 1);
        assert!(read <= 3 * taken, "epoch {}: {read} of the past and {taken} live", epoch.0 + 1);
        epochs += 1;
    }
    assert!((4..=14).contains(&epochs), "two epochs of the past at a time, of which there are 12: {epochs}");
}

/// What it has not seen whole is not its; from there on nothing is missing.
#[test]
fn a_date_is_where_the_first_window_begins() {
    let whole = newest(run(&World::new(input(0)), vec![of_kind(TUMBLING, 1)], &Schedule::default()));
    let world = World::new(input(0));
    let change = with_past(deploy(&world, of_kind(TUMBLING, 1)), PastWanted::Date { epoch: Epoch(5), from_ms: 700 });
    let rows = newest(run(&world, Vec::new(), &Schedule(BTreeMap::from([(30, vec![change])]))));
    let start = |row: &str| serde_json::from_str::<Value>(row).expect("JSON")["window_start"].as_i64();
    let later = whole.into_iter().filter(|(_, (_, row))| start(row) >= Some(700)).collect::<BTreeMap<_, _>>();
    assert!(!rows.is_empty() && rows == later);
}

/// The other version counts fewer rows, under the same ids.
fn fewer(kind: &str) -> MetricSpec {
    version(2, kind, Arc::new(Signed(2)), &["left"], window(kind), 30)
}

/// Counts up to moments; the other version counts fewer rows.
fn counter(number: u32, types: &[&str]) -> MetricSpec {
    version(number, "counter", Arc::new(Counter), types, json!({ "kind": "key", "ttl_ms": 1_i64 << 40 }), 0)
}

fn first_versions() -> Vec<MetricSpec> {
    all().into_iter().chain([counter(1, &["left", "status"])]).collect()
}

fn second_versions() -> Vec<MetricSpec> {
    let with_windows = [TUMBLING, SLIDING, "session", "keyed"].map(fewer);
    with_windows.into_iter().chain([of_kind("join", 2), counter(2, &["left"])]).collect()
}

fn changes(world: &World, metrics: Vec<MetricSpec>, past: Option<PastWanted>) -> Vec<Change> {
    let change = |metric| {
        let change = deploy(world, metric);
        past.map_or(change.clone(), |past| with_past(change, past))
    };
    metrics.into_iter().map(change).collect()
}

/// Rolled back with the past, the table is that of a run that never swapped, whatever the kind of window.
#[test]
fn what_is_rolled_back_was_never_there() {
    let expected = newest(run(&World::new(input(60)), first_versions(), &Schedule::default()));
    for (swap, back) in [(5, 25), (12, 14), (1, 30)] {
        let world = World::new(input(60));
        let schedule = Schedule(BTreeMap::from([
            (swap, changes(&world, second_versions(), None)),
            (back, changes(&world, first_versions(), Some(PastWanted::CutOver))),
        ]));
        let rows = newest(run(&world, first_versions(), &schedule));
        for (id, row) in &expected {
            assert!(rows.get(id) == Some(row), "{swap} to {back}: {row:?} and not {:?}", rows.get(id));
        }
        assert_eq!(world.state.size(), (0, 0), "versions leave nothing behind");
        // Sessions of fewer rows have other bounds, and so other ids: they stay.
        let more = rows.iter().filter(|(id, row)| !expected.contains_key(*id) && !row.0.contains("session")).count();
        assert_eq!(more, 0, "{swap} to {back}");
    }
}

/// What is made of the past has ids that other rows had. The sink, which refuses to be surprised by that, is told until it is
/// over, and not for longer.
#[test]
fn a_table_tells_whether_it_is_made_of_the_past() {
    let world = World::new(input(60));
    let metric = |number, types: &[&str]| version(number, "m", Arc::new(Signed(number)), types, window(TUMBLING), 0);
    let mut engine = open(&world, vec![metric(1, &["left", "status"])], no_hook());
    let back = with_past(deploy(&world, metric(1, &["left", "status"])), PastWanted::CutOver);
    let changes = BTreeMap::from([(3, deploy(&world, metric(2, &["left"]))), (14, back)]);
    let mut told = Vec::new();
    loop {
        let epoch = engine.progress().epoch.0;
        if let Some(change) = changes.get(&epoch).filter(|_| engine.at_epoch_boundary()) {
            engine.change(vec![change.clone()]).expect("is made");
        }
        let finished = engine.step().expect("steps") == Step::Finished;
        told.extend(world.sink.table("m").map(|table| table.replaces));
        if finished {
            break;
        }
    }
    told.dedup();
    assert_eq!(told, [false, true, false]);
    let ids: Vec<String> = world.sink.metric("m").iter().map(|row| row["row_id"].to_string()).collect();
    assert!(ids.len() > ids.iter().collect::<std::collections::BTreeSet<_>>().len(), "rows were replaced");
}

/// From now on, windows between stay the other version's, and later ones are as if it had never run.
#[test]
fn what_is_rolled_back_from_now_on_is_so_from_then_on() {
    let both = || vec![of_kind(TUMBLING, 1), of_kind(SLIDING, 1)];
    let expected = newest(run(&World::new(input(60)), both(), &Schedule::default()));
    let world = World::new(input(60));
    let swap = changes(&world, [TUMBLING, SLIDING].map(fewer).to_vec(), None);
    let back = changes(&world, both(), None);
    run(&world, both(), &Schedule(BTreeMap::from([(5, swap), (25, back)])));
    let (mut last_of_other, mut first_again) = (i64::MIN, i64::MAX);
    for (_, row) in world.sink.rows().into_iter().filter(|(_, row)| row.get("closed_by").is_some()) {
        let start = row["window_start"].as_i64().expect("a start");
        if row["closed_by"] == json!(2) {
            last_of_other = last_of_other.max(start);
        }
    }
    let rows = newest(world.sink.rows());
    for (_, (_, row)) in rows.iter().filter(|(id, row)| expected.get(*id) == Some(*row)) {
        let start = serde_json::from_str::<Value>(row).expect("JSON")["window_start"].as_i64().expect("a start");
        first_again = if start > last_of_other { first_again.min(start) } else { first_again };
    }
    let later = |rows: &BTreeMap<String, (String, String)>| {
        let is_later =
            |row: &str| serde_json::from_str::<Value>(row).expect("JSON")["window_start"].as_i64() >= Some(first_again);
        rows.iter().filter(|(_, (_, row))| is_later(row)).map(|(id, row)| (id.clone(), row.clone())).collect::<Vec<_>>()
    };
    assert!(rows != expected && !later(&rows).is_empty() && later(&rows) == later(&expected));
}

#[test]
fn a_crash_while_the_past_is_read_changes_nothing() {
    let world = || World { workers: 2, ..World::new(input(120)) };
    let schedule = |world: &World| {
        let keyed = with_past(deploy(world, of_kind("keyed", 1)), ALL);
        let back = with_past(deploy(world, of_kind(TUMBLING, 1)), PastWanted::CutOver);
        Schedule(BTreeMap::from([(4, vec![deploy(world, fewer(TUMBLING))]), (9, vec![keyed]), (18, vec![back])]))
    };
    let undisturbed = world();
    let metrics = || vec![of_kind(TUMBLING, 1), of_kind("session", 1)];
    let expected = run(&undisturbed, metrics(), &schedule(&undisturbed));
    let live = |world: &World, hook| {
        dies(|| {
            let mut engine = open(world, metrics(), hook);
            schedule(world).drive(&mut engine);
        })
    };
    let points = [fail_point::TICK_DONE, fail_point::PREPARED, fail_point::LOGGED, fail_point::COMMITTED];
    for (place, point) in points.into_iter().enumerate() {
        for nth in (7..=40).filter(|nth| (nth + place).is_multiple_of(11)) {
            let world = world();
            assert!(live(&world, deadly_hook(point, nth)), "{point} is reached {nth} times");
            assert!(run(&world, metrics(), &schedule(&world)) == expected, "killed at {point} number {nth}");
        }
    }
    for (image_after, point, lost_after) in [
        (2, fail_point::LOGGED, 9),
        (8, fail_point::COMMITTED, 4),
        (11, fail_point::LOGGED, 2),
        (19, fail_point::FINALISED, 3),
    ] {
        let world = world();
        assert!(live(&world, deadly_hook(fail_point::FINALISED, image_after)));
        let image = world.state.image();
        assert!(live(&world, deadly_hook(point, lost_after)));
        let restored = World { state: image, restored: true, workers: 3, ..world };
        let mut engine = open(&restored, metrics(), no_hook());
        schedule(&restored).drive(&mut engine);
        assert!(restored.sink.rows() == expected, "image of epoch {image_after}, lost at {point} {lost_after}");
    }
}

/// Where the last events are of the past, what the watermark has passed is closed at once: the next tick may be far.
#[test]
fn nobody_has_to_wait_for_the_next_event() {
    let world = World { bound_ms: 0, ..World::new(Vec::new()) };
    let events = [0, 10, 25, 40].map(|time| event("left", "k", time, time)).to_vec();
    let mut parts = world.parts(Vec::new(), no_hook(), &Arc::default());
    // A partition that has ended without an event: nothing in the past tells that it holds nobody back.
    let lines = std::iter::once(Line::End(1)).chain(events[1..].iter().map(|event| Line::Event(0, event.clone())));
    parts.source = Box::new(ScriptSource::new(2, lines.collect(), 0, false));
    parts.history = Some(Box::new(MemoryHistory::new(vec![events, Vec::new()], world.sink.clone())));
    parts.settings.epoch_interval = Duration::ZERO;
    parts.settings.tick.interval = Duration::ZERO;
    parts.settings.tick.idle_after = None;
    let mut engine = Engine::open(parts).expect("opens");
    while engine.step().expect("steps") == Step::Ticked {}
    let metric = version(1, "w", Arc::new(Signed(1)), &[], json!({ "kind": "tumbling", "size_ms": 10 }), 0);
    engine.change(vec![with_past(deploy(&world, metric), ALL)]).expect("deployed");
    while engine.progress().stages.iter().any(|stage| stage.past.is_some()) {
        engine.step().expect("steps");
    }
    engine.close().expect("closes");
    let starts: Vec<_> = world.sink.metric("w").iter().map(|row| row["window_start"].clone()).collect();
    assert_eq!(starts, [json!(10), json!(20)]);
}

fn refusal(engine: &mut Engine, change: Change) -> String {
    match engine.change(vec![change]) {
        Err(ChangeError::Refused(reasons)) => reasons.join("; "),
        other => panic!("refused, not {other:?}"),
    }
}

#[test]
fn what_has_no_past_is_refused_and_reading_can_be_given_up() {
    let world = World::new(input(60));
    let mut engine = open(&world, all(), no_hook());
    while engine.progress().epoch.0 < 12 {
        engine.step().expect("steps");
    }
    let reader = version(1, "reader", Arc::new(Signed(1)), &["metric.tumbling"], window(TUMBLING), 0);
    for (change, reason) in [
        (with_past(deploy(&world, of_kind(TUMBLING, 1)), ALL), "deployed already"),
        (
            with_past(
                deploy(&world, version(2, "keyed", Arc::new(Signed(2)), &["left"], window(TUMBLING), 0)),
                PastWanted::CutOver,
            ),
            "another kind of window",
        ),
        (with_past(deploy(&world, reader), ALL), "the rows of another metric"),
    ] {
        let refusal = refusal(&mut engine, change);
        assert!(refusal.contains(reason), "{refusal}");
    }
    let other = |number| version(number, "other", Arc::new(Signed(number)), &["left"], window(TUMBLING), 0);
    engine.change(vec![with_past(deploy(&world, other(1)), ALL)]).expect("deployed");
    engine.step().expect("steps");
    let reading = engine.progress().stages_of("other").next().and_then(|stage| stage.past.clone());
    assert!(reading.is_some_and(|past| (2..12).contains(&past.next.0)), "an epoch after the other");
    let refused = refusal(&mut engine, deploy(&world, other(2)));
    assert!(refused.contains("still reading the past"), "{refused}");
    engine.change(vec![Change::Undeploy { name: "other".to_owned() }]).expect("given up");
    while engine.step().expect("steps") != Step::Finished {}
    assert_eq!(world.state.size(), (0, 0), "nothing is left of it");

    let without = World::new(input(60));
    let mut parts = without.parts(Vec::new(), no_hook(), &Arc::default());
    parts.history = None;
    let mut engine = Engine::open(parts).expect("opens");
    engine.step().expect("steps");
    let refused = refusal(&mut engine, with_past(deploy(&without, of_kind(TUMBLING, 1)), ALL));
    assert!(refused.contains("keeps no archive"), "{refused}");
}
