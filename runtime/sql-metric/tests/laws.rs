//! Laws: what a statement gives does not depend on how rows arrive, how ticks and epochs cut them, how many workers
//! there are and how often the process dies. Against an oracle that knows the whole input.

mod common;
#[path = "../../engine/tests/support/mod.rs"]
mod support;

use common::{definition, metric};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use support::oracle::{self, Fact, Fired};
use support::{World, event, without_epochs};
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::fail_point;
use tidemark_engine::memory::{MemoryEvent, MemorySink};
use tidemark_engine::metric::MetricSpec;

const SIZE: i64 = 40;
const SLIDE: i64 = 15;
const GAP: i64 = 25;

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

fn arrivals() -> impl Strategy<Value = Arrivals> {
    let event = (prop_oneof![4 => 0..12_i64, 1 => 30..120_i64], 0..=50_i64, 0..3_u8, any::<bool>());
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

/// Everything whose result is exact, and so the same in any order.
const SELECT: &str = "COUNT(*) AS rows, COUNT(value) FILTER (WHERE MOD(value, 2) = 0) AS even, SUM(value) AS sum, \
                      MIN(value) AS least, MAX(value) AS greatest, COUNT(DISTINCT MOD(value, 7)) AS sevenths, \
                      MAX(value) - MIN(value) AS spread";

fn metrics() -> Vec<MetricSpec> {
    let windowed = |name: &str, condition: &str, window: &str, having: &str| {
        let sql = format!("SELECT {SELECT} FROM events WHERE {condition} GROUP BY data.key, {window} {having}");
        let columns = [("value", "data.value", Some(ColumnType::Integer))];
        metric(&definition(name, &sql, &columns), &BTreeMap::new(), 0)
    };
    let third = "type IN ('left', 'right') AND MOD(value, 3) <> 0";
    let each =
        "SELECT value * 10 AS tenfold, event_time AS time FROM events WHERE type = 'left' AND MOD(value, 3) <> 0";
    let columns = [("value", "data.value", Some(ColumnType::Integer))];
    let mut each = metric(&definition("each", each, &columns), &BTreeMap::new(), 0);
    each.key = "data.key".to_owned();
    let ms = |ms: i64| format!("INTERVAL '{ms}' MILLISECOND");
    vec![
        windowed("tumbling", "type IN ('left', 'right')", &format!("TUMBLE(event_time, {})", ms(SIZE)), ""),
        windowed("third", third, &format!("TUMBLE(event_time, {})", ms(SIZE)), "HAVING COUNT(*) > 1"),
        windowed("sliding", third, &format!("HOP(event_time, {}, {})", ms(SLIDE), ms(SIZE)), ""),
        windowed("session", "type IN ('left', 'right')", &format!("SESSION(event_time, {})", ms(GAP)), ""),
        each,
    ]
}

/// Runs to the end over every death.
fn play(run: &Run, input: Vec<Vec<MemoryEvent>>) -> MemorySink {
    let (tick_records, epoch_records) = (run.tick_records, run.epoch_records);
    let world = World { workers: run.workers, tick_records, epoch_records, bound_ms: 50, ..World::new(input) };
    for (point, nth) in &run.deaths {
        world.run_until_death(metrics(), fail_point::ALL[*point], *nth);
    }
    let sink = world.run(metrics());
    assert_eq!(world.state.size(), (0, 0), "windows leave nothing behind");
    sink
}

/// The row of a window that holds these values; `None` where it has none.
fn row_of((key, start, end, time, values): &Fired) -> Value {
    let sevenths: BTreeSet<i64> = values.iter().map(|value| value % 7).collect();
    let (least, greatest) = (values[0], values[values.len() - 1]);
    json!({
        "key": key.to_string(), "window_start": start, "window_end": end, "event_time": time,
        "rows": values.len(),
        "even": values.iter().filter(|value| *value % 2 == 0).count(),
        "sum": values.iter().sum::<i64>(),
        "least": least,
        "greatest": greatest,
        "sevenths": sevenths.len(),
        "spread": greatest - least,
    })
}

/// Rows by their own columns, in one order.
fn shown(rows: Vec<Value>) -> Vec<String> {
    let names = [
        "key",
        "window_start",
        "window_end",
        "event_time",
        "rows",
        "even",
        "sum",
        "least",
        "greatest",
        "sevenths",
        "spread",
    ];
    let mut shown: Vec<String> = rows
        .into_iter()
        .map(|row| {
            Value::Object(names.map(|name| (name.to_owned(), row[name].clone())).into_iter().collect()).to_string()
        })
        .collect();
    shown.sort_unstable();
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_those_of_the_oracle(arrivals in arrivals(), run in runs()) {
        let facts = facts(&arrivals);
        let sink = play(&run, partitions(&facts, arrivals.len()));
        prop_assert_eq!(sink.dead_letters(), Vec::<Value>::new());
        let third: Vec<Fact> = facts.iter().filter(|fact| fact.value % 3 != 0).copied().collect();
        let rows = |windows: Vec<Fired>, least: usize| {
            shown(windows.iter().filter(|window| window.4.len() >= least).map(row_of).collect())
        };
        prop_assert_eq!(shown(sink.metric("tumbling")), rows(oracle::aligned(&facts, SIZE, SIZE, 0), 1));
        prop_assert_eq!(shown(sink.metric("third")), rows(oracle::aligned(&third, SIZE, SIZE, 0), 2));
        prop_assert_eq!(shown(sink.metric("sliding")), rows(oracle::aligned(&third, SIZE, SLIDE, 0), 1));
        prop_assert_eq!(shown(sink.metric("session")), rows(oracle::sessions(&facts, GAP), 1));
        let mut each: Vec<(i64, i64, i64)> = sink
            .metric("each")
            .iter()
            .map(|row| (row["event_time"].as_i64().unwrap(), row["time"].as_i64().unwrap(), row["tenfold"].as_i64().unwrap()))
            .collect();
        each.sort_unstable();
        let mut expected: Vec<(i64, i64, i64)> =
            third.iter().filter(|fact| fact.left).map(|fact| (fact.time, fact.time, fact.value * 10)).collect();
        expected.sort_unstable();
        prop_assert_eq!(each, expected);
    }

    /// Row ids, provenance and all.
    #[test]
    fn a_row_is_the_same_row_however_the_engine_is_run(arrivals in arrivals(), run in runs()) {
        let facts = facts(&arrivals);
        let calm = Run { workers: 1, tick_records: 5, epoch_records: 20, deaths: Vec::new() };
        let rows = |run: &Run| {
            let sink = play(run, partitions(&facts, arrivals.len()));
            let names = ["tumbling", "third", "sliding", "session", "each"];
            names.map(|name| {
                let mut rows: Vec<String> =
                    without_epochs(sink.metric(name)).iter().map(ToString::to_string).collect();
                rows.sort_unstable();
                rows
            })
        };
        prop_assert_eq!(rows(&run), rows(&calm));
    }
}
