//! Changes of the metrics while the job runs: nothing is lost and nothing counted twice, whatever changes, and whenever
//! the process dies.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::changes::{KINDS, Schedule, Signed, TUMBLING, deploy, input, of_kind, pause, unsigned, version, window};
use support::natives::{CountV1, CountV2};
use support::*;
use tidemark_engine::deployment::{Change, ChangeError};
use tidemark_engine::descriptor::Descriptor;
use tidemark_engine::fail_point::{self, no_hook};
use tidemark_engine::memory::{MemoryEvent, NativeMetric, Row};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::{Engine, Step};

fn all(number: u32) -> Vec<MetricSpec> {
    KINDS.iter().map(|kind| of_kind(kind, number)).collect()
}

fn sorted(rows: Vec<Row>) -> Vec<(String, String)> {
    let mut rows: Vec<_> = rows.into_iter().map(unsigned).collect();
    rows.sort();
    rows
}

fn run(world: &World, metrics: Vec<MetricSpec>, schedule: &Schedule) -> (Vec<Row>, usize) {
    let mut engine = world.open(metrics, no_hook(), &Arc::default()).expect("opens");
    let (made, _) = schedule.drive(&mut engine);
    (world.sink.rows(), made)
}

/// Fifty swaps of all metrics, and the rows are those of a run that never swapped.
#[test]
fn swapping_again_and_again_loses_and_doubles_nothing() {
    for disorder in [60, 250] {
        let world = || World { tick_records: 6, epoch_records: 12, ..World::new(input(disorder)) };
        let (expected, _) = run(&world(), all(1), &Schedule::default());
        let swapped = world();
        let schedule: BTreeMap<u64, Vec<Change>> = (1..=50)
            .map(|swap| (2 * swap, all(1 + swap as u32).into_iter().map(|metric| deploy(&swapped, metric)).collect()))
            .collect();
        let (rows, made) = run(&swapped, all(1), &Schedule(schedule));
        assert_eq!(made, 50);
        let (rows, expected) = (sorted(rows), sorted(expected));
        assert!(rows == expected, "disorder {disorder}: {} rows instead of {}", rows.len(), expected.len());
        assert_eq!(swapped.state.size(), (0, 0), "versions leave nothing behind");
    }
}

/// The version that closes a window is the one that saw all its rows, and later windows are later versions'.
#[test]
fn every_window_is_one_version_s() {
    let world = World { epoch_records: 20, ..World::new(input(60)) };
    let schedule = [3, 9, 15, 22]
        .iter()
        .zip(2..)
        .map(|(epoch, number)| (*epoch, all(number).into_iter().map(|metric| deploy(&world, metric)).collect()));
    let schedule = Schedule(schedule.collect());
    run(&world, all(1), &schedule);
    for kind in [TUMBLING, "sliding", "session"] {
        let rows = world.sink.metric(kind);
        let mut versions: Vec<i64> = rows.iter().map(|row| row["closed_by"].as_i64().expect("a number")).collect();
        for row in &rows {
            let closed_by = row["closed_by"].as_i64().expect("a number");
            assert_eq!(row["seen_by"], json!(format!("[{closed_by}]")), "{kind}: {row}");
            assert_eq!(row["version"], json!(format!("{closed_by}.0.0")), "{kind}: {row}");
        }
        if kind != "session" {
            let mut by_start: Vec<(i64, i64)> = rows
                .iter()
                .map(|row| (row["window_start"].as_i64().expect("a start"), row["closed_by"].as_i64().expect("one")))
                .collect();
            by_start.sort_unstable();
            assert!(by_start.is_sorted_by_key(|(_, version)| *version), "{kind}: one cut for all keys");
        }
        versions.sort_unstable();
        versions.dedup();
        assert_eq!(versions, [1, 2, 3, 4, 5], "{kind}");
    }
}

/// Sinks learn from the table whether its rows may be replaced: for as long as any version of the metric is there whose
/// windows may fire again.
#[test]
fn a_table_tells_whether_its_rows_may_be_replaced() {
    let world = World { epoch_records: 20, ..World::new(input(60)) };
    let metric =
        |number, lateness| version(number, "m", Arc::new(Signed(number)), &["status"], window(TUMBLING), lateness);
    let mut engine = world.open(vec![metric(1, 0)], no_hook(), &Arc::default()).expect("opens");
    let mut told = Vec::new();
    let changes = BTreeMap::from([(5, deploy(&world, metric(2, 30))), (15, deploy(&world, metric(3, 0)))]);
    loop {
        let epoch = engine.progress().epoch.0;
        if let Some(change) = changes.get(&epoch).filter(|_| engine.at_epoch_boundary()) {
            engine.change(vec![change.clone()]).expect("is made");
        }
        let finished = engine.step().expect("steps") == Step::Finished;
        let replaces = world.sink.table("m").map(|table| table.replaces);
        told.extend(replaces);
        if finished {
            break;
        }
    }
    told.dedup();
    assert_eq!(told, [false, true, false]);
}

/// What changes in the tests of crashes: everything at once.
fn eventful(world: &World) -> Schedule {
    let other = |size: i64| {
        version(1, "other", Arc::new(Signed(1)), &["right"], json!({ "kind": "tumbling", "size_ms": size }), 0)
    };
    let by_other_key = || {
        let native: Arc<dyn NativeMetric> = Arc::new(Collect);
        let descriptor = Descriptor {
            key: "data.other".to_owned(),
            ..descriptor(TUMBLING, &*native, serde_json::from_value(window(TUMBLING)).expect("a window"))
        };
        metric_of(&descriptor, native, Overrides::default())
    };
    let reader = version(
        1,
        "reader",
        Arc::new(Counter),
        &["metric.other", "metric.session"],
        json!({ "kind": "key", "ttl_ms": 10_000 }),
        0,
    );
    Schedule(BTreeMap::from([
        (2, vec![deploy(world, other(100))]),
        (4, all(2).into_iter().map(|metric| deploy(world, metric)).collect()),
        (5, vec![deploy(world, reader.clone())]),
        (7, vec![pause(world, of_kind("session", 2)), pause(world, of_kind("keyed", 2))]),
        // Reads the rows of `other`, which can't go before it.
        (8, vec![Change::Undeploy { name: "other".to_owned() }]),
        (9, vec![deploy(world, of_kind("session", 2)), deploy(world, of_kind("keyed", 2))]),
        (11, vec![deploy(world, other(35)), deploy(world, by_other_key())]),
        (13, vec![Change::Undeploy { name: "reader".to_owned() }, Change::Undeploy { name: "other".to_owned() }]),
        (14, vec![deploy(world, version(1, "second", Arc::new(Signed(1)), &["left"], window("keyed"), 0))]),
        (15, vec![Change::Undeploy { name: "second".to_owned() }]),
        (16, vec![deploy(world, of_kind("keyed", 3)), deploy(world, of_kind("join", 3))]),
        (17, vec![deploy(world, of_kind("keyed", 4))]),
    ]))
}

#[test]
fn a_crash_at_any_step_of_a_change_changes_nothing() {
    let world = || World { workers: 2, ..World::new(input(120)) };
    let undisturbed = world();
    let schedule = eventful(&undisturbed);
    let (expected, made) = run(&undisturbed, all(1), &schedule);
    assert_eq!(made, 11, "and one is refused");
    let points = fail_point::ALL.iter().chain(&fail_point::OF_CHANGES).filter(|name| !name.contains("checkpoint"));
    for (place, point) in points.enumerate() {
        // Every step of every change, and of the epochs around them each at one of six.
        let reached = (1..=20).filter(|nth| *point == fail_point::CHANGED || (nth + place).is_multiple_of(6));
        for nth in reached {
            let world = World { workers: 1 + nth % 3, ..world() };
            let schedule = eventful(&world);
            let hook = deadly_hook(point, nth);
            let died = dies(|| {
                let mut engine = world.open(all(1), hook, &Arc::default()).expect("opens");
                schedule.drive(&mut engine);
            });
            assert!(died || *point == fail_point::CHANGED && nth > 11, "{point} is reached {nth} times");
            if died {
                assert!(run(&world, all(1), &schedule).0 == expected, "killed at {point} number {nth}");
            }
        }
    }
}

#[test]
fn a_lost_disk_is_made_good_across_changes() {
    let world = || World::new(input(120));
    let undisturbed = world();
    let schedule = eventful(&undisturbed);
    let (expected, _) = run(&undisturbed, all(1), &schedule);
    for image_after in [1, 3, 5, 10, 17] {
        for (lost_after, point) in [(1, fail_point::LOGGED), (2, fail_point::COMMITTED), (9, fail_point::FINALISED)] {
            let world = world();
            let schedule = eventful(&world);
            let live = |world: &World, hook| {
                dies(|| {
                    let mut engine = world.open(all(1), hook, &Arc::default()).expect("opens");
                    schedule.drive(&mut engine);
                })
            };
            assert!(live(&world, deadly_hook(fail_point::FINALISED, image_after)));
            let image = world.state.image();
            assert!(live(&world, deadly_hook(point, lost_after)));
            // The job's file has changed meanwhile: what is run again is run as it was.
            let restored = World { state: image, restored: true, workers: 3, ..world };
            let mut engine = restored.open(all(1), no_hook(), &Arc::default()).expect("opens");
            schedule.drive(&mut engine);
            assert!(restored.sink.rows() == expected, "image of epoch {image_after}, lost at {point} {lost_after}");
        }
    }
}

/// A change that takes effect at a restart, from the job's file, is a change like others: what has to be run again first
/// is run with the metrics of then.
#[test]
fn a_changed_file_takes_effect_behind_what_is_run_again() {
    let rows = |lose: bool| {
        let world = World::new(input(60));
        assert!(world.run_until_death(all(1), fail_point::FINALISED, 4));
        let image = world.state.image();
        assert!(world.run_until_death(all(1), fail_point::FINALISED, 6));
        let world = if lose { World { state: image, restored: true, ..world } } else { world };
        // Dying on the way changes nothing.
        assert!(world.run_until_death(all(2), fail_point::LOGGED, 2));
        let world = World { restored: lose, ..world };
        let mut engine = world.open(all(2), no_hook(), &Arc::default()).expect("opens");
        while engine.step().expect("steps") != Step::Finished {}
        world.sink.rows()
    };
    assert!(rows(false) == rows(true));
}

#[test]
fn state_of_a_removed_metric_is_gone() {
    let world = World::new(input(60));
    // State that never ends by itself.
    let forever = |name: &str| version(1, name, Arc::new(Signed(1)), &[], json!({ "kind": "key" }), 0);
    let undeploy = || vec![Change::Undeploy { name: "second".to_owned() }];
    let schedule = Schedule(BTreeMap::from([
        (2, vec![deploy(&world, forever("second"))]),
        (6, undeploy()),
        (8, vec![deploy(&world, forever("second"))]),
        (9, undeploy()),
    ]));
    let (_, made) = run(&world, vec![forever("first")], &schedule);
    let alone = World::new(input(60));
    alone.run(vec![forever("first")]);
    assert_eq!((made, alone.state.size()), (4, (20, 0)));
    assert_eq!(world.state.size(), alone.state.size());
}

fn refusal(engine: &mut Engine, changes: Vec<Change>) -> String {
    match engine.change(changes) {
        Err(ChangeError::Refused(reasons)) => reasons.join("; "),
        other => panic!("refused, not {other:?}"),
    }
}

fn resetting(change: Change) -> Change {
    match change {
        Change::Deploy { deployment, past, .. } => Change::Deploy { deployment, reset_state: true, past },
        other => other,
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_reason_and_changes_nothing() {
    let world = World::new(input(60));
    let (expected, _) = run(&World::new(input(60)), all(1), &Schedule::default());
    let mut engine = world.open(all(1), no_hook(), &Arc::default()).expect("opens");
    while engine.progress().epoch.0 < 3 {
        engine.step().expect("steps");
    }
    let by_other_key = |kind: &str| {
        let native: Arc<dyn NativeMetric> = Arc::new(Collect);
        let window = serde_json::from_value(window(kind)).expect("a window");
        let descriptor = Descriptor { key: "data.other".to_owned(), ..descriptor(kind, &*native, window) };
        metric_of(&descriptor, native, Overrides::default())
    };
    let circle = version(2, "session", Arc::new(Signed(2)), &["metric.session"], window("session"), 0);
    let cases = [
        (vec![deploy(&world, by_other_key("keyed"))], "keys of another path"),
        (
            vec![deploy(&world, version(2, "keyed", Arc::new(Signed(2)), &[], window(TUMBLING), 0))],
            "another kind of window",
        ),
        (vec![deploy(&world, circle)], "in a circle"),
        (vec![Change::Undeploy { name: "nothing".to_owned() }], "there is no metric nothing"),
        // All or nothing.
        (
            vec![deploy(&world, of_kind("join", 2)), Change::Undeploy { name: "nothing".to_owned() }],
            "no metric nothing",
        ),
    ];
    for (changes, reason) in cases {
        let refusal = refusal(&mut engine, changes);
        assert!(refusal.contains(reason), "{refusal}");
    }
    let before = engine.progress().clone();
    while engine.step().expect("steps") != Step::Finished {}
    assert_eq!(engine.progress().metrics, before.metrics);
    // An epoch that was closed for a change that was refused is one epoch more.
    let of = |rows: Vec<Row>| {
        rows.into_iter()
            .map(|(kind, mut row)| {
                row.as_object_mut().expect("a row").remove("epoch");
                (kind, row)
            })
            .collect::<Vec<_>>()
    };
    assert!(of(world.sink.rows()) == of(expected));
}

fn counting(version: u32, native: Arc<dyn NativeMetric>) -> MetricSpec {
    let window = serde_json::from_value(json!({ "kind": "key", "ttl_ms": 10 })).expect("a window");
    let descriptor = Descriptor { state_version: version, ..descriptor("count", &*native, window) };
    metric_of(&descriptor, native, Overrides::default())
}

/// Keys' states are migrated when they are next needed; where none can be, the change is refused.
#[test]
fn states_of_keys_are_migrated_or_the_change_is_refused() {
    let events = |count: i64| (0..count).map(|row| event("a", "k", row, row)).collect::<Vec<_>>();
    let at = |count: i64| {
        let input: Vec<_> =
            events(count).into_iter().chain([event("a", "other", 6, 0), event("b", "x", 900, 0)]).collect();
        let world = World { tick_records: 1, epoch_records: 1, ..World::new(vec![input]) };
        let mut engine = world.open(vec![counting(1, Arc::new(CountV1))], no_hook(), &Arc::default()).expect("opens");
        while (engine.progress().epoch.0 as i64) < count {
            engine.step().expect("steps");
        }
        (world, engine)
    };
    let (world, mut engine) = at(4);
    let change = deploy(&world, counting(2, Arc::new(CountV2)));
    engine.change(vec![change]).expect("four can be migrated");
    while engine.step().expect("steps") != Step::Finished {}
    let counts: Vec<_> =
        world.sink.metric("count").iter().map(|row| (row["key"].clone(), row["count"].clone())).collect();
    assert_eq!(counts, [(json!("k"), json!(4)), (json!("other"), json!(1)), (json!("x"), json!(1))]);

    // Three is unlucky.
    let (world, mut engine) = at(3);
    let change = deploy(&world, counting(2, Arc::new(CountV2)));
    let reason = refusal(&mut engine, vec![change.clone()]);
    assert!(
        reason.contains("none of 1 states") && reason.contains("unlucky") && reason.contains("reset_state"),
        "{reason}"
    );
    let by_other = {
        let mut metric = counting(2, Arc::new(CountV2));
        metric.key = "data.other".to_owned();
        metric.deployment.overrides.key = Some("data.other".to_owned());
        metric
    };
    engine.change(vec![resetting(deploy(&world, by_other))]).expect("its state may go");
    while engine.step().expect("steps") != Step::Finished {}
    assert_eq!(world.sink.metric("count").len(), 0, "what was counted is gone, and nothing has the other key");
}

/// While it is paused a metric takes no new windows; windows that are open end, and none is half full.
#[test]
fn a_pause_leaves_no_half_window() {
    let world = World { epoch_records: 20, ..World::new(input(0)) };
    let metric = || of_kind(TUMBLING, 1);
    let schedule = Schedule(BTreeMap::from([(4, vec![pause(&world, metric())]), (20, vec![deploy(&world, metric())])]));
    run(&world, vec![metric()], &schedule);
    let whole = World { epoch_records: 20, ..World::new(input(0)) };
    whole.run(vec![metric()]);
    let strip = |rows: Vec<Value>| without_epochs(rows).into_iter().map(|row| row.to_string()).collect::<Vec<_>>();
    let (rows, all) = (strip(world.sink.metric(TUMBLING)), strip(whole.sink.metric(TUMBLING)));
    assert!(rows.len() < all.len() && rows.len() > all.len() / 4, "{} of {}", rows.len(), all.len());
    assert!(rows.iter().all(|row| all.contains(row)), "every window that there is is whole");
}

/// A metric that begins while the job runs begins with the first window of which it sees every row.
#[test]
fn the_first_window_is_whole() {
    let world = World { epoch_records: 20, ..World::new(input(60)) };
    let schedule = Schedule(BTreeMap::from([(6, vec![deploy(&world, of_kind("sliding", 1))])]));
    run(&world, Vec::new(), &schedule);
    let whole = World { epoch_records: 20, bound_ms: 100, ..World::new(input(60)) };
    whole.run(vec![of_kind("sliding", 1)]);
    let strip = |rows: Vec<Value>| without_epochs(rows).into_iter().map(|row| row.to_string()).collect::<Vec<_>>();
    let (rows, all) = (strip(world.sink.metric("sliding")), strip(whole.sink.metric("sliding")));
    assert!(!rows.is_empty() && rows.iter().all(|row| all.contains(row)));
    let missing = all.len() - rows.len();
    assert!(all[missing..] == rows[..], "and from then on none is missing");
}

/// Windows that wait for a mended module go to it.
#[test]
fn a_mended_module_takes_over_from_a_quarantined_one() {
    let poison = event("status", "key-1", 205, 666);
    let mut events: Vec<MemoryEvent> = (0..20).map(|at| event("status", "key-1", at * 10, at)).collect();
    events.push(poison);
    events.extend((21..60).map(|at| event("status", "key-1", at * 10, at)));
    let budget = |native: Arc<dyn NativeMetric>, number| {
        let window = serde_json::from_value(window(TUMBLING)).expect("a window");
        let descriptor = Descriptor { version: format!("{number}.0.0"), ..descriptor("m", &*native, window) };
        metric_of(&descriptor, native, Overrides { error_budget: Some(0), ..Overrides::default() })
    };
    let world = World { tick_records: 1, epoch_records: 5, bound_ms: 0, ..World::new(vec![events]) };
    let schedule = Schedule(BTreeMap::from([(8, vec![deploy(&world, budget(Arc::new(Collect), 2))])]));
    run(&world, vec![budget(Arc::new(Collect), 1)], &schedule);
    let open = world.sink.metric("m").into_iter().find(|row| row["window_start"] == json!(130)).expect("it is closed");
    assert_eq!((open["version"].clone(), open["count"].clone()), (json!("2.0.0"), json!(7)));
}
