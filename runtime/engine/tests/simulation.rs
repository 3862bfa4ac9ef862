//! The simulation: jobs, input, changes of the metrics and everything that can go wrong are drawn from one seed, and the
//! rows must be those of a run in which nothing went wrong.
//!
//! `TIDEMARK_SEED=n` runs the one seed that a failure names, `TIDEMARK_SEEDS=n` another number of them.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::changes::{Schedule, deploy};
use support::faults::{Faults, Faulty, Images, LiveSource, MemoryCheckpoints, Random};
use support::natives::{Chain, Gather};
use support::*;
use tidemark_engine::Engine;
use tidemark_engine::deployment::Change;
use tidemark_engine::descriptor::{ColumnType, Descriptor};
use tidemark_engine::fail_point::{self, Hook, no_hook};
use tidemark_engine::memory::{MemoryEvent, MemorySource, MemoryState, NativeMetric, Row};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::output::TableKind;

/// What is drawn for one seed.
struct Plan {
    /// Nothing is late and no row poison, so that neither ticks nor epochs may show; else they are the same in every life.
    calm: bool,
    /// The source is live: its blocks have other sizes in every life.
    live: bool,
    input: Vec<Vec<MemoryEvent>>,
    metrics: Vec<Drawn>,
    /// By the epoch behind which they are made. Those of a calm run change versions and nothing else.
    changes: BTreeMap<u64, Vec<DrawnChange>>,
    bound_ms: i64,
    tick_records: usize,
    epoch_records: usize,
    epoch_dirty_bytes: usize,
    checkpoint_every: u64,
}

/// A change of the metrics.
#[derive(Clone)]
enum DrawnChange {
    Deploy { metric: Drawn, paused: bool },
    Undeploy(String),
}

impl DrawnChange {
    fn change(&self, world: &World) -> Change {
        match self {
            Self::Undeploy(name) => Change::Undeploy { name: name.clone() },
            Self::Deploy { metric, paused } => match deploy(world, metric.spec()) {
                Change::Deploy { mut deployment, reset_state, past } => {
                    deployment.paused = *paused;
                    Change::Deploy { deployment, reset_state, past }
                }
                other => other,
            },
        }
    }
}

/// A drawn metric; made anew for every life.
#[derive(Clone)]
struct Drawn {
    name: String,
    version: u32,
    native: Arc<dyn NativeMetric>,
    types: Vec<String>,
    window: Value,
    lateness_ms: i64,
    error_budget: u32,
}

impl Drawn {
    fn spec(&self) -> MetricSpec {
        let overrides = Overrides {
            allowed_lateness_ms: Some(self.lateness_ms),
            error_budget: Some(self.error_budget),
            ..Overrides::default()
        };
        let filter = if self.types.is_empty() { json!({}) } else { json!({ "type": self.types }) };
        let window = serde_json::from_value(self.window.clone()).expect("a window");
        let descriptor = Descriptor {
            version: format!("{}.0.0", self.version),
            filter: serde_json::from_value(filter).expect("a filter"),
            ..descriptor(&self.name, &*self.native, window)
        };
        metric_of(&descriptor, self.native.clone(), overrides)
    }

    fn has_windows(&self) -> bool {
        ["tumbling", "sliding", "session"].iter().any(|kind| self.window["kind"] == *kind)
    }
}

fn between(random: &mut Random, range: Range<i64>) -> i64 {
    range.start + random.below((range.end - range.start) as u64) as i64
}

fn draw(seed: u64) -> Plan {
    let random = &mut Random::new(seed);
    let calm = random.one_in(2);
    let disorder = between(random, 0..80);
    let mut metrics: Vec<Drawn> = (0..1 + random.below(4)).map(|number| draw_metric(random, number, calm)).collect();
    if random.one_in(2) {
        let read = format!("metric.{}", metrics[0].name);
        let native: Arc<dyn NativeMetric> = match random.below(2) {
            0 => Arc::new(Counter),
            _ => Arc::new(Gather { path: "data.count".to_owned(), kind: ColumnType::Integer }),
        };
        let window = match random.below(2) {
            0 => json!({ "kind": "key" }),
            _ => json!({ "kind": "tumbling", "size_ms": between(random, 20..200) }),
        };
        let (name, types) = ("of-first".to_owned(), vec![read]);
        // First, so that it has to be put in order.
        metrics.insert(0, Drawn { name, version: 1, native, types, window, lateness_ms: 0, error_budget: 1_000 });
    }
    let changes = if random.one_in(2) { draw_changes(random, &metrics, calm) } else { BTreeMap::new() };
    Plan {
        calm,
        live: calm && random.one_in(2),
        input: (0..1 + random.below(3)).map(|partition| draw_events(random, partition, disorder, calm)).collect(),
        metrics,
        changes,
        bound_ms: if calm { disorder + between(random, 0..30) } else { between(random, 0..disorder + 1) },
        tick_records: 1 + random.below(30) as usize,
        epoch_records: 1 + random.below(60) as usize,
        epoch_dirty_bytes: if random.one_in(3) { 100 + random.below(5_000) as usize } else { usize::MAX },
        checkpoint_every: random.below(5),
    }
}

fn draw_metric(random: &mut Random, number: u64, calm: bool) -> Drawn {
    let gather = || Arc::new(Gather::values());
    let kinds = ["left", "right", "status"].map(str::to_owned);
    let mut types: Vec<String> = kinds.iter().filter(|_| random.one_in(2)).cloned().collect();
    if types.is_empty() {
        types.push(kinds[2].clone());
    }
    let size = between(random, 10..150);
    let (native, window): (Arc<dyn NativeMetric>, Value) = match random.below(7) {
        0 => {
            (gather(), json!({ "kind": "tumbling", "size_ms": size, "offset_ms": between(random, 0..size) - size / 2 }))
        }
        1 => (gather(), json!({ "kind": "sliding", "size_ms": size, "slide_ms": between(random, 8..200) })),
        2 => (gather(), json!({ "kind": "session", "gap_ms": between(random, 1..60) })),
        // In a calm run no key may expire between its rows: whether it does is a matter of arrival.
        3 => (
            Arc::new(Counter),
            json!({ "kind": "key", "ttl_ms": if calm { 1 << 40 } else { between(random, 1..300) } }),
        ),
        4 => {
            let ttl = if calm { 1 << 40 } else { between(random, 1..200) };
            (Arc::new(Chain { forgetful: !calm }), json!({ "kind": "key", "ttl_ms": ttl }))
        }
        _ => {
            let lower = between(random, -60..60);
            let take = ["all", "first"][random.below(2) as usize];
            let unmatched = ["none", "left", "right", "both"][random.below(4) as usize];
            let window = json!({
                "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
                "lower_ms": lower, "upper_ms": lower + between(random, 0..90),
                "take": take, "unmatched": unmatched,
            });
            types.clear();
            (Arc::new(Pairs), window)
        }
    };
    let lateness_ms = if random.one_in(2) { between(random, 0..60) } else { 0 };
    let error_budget = if random.one_in(3) { random.below(3) as u32 } else { 1_000 };
    Drawn { name: format!("metric-{number}"), version: 1, native, types, window, lateness_ms, error_budget }
}

fn draw_changes(random: &mut Random, metrics: &[Drawn], calm: bool) -> BTreeMap<u64, Vec<DrawnChange>> {
    let mut metrics: Vec<Drawn> = metrics.to_vec();
    let mut changes: BTreeMap<u64, Vec<DrawnChange>> = BTreeMap::new();
    let mut epoch = 0;
    for number in 0..1 + random.below(6) {
        epoch += 1 + random.below(4);
        let place = random.below(metrics.len() as u64) as usize;
        let metric = &mut metrics[place];
        metric.version += 1;
        let mut change = DrawnChange::Deploy { metric: metric.clone(), paused: false };
        if !calm {
            match random.below(6) {
                0 => {
                    metric.lateness_ms = between(random, 0..60);
                    change = DrawnChange::Deploy { metric: metric.clone(), paused: false };
                }
                1 if metric.window["kind"] == "tumbling" => {
                    metric.window["size_ms"] = json!(between(random, 10..150));
                    metric.window["offset_ms"] = json!(0);
                    change = DrawnChange::Deploy { metric: metric.clone(), paused: false };
                }
                2 if metric.has_windows() => {
                    change = DrawnChange::Deploy { metric: metric.clone(), paused: true };
                }
                3 => {
                    let new = Drawn { name: format!("new-{number}"), ..draw_metric(random, number, calm) };
                    change = DrawnChange::Deploy { metric: new.clone(), paused: false };
                    metrics.push(new);
                }
                4 if metric.name.starts_with("new-") => {
                    change = DrawnChange::Undeploy(metric.name.clone());
                    metrics.remove(place);
                }
                _ => {}
            }
        }
        changes.entry(epoch).or_default().push(change);
    }
    changes
}

fn draw_events(random: &mut Random, partition: u64, disorder: i64, calm: bool) -> Vec<MemoryEvent> {
    let mut time = between(random, -50..50);
    let keys = 1 + random.below(6);
    let mut events = Vec::new();
    for number in 0..random.below(70) {
        time += if random.one_in(12) { between(random, 50..400) } else { between(random, 0..15) };
        let kind = ["left", "right", "status"][random.below(3) as usize];
        let cursed = !calm && random.one_in(15);
        let value = if cursed { 666 } else { (partition * 1_000 + number) as i64 };
        let key = format!("key-{}", random.below(keys));
        let mut event = event(kind, &key, time - between(random, 0..disorder + 1), value);
        event.event["id"] = json!(format!("{partition}-{number}"));
        if random.one_in(40) {
            event.event["data"]["key"] = json!("");
        }
        events.push(event.clone());
        if random.one_in(10) {
            events.push(event);
        }
    }
    events
}

/// What survives the process: the sink and the log, the images, and the state unless its disk is lost.
struct Sim {
    plan: Plan,
    world: World,
    images: Images,
    deaths: usize,
    lost_disks: usize,
    changes: AtomicUsize,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let plan = draw(seed);
        let mut world = World::new(plan.input.clone());
        (world.tick_records, world.epoch_records) = (plan.tick_records, plan.epoch_records);
        world.bound_ms = plan.bound_ms;
        Self { plan, world, images: Images::default(), deaths: 0, lost_disks: 0, changes: AtomicUsize::new(0) }
    }

    /// Opens the job and runs it to the end.
    fn live(&self, hook: Hook, seed: u64, chances: u64) {
        let faults = |port: u64| Faults::new(seed ^ port, chances);
        let metrics = self.plan.metrics.iter().map(Drawn::spec).collect();
        let mut parts = self.world.parts(metrics, hook, &Arc::default());
        parts.settings.epoch_dirty_bytes = self.plan.epoch_dirty_bytes;
        parts.settings.checkpoint_every = self.plan.checkpoint_every;
        parts.settings.tick.interval = Duration::ZERO;
        parts.settings.tick.idle_after = None;
        parts.settings.epoch_interval = Duration::from_secs(if seed.is_multiple_of(2) { 3_600 } else { 0 });
        parts.source = if self.plan.live {
            Box::new(Faulty { port: LiveSource::new(self.plan.input.clone(), seed), faults: faults(1) })
        } else {
            Box::new(Faulty { port: MemorySource::new(self.plan.input.clone()), faults: faults(1) })
        };
        parts.sinks = vec![Box::new(Faulty { port: self.world.sink.clone(), faults: faults(2) })];
        parts.state = Box::new(Faulty { port: self.world.state.clone(), faults: faults(3) });
        parts.tick_log = Some(Box::new(Faulty { port: self.world.tick_log.clone(), faults: faults(4) }));
        let (state, images) = (self.world.state.clone(), self.images.clone());
        parts.checkpoints = Some(Box::new(MemoryCheckpoints { state, images }));
        let mut engine = Engine::open(parts).expect("opens").with_retry_pause(Duration::ZERO);
        let changes = self.plan.changes.iter();
        let changes = changes.map(|(epoch, all)| (*epoch, all.iter().map(|one| one.change(&self.world)).collect()));
        let (made, _) = Schedule(changes.collect()).drive(&mut engine);
        assert_eq!(self.world.state.size().1, 0, "no timer outlives the input");
        self.changes.fetch_add(made, Ordering::Relaxed);
    }

    /// Lives of drawn length, with drawn losses between them, and at last one that lasts.
    fn disturb(&mut self, seed: u64) {
        let random = &mut Random::new(!seed);
        for _ in 0..random.below(10) {
            self.draw_life(random);
            let points: Vec<_> = fail_point::ALL.iter().chain(&fail_point::OF_CHANGES).collect();
            let point = points[random.below(points.len() as u64) as usize];
            let (nth, seed) = (1 + random.below(3) as usize, random.next());
            if dies(|| self.live(deadly_hook(point, nth), seed, 8)) {
                self.deaths += 1;
            }
            if random.one_in(3) {
                self.lose_disk(random);
            }
        }
        self.draw_life(random);
        self.live(no_hook(), random.next(), 8);
    }

    fn draw_life(&mut self, random: &mut Random) {
        self.world.workers = 1 + random.below(5) as usize;
        if self.plan.calm {
            self.world.tick_records = 1 + random.below(30) as usize;
            self.world.epoch_records = 1 + random.below(60) as usize;
        }
    }

    /// The state goes; one of the images takes its place, or an empty state where there is none.
    fn lose_disk(&mut self, random: &mut Random) {
        let images = self.images.0.lock().expect("no panic under this lock");
        let chosen = images.get(random.below(images.len() as u64) as usize);
        self.world.state = chosen.map_or_else(|| MemoryState::new(KEY_GROUPS), |image| image.1.image());
        self.world.restored = true;
        self.lost_disks += 1;
    }

    fn rows(&self) -> Vec<Row> {
        let rows = self.world.sink.rows();
        if self.plan.calm { rows.into_iter().map(without_ticks).collect() } else { rows }
    }
}

/// A row without what depends on ticks and epochs where nothing is late: the epoch, ids made of positions, and the
/// order of arrival.
fn without_ticks((kind, mut row): Row) -> Row {
    if let Some(fields) = row.as_object_mut() {
        for name in ["epoch", "version", "digest"] {
            fields.remove(name);
        }
        if kind != TableKind::Events {
            fields.remove("row_id");
        }
    }
    if let Some(values) = row["values"].as_str().and_then(|text| serde_json::from_str::<Vec<i64>>(text).ok()) {
        let mut values = values;
        values.sort_unstable();
        row["values"] = json!(values);
    }
    (kind, row)
}

struct Tally {
    deaths: usize,
    lost_disks: usize,
    rows: usize,
    changes: usize,
}

fn simulate(seed: u64) -> Tally {
    let mut calm_run = Sim::new(seed);
    if calm_run.plan.calm {
        calm_run.plan.changes.clear();
    }
    calm_run.live(no_hook(), seed, 0);
    let mut sim = Sim::new(seed);
    sim.disturb(seed);
    let (mut expected, mut rows) = (calm_run.rows(), sim.rows());
    if sim.plan.calm {
        let key = |row: &Row| (row.0.clone(), row.1.to_string());
        expected.sort_by_cached_key(key);
        rows.sort_by_cached_key(key);
    }
    let differing = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
    assert!(
        rows == expected,
        "{} rows instead of {}; the first that differs, and what it should be: {differing:#?}",
        rows.len(),
        expected.len()
    );
    Tally { deaths: sim.deaths, lost_disks: sim.lost_disks, rows: rows.len(), changes: sim.changes.into_inner() }
}

#[test]
fn whatever_goes_wrong_the_rows_are_the_same() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("TIDEMARK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_SEEDS").unwrap_or(200),
    };
    let count = seeds.end - seeds.start;
    let mut total = Tally { deaths: 0, lost_disks: 0, rows: 0, changes: 0 };
    for seed in seeds {
        let tally = catch_unwind(AssertUnwindSafe(|| simulate(seed))).unwrap_or_else(|panic| {
            eprintln!("TIDEMARK_SEED={seed} shows it");
            resume_unwind(panic)
        });
        total.deaths += tally.deaths;
        total.lost_disks += tally.lost_disks;
        total.rows += tally.rows;
        total.changes += tally.changes;
    }
    println!(
        "{count} seeds: {} deaths, {} lost disks, {} changes, {} rows",
        total.deaths, total.lost_disks, total.changes, total.rows
    );
    let enough = total.deaths as u64 > count && total.lost_disks as u64 > count / 4 && total.changes > 20;
    assert!(count < 100 || enough, "the simulation is too gentle to show anything");
}
