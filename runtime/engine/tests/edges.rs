//! Edges: the ends of time, timers without end, changed settings, partitions that come and go.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::natives::{Gather, Program};
use support::script::{Line, ScriptSource};
use support::*;
use tidemark_engine::deployment::Deployment;
use tidemark_engine::descriptor::{ColumnType, Descriptor, InputColumn, OutputColumn};
use tidemark_engine::enrichment::{TableSnapshot, TableSpec};
use tidemark_engine::fail_point::{self, no_hook};
use tidemark_engine::guest::CloseReason;
use tidemark_engine::ids::Partition;
use tidemark_engine::ids::{Epoch, Offset};
use tidemark_engine::memory::{GroupView, MemoryEvent, MemorySink, MemorySource, NativeMetric, Reply, output};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart, TickLog};
use tidemark_engine::tick_log::{EpochRecord, TickRecord};
use tidemark_engine::{Engine, EngineParts, Step};

fn finish(parts: EngineParts) {
    let mut engine = Engine::open(parts).expect("opens");
    while engine.step().expect("steps") != Step::Finished {}
}

fn gather(name: &str, window: Value) -> MetricSpec {
    metric(name, Arc::new(Gather::values()), &["a"], window)
}

fn times(sink: &MemorySink, name: &str) -> Vec<i64> {
    sink.metric(name).iter().map(|row| row["event_time"].as_i64().expect("a time")).collect()
}

/// Sets the next timer 10 ms after each.
struct Heartbeat;

impl NativeMetric for Heartbeat {
    fn inputs(&self) -> Vec<InputColumn> {
        Gather::values().inputs()
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("beat", ColumnType::Boolean)]
    }

    fn update(&self, _: &mut Value, group: &GroupView) -> Result<Reply, String> {
        Ok(Reply { rows: Vec::new(), timers: vec![group.rows[0].0 + 10] })
    }

    fn close(&self, _: &mut Value, group: &GroupView, _: CloseReason) -> Result<Reply, String> {
        Ok(Reply { rows: vec![vec![json!(true)]], timers: vec![group.time + 10] })
    }
}

#[test]
fn timers_without_end_end_with_the_input() {
    let input: Vec<MemoryEvent> = (0..7).map(|key| event("a", &key.to_string(), key, 0)).collect();
    let metrics = || vec![metric("beat", Arc::new(Heartbeat), &["a"], json!({ "kind": "key" }))];
    let run = |workers| World { workers, ..World::new(vec![input.clone()]) }.run(metrics());
    let sink = run(1);
    // In each step to the end of time the timers that are due, and those that they set, up to the bound.
    assert!(sink.metric("beat").len() >= 7 * 1_025, "{}", sink.metric("beat").len());
    assert!(sink.metric("beat").len() < 7 * 1_025 * 64, "{}", sink.metric("beat").len());
    let refused = sink.dead_letters();
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|letter| letter["reason"] == "state_limit"));
    assert!(run(5).rows() == sink.rows());
}

#[test]
fn a_long_chain_of_timers_goes_on_in_the_next_tick() {
    // The second event moves the watermark over 3,000 beats.
    let input = [event("a", "k", 0, 0), event("other", "k", 30_000, 0), event("other", "k", 30_001, 0)];
    let more = (2..6).map(|step| event("other", "k", 30_000 + step, 0));
    let world = World { tick_records: 1, bound_ms: 0, ..World::new(vec![input.into_iter().chain(more).collect()]) };
    let sink = world.run(vec![metric("beat", Arc::new(Heartbeat), &["a"], json!({ "kind": "key" }))]);
    let beats = times(&sink, "beat");
    let expected: Vec<i64> = (1..=beats.len() as i64).map(|beat| beat * 10).collect();
    assert_eq!(beats, expected, "every beat once, in order");
    assert!(beats.len() > 3_000 + 1_000, "to the end, and what is allowed beyond it: {}", beats.len());
}

#[test]
fn more_timers_than_a_batch_keep_their_order() {
    // One tick has 2 timers of 9,000 keys due, and each first one sets another between them.
    let orders = json!({ "set": "a", "timers": [20, 40], "on": { "20": { "set": "b", "timers": [30] } } });
    let mut input: Vec<MemoryEvent> = (0..9_000)
        .map(|key| {
            let mut event = event("a", &key.to_string(), 10, 0);
            event.event["data"]["do"] = orders.clone();
            event
        })
        .collect();
    input.push(event("other", "k", 1_000, 0));
    let world = World { tick_records: 100_000, epoch_records: 100_000, ..World::new(vec![input]) };
    let sink = world.run(vec![metric("p", Arc::new(Program), &["a"], json!({ "kind": "key" }))]);
    let mut rows: Vec<(String, i64, String)> = sink
        .metric("p")
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            (text("key"), row["event_time"].as_i64().expect("a time"), text("value"))
        })
        .collect();
    rows.sort();
    let expected = [(20, "\"a\""), (30, "\"b\""), (40, "\"b\"")];
    assert_eq!(rows.len(), 27_000);
    for (index, (_, time, value)) in rows.iter().enumerate() {
        assert_eq!((*time, value.as_str()), expected[index % 3]);
    }
}

#[test]
fn the_ends_of_time_are_times() {
    let moments = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    let join = json!({
        "kind": "interval-join", "left": { "type": ["a"] }, "right": { "type": ["a"] },
        "lower_ms": -10, "upper_ms": 10, "unmatched": "both",
    });
    for bound_ms in [0, 1_000, i64::MAX] {
        for order in [moments.to_vec(), moments.iter().rev().copied().collect()] {
            let input = order.iter().zip(0..).map(|(time, value)| event("a", "k", *time, value)).collect();
            let world = World { bound_ms, tick_records: 1, ..World::new(vec![input]) };
            let sink = world.run(vec![
                gather("tumbling", json!({ "kind": "tumbling", "size_ms": 60_000, "offset_ms": 7 })),
                gather("sliding", json!({ "kind": "sliding", "size_ms": 60, "slide_ms": 25 })),
                gather("session", json!({ "kind": "session", "gap_ms": 1_000 })),
                metric("keyed", Arc::new(Gather::values()), &["a"], json!({ "kind": "key", "ttl_ms": i64::MAX })),
                metric("join", Arc::new(Pairs), &[], join.clone()),
            ]);
            for name in ["tumbling", "session"] {
                let held: i64 = sink.metric(name).iter().filter_map(|row| row["count"].as_i64()).sum();
                let late = sink.dead_letters().iter().filter(|letter| letter["metric"] == name).count() as i64;
                assert_eq!(held + late, 6, "{name} with bound {bound_ms}: {order:?}");
            }
        }
    }
}

#[test]
fn too_many_windows_for_a_row_are_refused() {
    let window = json!({ "kind": "sliding", "size_ms": 86_400_000, "slide_ms": 1 });
    let native = Arc::new(Gather::values());
    let window = serde_json::from_value(window).expect("a window");
    let descriptor = Descriptor { ..descriptor("w", &*native, window) };
    let factory = tidemark_engine::memory::NativeFactory::new(native);
    let digest = tidemark_engine::ids::Digest([0; 32]);
    let mistakes = MetricSpec::new(&descriptor, Deployment::new("w", digest), digest, factory).expect_err("refused");
    assert!(mistakes[0].contains("10,000 windows"), "{mistakes:?}");
}

/// Emits a row for each call.
struct Eager;

impl NativeMetric for Eager {
    fn inputs(&self) -> Vec<InputColumn> {
        Gather::values().inputs()
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("rows", ColumnType::Integer)]
    }

    fn update(&self, _: &mut Value, group: &GroupView) -> Result<Reply, String> {
        let rows = group.rows.iter().map(|_| vec![json!(1)]).collect();
        Ok(Reply { rows, timers: Vec::new() })
    }

    fn close(&self, _: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        Ok(Reply { rows: vec![vec![json!(0)]], timers: Vec::new() })
    }
}

#[test]
fn rows_of_updates_have_ids_of_their_own() {
    for window in [
        json!({ "kind": "tumbling", "size_ms": 100 }),
        json!({ "kind": "session", "gap_ms": 100 }),
        json!({ "kind": "key", "ttl_ms": 100 }),
    ] {
        let input = (0..20).map(|row| event("a", "k", 7, row)).collect();
        let world = World { tick_records: 3, ..World::new(vec![input]) };
        let rows = world.run(vec![metric("w", Arc::new(Eager), &["a"], window.clone())]).metric("w");
        let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row["row_id"].to_string()).collect();
        assert!(rows.len() >= 20 && ids.len() == rows.len(), "{window}: {} ids for {} rows", ids.len(), rows.len());
    }
}

/// Pairs with another column on the left.
struct OtherPairs;

impl NativeMetric for OtherPairs {
    fn inputs(&self) -> Vec<InputColumn> {
        let mut inputs = Pairs.inputs();
        inputs[0].path = "data.other".to_owned();
        inputs
    }

    fn output(&self) -> Vec<OutputColumn> {
        Pairs.output()
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        Pairs.update(state, group)
    }

    fn close(&self, state: &mut Value, group: &GroupView, reason: CloseReason) -> Result<Reply, String> {
        Pairs.close(state, group, reason)
    }
}

/// Rows that wait in state would be read as what they are not.
#[test]
fn a_join_may_not_change_its_columns() {
    let join = json!({
        "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
        "lower_ms": 0, "upper_ms": 10,
    });
    let spec = |native: Arc<dyn NativeMetric>| vec![metric("j", native, &[], join.clone())];
    let world = World { tick_records: 1, epoch_records: 1, ..World::new(vec![vec![event("left", "k", 1, 1); 9]]) };
    assert!(world.run_until_death(spec(Arc::new(Pairs)), fail_point::FINALISED, 2));
    let error = world.open(spec(Arc::new(OtherPairs)), no_hook(), &Arc::default()).err().expect("refused").to_string();
    assert!(error.contains("metric j") && error.contains("another name"), "{error}");
    world.run(spec(Arc::new(Pairs)));
}

#[test]
fn a_join_buffer_is_bounded() {
    let input = (0..65_540).map(|row| event("left", "k", 1, row)).collect();
    let join = json!({
        "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
        "lower_ms": 0, "upper_ms": 10, "unmatched": "left",
    });
    let world = World { tick_records: 100_000, epoch_records: 100_000, ..World::new(vec![input]) };
    let sink = world.run(vec![metric("j", Arc::new(Pairs), &[], join)]);
    let refused = sink.dead_letters();
    assert_eq!((sink.metric("j").len(), refused.len()), (65_536, 4));
    assert_eq!(refused[0]["reason"], "state_limit");
}

/// Another allowed lateness from one run to the next leaves no window behind, and forgets none too early.
#[test]
fn the_allowed_lateness_may_change() {
    for (before, after, counts) in [(0, 50, 3), (50, 0, 2), (20, 60, 3), (60, 20, 2)] {
        let metrics = |lateness| {
            let overrides = Overrides { allowed_lateness_ms: Some(lateness), ..Overrides::default() };
            let native = Arc::new(Gather::values());
            vec![
                metric_with(
                    "w",
                    native.clone(),
                    &["a"],
                    json!({ "kind": "tumbling", "size_ms": 10 }),
                    overrides.clone(),
                ),
                metric_with("s", native, &["a"], json!({ "kind": "session", "gap_ms": 10 }), overrides),
            ]
        };
        let input = vec![
            event("a", "k", 3, 1), // [0, 10) fires with 20, …
            event("a", "k", 4, 2),
            event("a", "fires", 20, 3),
            event("a", "restart", 21, 4),
            event("other", "k", 45, 5),
            event("a", "k", 5, 6), // … and this comes with the watermark at 44.
            event("a", "end", 300, 7),
        ];
        let world = World { tick_records: 1, epoch_records: 1, bound_ms: 0, ..World::new(vec![input]) };
        assert!(world.run_until_death(metrics(before), fail_point::FINALISED, 4));
        let sink = world.run(metrics(after));
        let of_k = |name: &str| sink.metric(name).into_iter().filter(|row| row["key"] == "k").collect::<Vec<_>>();
        let last = |name: &str| of_k(name).last().map(|row| row["count"].clone());
        let late = sink.dead_letters().iter().filter(|letter| letter["reason"] == "late").count();
        if counts == 3 && before > 0 {
            assert_eq!((last("w"), last("s"), late), (Some(json!(3)), Some(json!(3)), 0), "{before} → {after}");
        } else if counts == 2 {
            assert_eq!((last("w"), last("s"), late), (Some(json!(2)), Some(json!(2)), 2), "{before} → {after}");
        }
        assert_eq!(world.state.size(), (0, 0), "{before} → {after}");
    }
}

#[test]
fn a_source_without_partitions_ends_if_it_is_bounded() {
    let world = World::new(Vec::new());
    world.run(vec![gather("w", json!({ "kind": "tumbling", "size_ms": 10 }))]);
    let mut parts = World::new(Vec::new()).parts(Vec::new(), no_hook(), &Arc::default());
    parts.source = Box::new(ScriptSource::new(0, Vec::new(), 0, true));
    let mut engine = Engine::open(parts).expect("opens");
    assert_eq!(engine.step().expect("steps"), Step::Idle, "a live one may still get one");
    assert!(!engine.progress().finished);
}

/// Who is idle is decided by the clock and written down; a re-run does as the log says.
#[test]
fn an_idle_partition_holds_nothing_back() {
    let mut log = World::new(Vec::new()).tick_log;
    let block = |place, line: u64| (place, Offset(line + 1));
    let ticks = vec![
        TickRecord { blocks: vec![block(0, 0)], ..TickRecord::default() },
        TickRecord { blocks: vec![block(1, 1)], ..TickRecord::default() },
        TickRecord { idle: vec![1], ..TickRecord::default() },
    ];
    let partitions = vec![("0".to_owned(), Offset(0)), ("1".to_owned(), Offset(0))];
    let record = EpochRecord { partitions, ticks, ..EpochRecord::default() };
    log.append(Epoch(1), &record.encode()).expect("kept");
    let world = World { tick_log: log, restored: true, bound_ms: 0, ..World::new(Vec::new()) };
    let telemetry = Arc::default();
    let mut parts = world.parts(vec![gather("w", json!({ "kind": "tumbling", "size_ms": 10 }))], no_hook(), &telemetry);
    let line = |place, time| Line::Event(place, event("a", "k", time, time));
    // Partition 1 wakes up behind the watermark: its row is late, and the watermark stays where it is.
    let lines = vec![line(0, 100), line(1, 5), line(0, 120), line(1, 50), line(0, 130), line(1, 140)];
    parts.source = Box::new(ScriptSource::new(2, lines, 0, false));
    parts.settings.tick =
        tidemark_engine::TickLimits { records: 1, interval: Duration::ZERO, idle_after: None, ..parts.settings.tick };
    let mut engine = Engine::open(parts).expect("opens");
    let mut watermarks = Vec::new();
    while engine.step().expect("steps") == Step::Ticked {
        watermarks.push(telemetry.watermark_ms.get());
    }
    let expected = [i64::MIN, 4, 99, 119, 119, 119, 129];
    assert_eq!(watermarks, expected);
    assert_eq!(telemetry.dead().get(&tidemark_engine::dead_letter::Reason::Late), Some(&1));
}

/// Only silence when asked makes a partition idle: not that others filled the ticks, or that the engine was busy.
#[test]
fn a_partition_that_nobody_asked_is_not_idle() {
    let telemetry = Arc::default();
    let world = World { bound_ms: 0, ..World::new(Vec::new()) };
    let mut parts = world.parts(Vec::new(), no_hook(), &telemetry);
    let line = |place, time| Line::Event(place, event("a", "k", time, time));
    // With one record a tick, a partition is asked only after the other one was heard. The last two lines are both of
    // partition 0: this time partition 1 is asked, and has nothing.
    let lines = vec![line(0, 100), line(1, 5), line(0, 110), line(1, 6), line(0, 120), line(0, 130), line(1, 200)];
    parts.source = Box::new(ScriptSource::new(2, lines, 0, true));
    parts.settings.tick.records = 1;
    parts.settings.tick.interval = Duration::ZERO;
    parts.settings.tick.idle_after = Some(Duration::ZERO);
    let mut engine = Engine::open(parts).expect("opens");
    let mut watermarks = Vec::new();
    while engine.step().expect("steps") == Step::Ticked {
        watermarks.push(telemetry.watermark_ms.get());
    }
    // What follows leads to the end of time in steps.
    assert_eq!(watermarks[..7], [i64::MIN, 4, 4, 5, 5, 129, 129]);
    assert!(watermarks.is_sorted());
    assert_eq!(watermarks.last(), Some(&i64::MAX));
}

/// A source that shows its partitions in another order than they were met in.
struct Renamed(MemorySource, Vec<String>);

impl Source for Renamed {
    fn start(&mut self, mut start: SourceStart) -> Result<(), PortError> {
        let place = |name: &str| self.1.iter().position(|own| own == name).map(|place| place.to_string());
        let by_place = |(name, value)| Some((place(name)?, value));
        start.positions = start.positions.iter().filter_map(|(name, at)| by_place((name, *at))).collect();
        start.cuts = std::mem::take(&mut start.cuts)
            .into_iter()
            .filter_map(|(name, cuts)| Some((place(&name)?, cuts)))
            .collect();
        self.0.start(start)
    }

    fn partitions(&self) -> &[String] {
        &self.1
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
}

/// The places of partitions decide the order of rows with the same time, so they are kept even if the state is lost.
#[test]
fn partitions_keep_their_places_from_the_tick_log() {
    let content = |name: &str| (0..9).map(|row| event("a", name, row * 10, row)).collect::<Vec<_>>();
    let open = |world: &World, names: &[&str]| {
        let metrics = vec![gather("w", json!({ "kind": "tumbling", "size_ms": 20 }))];
        let mut parts = world.parts(metrics, no_hook(), &Arc::default());
        let source = MemorySource::new(names.iter().map(|name| content(name)).collect());
        parts.source = Box::new(Renamed(source, names.iter().map(|name| (*name).to_owned()).collect()));
        Engine::open(parts).expect("opens")
    };
    let world = World { tick_records: 3, epoch_records: 3, ..World::new(Vec::new()) };
    let mut engine = open(&world, &["b", "c", "a"]);
    for _ in 0..4 {
        assert_eq!(engine.step().expect("steps"), Step::Ticked);
    }
    drop(engine);
    // The state is gone, and the source lists its partitions by name now.
    let state = World::new(Vec::new()).state;
    let world = World { state, restored: true, ..world };
    let mut engine = open(&world, &["a", "b", "c"]);
    while engine.step().expect("steps") != Step::Finished {}
    let names: Vec<&str> = engine.progress().partitions.iter().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
    assert_eq!(world.sink.metric("w").len(), 3 * 5);
}

#[test]
fn a_state_older_than_the_tick_log_is_refused() {
    let world = World { epoch_records: 5, ..World::new(vec![(0..40).map(|at| event("a", "k", at, at)).collect()]) };
    let metrics = || vec![gather("w", json!({ "kind": "tumbling", "size_ms": 10 }))];
    let rows = world.run(metrics()).rows();
    // Not told that the state was lost, the engine must neither start afresh nor drop the log and what was written.
    let fresh = World { state: World::new(Vec::new()).state, ..world.clone() };
    let error = fresh.open(metrics(), no_hook(), &Arc::default()).err().expect("refused").to_string();
    assert!(error.contains("epoch 0") && error.contains("restore"), "{error}");
    assert!(world.sink.rows() == rows);
    // Nor may epochs be missing between the state and the log.
    world.tick_log.clone().forget_before(Epoch(2)).expect("forgets");
    let restored = World { restored: true, ..fresh };
    let error = restored.open(metrics(), no_hook(), &Arc::default()).err().expect("refused").to_string();
    assert!(error.contains("no record of epoch 1"), "{error}");
}

#[test]
fn a_snapshot_of_the_stream_wins_over_a_file_after_a_restart_too() {
    let snapshot = |time, name: &str| TableSnapshot {
        table: 0,
        event_time: time,
        rows: vec![("u".to_owned(), vec![Some(name.to_owned())])].into(),
        ambiguous: 0,
    };
    let mut known = event("a", "k", 5, 0);
    known.event["data"]["uri"] = json!("u");
    let lines = [Line::Snapshot(0, snapshot(0, "stream")), Line::Event(0, known.clone()), Line::Event(0, known)];
    let world = World::new(Vec::new());
    for from in [0, 2] {
        let native = Gather { path: "enrich.names.name".to_owned(), kind: ColumnType::Text };
        let metrics = vec![metric("w", Arc::new(native), &["a"], json!({ "kind": "tumbling", "size_ms": 10 }))];
        let mut parts = world.parts(metrics, no_hook(), &Arc::default());
        let script = lines[..from + if from == 0 { 2 } else { 1 }].to_vec();
        parts.source = Box::new(ScriptSource::new(1, script, from, from > 0));
        parts.tables = vec![TableSpec {
            name: "names".to_owned(),
            event_keys: vec!["data.uri".to_owned()],
            lower_case: false,
            fields: vec!["name".to_owned()],
            max_age_ms: None,
            max_ahead_ms: 0,
        }];
        parts.table_files = vec![snapshot(0, "file")];
        parts.settings.epoch_interval = Duration::ZERO;
        parts.settings.tick.interval = Duration::ZERO;
        parts.settings.tick.records = 1;
        if from > 0 {
            finish(parts);
        } else {
            let mut engine = Engine::open(parts).expect("opens");
            while engine.step().expect("steps") == Step::Ticked {}
        }
    }
    assert_eq!(world.sink.metric("w")[0]["values"], json!("[\"stream\",\"stream\"]"));
}
