//! Laws of windows and joins, against an oracle that knows the whole input: how rows arrive, how ticks and epochs cut
//! them, how many workers there are and how often the process dies must not show in what comes out.

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::natives::Gather;
use support::oracle::{self, Fact, Fired, JoinRow};
use support::*;
use tidemark_engine::fail_point;
use tidemark_engine::memory::{MemoryEvent, MemorySink};
use tidemark_engine::metric::{MetricSpec, Overrides};

const SIZE: i64 = 40;
const SLIDE: i64 = 15;
const OFFSET: i64 = -4;
const GAP: i64 = 25;
const LOWER: i64 = -20;
const UPPER: i64 = 35;
const LATENESS: i64 = 30;

/// How the engine is run: nothing of this may matter.
#[derive(Clone, Debug)]
struct Run {
    workers: usize,
    tick_records: usize,
    epoch_records: usize,
    /// Fail points, and how often each is reached before the process dies there.
    deaths: Vec<(usize, usize)>,
}

prop_compose! {
    fn runs()(
        workers in 1_usize..5,
        tick_records in prop_oneof![Just(1_usize), 2..12_usize, Just(1_000)],
        epoch_records in 1..80_usize,
        deaths in prop::collection::vec((0..6_usize, 1..6_usize), 0..4),
    ) -> Run {
        Run { workers, tick_records, epoch_records, deaths }
    }
}

/// Events of up to three partitions: (time since the one before, how far behind the newest, key, side).
type Arrivals = Vec<Vec<(i64, i64, u8, bool)>>;

fn arrivals(disorder: i64) -> impl Strategy<Value = Arrivals> {
    let event = (prop_oneof![4 => 0..12_i64, 1 => 30..120_i64], 0..=disorder, 0..3_u8, any::<bool>());
    prop::collection::vec(prop::collection::vec(event, 0..30), 1..4)
}

fn facts(arrivals: &Arrivals) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (partition, events) in arrivals.iter().enumerate() {
        let mut newest = -100;
        for (offset, (step, behind, key, left)) in events.iter().enumerate() {
            newest += step;
            let value = (partition * 1_000 + offset) as i64;
            facts.push(Fact { time: newest - behind, partition, offset, key: *key, left: *left, value });
        }
    }
    facts
}

fn partitions(facts: &[Fact], count: usize) -> Vec<Vec<MemoryEvent>> {
    let mut partitions = vec![Vec::new(); count];
    for fact in facts {
        let kind = if fact.left { "left" } else { "right" };
        partitions[fact.partition].push(event(kind, &fact.key.to_string(), fact.time, fact.value));
    }
    partitions
}

fn metrics(lateness: i64) -> Vec<MetricSpec> {
    let both = ["left", "right"];
    let window = |name: &str, window: Value| {
        let overrides = Overrides { allowed_lateness_ms: Some(lateness), ..Overrides::default() };
        metric_with(name, Arc::new(Gather::values()), &both, window, overrides)
    };
    let join = |name: &str, take: &str| {
        let terms = json!({
            "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
            "lower_ms": LOWER, "upper_ms": UPPER, "take": take, "unmatched": "both",
        });
        metric(name, Arc::new(Pairs), &[], terms)
    };
    vec![
        window("tumbling", json!({ "kind": "tumbling", "size_ms": SIZE, "offset_ms": OFFSET })),
        window("sliding", json!({ "kind": "sliding", "size_ms": SIZE, "slide_ms": SLIDE })),
        window("gappy", json!({ "kind": "sliding", "size_ms": SLIDE, "slide_ms": SIZE })),
        window("session", json!({ "kind": "session", "gap_ms": GAP })),
        join("join", "all"),
        join("first", "first"),
    ]
}

/// Runs to the end over every death.
fn play(run: &Run, input: Vec<Vec<MemoryEvent>>, bound_ms: i64, lateness: i64) -> MemorySink {
    let (tick_records, epoch_records) = (run.tick_records, run.epoch_records);
    let world = World { workers: run.workers, tick_records, epoch_records, bound_ms, ..World::new(input) };
    for (point, nth) in &run.deaths {
        world.run_until_death(metrics(lateness), fail_point::ALL[*point], *nth);
    }
    let sink = world.run(metrics(lateness));
    assert_eq!(world.state.size(), (0, 0), "windows and joins leave nothing behind");
    sink
}

fn fired(sink: &MemorySink, name: &str) -> Vec<Fired> {
    let rows = sink.metric(name).into_iter().map(|row| {
        let number = |field: &str| row[field].as_i64().expect("a number");
        let mut values: Vec<i64> =
            serde_json::from_str(row["values"].as_str().expect("a list")).expect("a list of numbers");
        values.sort_unstable();
        let key = row["key"].as_str().and_then(|key| key.parse().ok()).expect("a key");
        (key, number("window_start"), number("window_end"), number("event_time"), values)
    });
    rows.collect()
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort_unstable();
    rows
}

fn joined(sink: &MemorySink, name: &str) -> Vec<JoinRow> {
    let rows = sink.metric(name).into_iter().map(|row| {
        let key = row["key"].as_str().and_then(|key| key.parse().ok()).expect("a key");
        (key, row["event_time"].as_i64().expect("a time"), row["left"].as_i64(), row["right"].as_i64())
    });
    sorted(rows.collect())
}

/// Values of the late rows of a metric.
fn late(sink: &MemorySink, name: &str) -> Vec<i64> {
    let of = sink.dead_letters().into_iter().filter(|letter| letter["metric"] == name);
    let values = of.map(|letter| {
        assert_eq!(letter["reason"], "late");
        let record: Value = serde_json::from_str(letter["payload"].as_str().expect("a text")).expect("an event");
        record["data"]["value"].as_i64().expect("a value")
    });
    sorted(values.collect())
}

/// The last firing of every window: within the allowed lateness a window fires again with all that it holds, and a
/// session that has fired may become part of a longer one, with all its rows.
fn last_fired(sink: &MemorySink, name: &str) -> BTreeMap<(u8, i64, i64), Vec<i64>> {
    let mut last: BTreeMap<(u8, i64, i64), Vec<i64>> = BTreeMap::new();
    for (key, start, end, _, values) in fired(sink, name) {
        let part = |old: &Vec<i64>| old.iter().all(|value| values.contains(value));
        last.retain(|_, old| name != "session" || !part(old));
        last.insert((key, start, end), values);
    }
    last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Disorder within the bound does not show, and neither does anything else.
    #[test]
    fn rows_are_those_of_the_oracle(arrivals in arrivals(50), run in runs(), slack in 0..3_i64) {
        let facts = facts(&arrivals);
        let sink = play(&run, partitions(&facts, arrivals.len()), 50 + slack, 0);
        prop_assert_eq!(sink.dead_letters(), Vec::<Value>::new());
        prop_assert_eq!(sorted(fired(&sink, "tumbling")), oracle::aligned(&facts, SIZE, SIZE, OFFSET));
        prop_assert_eq!(sorted(fired(&sink, "sliding")), oracle::aligned(&facts, SIZE, SLIDE, 0));
        prop_assert_eq!(sorted(fired(&sink, "gappy")), oracle::aligned(&facts, SLIDE, SIZE, 0));
        prop_assert_eq!(sorted(fired(&sink, "session")), oracle::sessions(&facts, GAP));
        prop_assert_eq!(joined(&sink, "join"), oracle::join(&facts, LOWER, UPPER, false));
        prop_assert_eq!(joined(&sink, "first"), oracle::join(&facts, LOWER, UPPER, true));
    }

    /// Whatever the disorder, no row is lost and none is counted twice: it is in its windows, or late.
    #[test]
    fn every_row_is_in_its_windows_or_late(
        arrivals in arrivals(90), run in runs(), bound in 0..40_i64, lateness in prop_oneof![Just(0), Just(LATENESS)],
    ) {
        let facts = facts(&arrivals);
        let sink = play(&run, partitions(&facts, arrivals.len()), bound, lateness);
        for name in ["tumbling", "sliding", "gappy", "session"] {
            let (windows, late) = (last_fired(&sink, name), late(&sink, name));
            prop_assert_eq!(late.len(), late.iter().collect::<BTreeSet<_>>().len(), "{} buries a row twice", name);
            for fact in &facts {
                let of_row = windows.iter().filter(|(_, values)| values.contains(&fact.value));
                let held: Vec<(u8, i64, i64)> = of_row.map(|(window, _)| *window).collect();
                let possible = match name {
                    "tumbling" => oracle::windows_of(fact.time, SIZE, SIZE, OFFSET),
                    "sliding" => oracle::windows_of(fact.time, SIZE, SLIDE, 0),
                    "gappy" => oracle::windows_of(fact.time, SLIDE, SIZE, 0),
                    _ => held.iter().map(|window| window.1).collect(),
                };
                let starts: Vec<i64> = held.iter().map(|window| window.1).collect();
                // A row that is late for its older windows is still in the newer ones.
                prop_assert!(possible.ends_with(&starts), "{}: {:?} in {:?} of {:?}", name, fact, starts, possible);
                let is_late = late.binary_search(&fact.value).is_ok();
                let in_gap = name == "gappy" && possible.is_empty();
                prop_assert!(in_gap || is_late == held.is_empty(), "{}: {:?} late: {}, in {:?}", name, fact, is_late, held);
                prop_assert!(held.iter().all(|window| window.0 == fact.key && window.1 <= fact.time && fact.time < window.2));
                prop_assert!(name != "session" || held.len() <= 1, "{:?} in {:?}", fact, held);
                let times = windows.values().flatten().filter(|value| **value == fact.value).count();
                prop_assert_eq!(times, held.len(), "{}: {:?} twice in a window", name, fact);
            }
        }
        for (name, first) in [("join", false), ("first", true)] {
            let (rows, late) = (joined(&sink, name), late(&sink, name));
            let possible: BTreeSet<JoinRow> = oracle::join(&facts, LOWER, UPPER, false).into_iter().collect();
            for fact in &facts {
                let holds = |row: &&JoinRow| (if fact.left { row.2 } else { row.3 }) == Some(fact.value);
                let own: Vec<&JoinRow> = rows.iter().filter(holds).collect();
                let pairs = own.iter().filter(|row| row.2.is_some() && row.3.is_some()).count();
                let lonely = own.len() - pairs;
                let is_late = late.binary_search(&fact.value).is_ok();
                let places = usize::from(pairs > 0) + lonely + usize::from(is_late);
                prop_assert_eq!(places, 1, "{}: {:?} in {:?}, late: {}", name, fact, own, is_late);
                prop_assert!(!(first && fact.left) || pairs <= 1);
            }
            let pairs = rows.iter().filter(|row| row.2.is_some() && row.3.is_some());
            let pairs: Vec<&JoinRow> = pairs.collect();
            prop_assert_eq!(pairs.len(), pairs.iter().collect::<BTreeSet<_>>().len(), "{} makes a pair twice", name);
            prop_assert!(pairs.iter().all(|row| possible.contains(row)), "{} makes a pair that is none", name);
        }
    }
}
