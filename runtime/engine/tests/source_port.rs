//! What the engine asks of a source besides blocks: where a partition begins, and that it hears what is committed.

mod support;

use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::changes::deploy;
use support::natives::Gather;
use support::*;
use tidemark_engine::batch::Carried;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::memory::MemorySource;
use tidemark_engine::metric::Overrides;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Positions, Source, SourceStart};
use tidemark_engine::{Engine, Step};

/// A partition that is read from `first` on where nothing else is said, as from the end of a topic.
struct Begins {
    source: MemorySource,
    first: u64,
    committed: Arc<Mutex<Vec<Positions>>>,
}

impl Source for Begins {
    fn start(&mut self, mut start: SourceStart) -> Result<(), PortError> {
        start.positions.entry("0".to_owned()).or_insert(Offset(self.first));
        self.source.start(start)
    }

    fn partitions(&self) -> &[String] {
        self.source.partitions()
    }

    fn first_offset(&self, _partition: Partition) -> Offset {
        Offset(self.first)
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        self.source.next(partition, wait)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.source.change_plan(plan)
    }

    fn bounded(&self) -> bool {
        true
    }

    fn committed(&mut self, positions: &Positions) {
        self.committed.lock().expect("not poisoned").push(positions.clone());
    }
}

/// Asked again later, the source would give another beginning; the tick log knows which it was.
#[test]
fn a_partition_begins_where_it_began_even_if_the_state_is_lost() {
    let committed: Arc<Mutex<Vec<Positions>>> = Arc::default();
    let open = |world: &World, first| {
        let metrics =
            vec![metric("w", Arc::new(Gather::values()), &["a"], json!({ "kind": "tumbling", "size_ms": 10 }))];
        let mut parts = world.parts(metrics, no_hook(), &Arc::default());
        let source = MemorySource::new(vec![(0..9).map(|at| event("a", "k", at * 10, at)).collect()]);
        parts.source = Box::new(Begins { source, first, committed: Arc::clone(&committed) });
        Engine::open(parts).expect("opens")
    };
    let world = World { tick_records: 1, epoch_records: 2, ..World::new(Vec::new()) };
    let mut engine = open(&world, 4);
    while committed.lock().expect("not poisoned").is_empty() {
        assert_eq!(engine.step().expect("steps"), Step::Ticked);
    }
    drop(engine);
    assert_eq!(committed.lock().expect("not poisoned")[0]["0"], Offset(6));
    let world = World { state: World::new(Vec::new()).state, restored: true, ..world };
    let mut engine = open(&world, 8);
    while engine.step().expect("steps") != Step::Finished {}
    assert_eq!(world.sink.metric("w").len(), 5);
}

/// Cleansed events: with each block comes the watermark of whoever wrote it, and what a lookup table had added.
struct Cleansed {
    source: MemorySource,
    /// Behind each block, by partition.
    watermarks: Vec<Vec<i64>>,
}

impl Source for Cleansed {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        self.source.start(start)
    }

    fn partitions(&self) -> &[String] {
        self.source.partitions()
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        let next = self.source.next(partition, wait)?;
        let Next::Block(mut block) = next else { return Ok(next) };
        block.watermark = match self.watermarks[partition.0 as usize].get(block.start.0 as usize) {
            Some(watermark) => Carried::At(*watermark),
            None => Carried::Later,
        };
        let added = format!(r#"{{"table.field":"from {}"}}"#, partition.0);
        block.enrichments = vec![(0, added.into())];
        Ok(Next::Block(block))
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.source.change_plan(plan)
    }

    fn bounded(&self) -> bool {
        true
    }
}

#[test]
fn cleansed_events_are_late_only_by_the_watermark_that_they_bring() {
    let telemetry = Arc::default();
    let world = World { tick_records: 1, bound_ms: 0, ..World::new(Vec::new()) };
    // By their times alone, everything of partition 1 but the first would be late, and so would 20 behind 100.
    let times: [&[i64]; 2] = [&[100, 20, 300], &[310, 15, 12]];
    let events = |times: &&[i64]| times.iter().map(|time| event("a", "k", *time, *time)).collect();
    let watermarks = vec![vec![4, 9, 200], vec![4, 9]];
    let key = Overrides { key: Some("enrich.table.field".to_owned()), ..Overrides::default() };
    let window = json!({ "kind": "tumbling", "size_ms": 10 });
    let metrics = vec![metric_with("w", Arc::new(Gather::values()), &["a"], window, key)];
    let mut parts = world.parts(metrics, no_hook(), &telemetry);
    let source = MemorySource::new(times.iter().map(events).collect());
    parts.source = Box::new(Cleansed { source, watermarks });
    let mut engine = Engine::open(parts).expect("opens");
    let mut seen = Vec::new();
    while engine.step().expect("steps") == Step::Ticked {
        seen.push(telemetry.watermark_ms.get());
    }
    // Partition 0 has no say behind its end, and partition 1 said nothing of its last block.
    assert_eq!(seen[..6], [i64::MIN, 4, 4, 9, 9, 9], "{seen:?}");
    let rows = world.sink.metric("w");
    assert_eq!(rows.len(), 5, "nothing is late: {rows:?}");
    assert!(rows.iter().all(|row| row["key"] == "from 0" || row["key"] == "from 1"), "{rows:?}");
}

/// What was seen is what counts, not what moves the watermark: cleansed events bring their watermark, and are ahead of it.
#[test]
fn a_metric_that_begins_over_cleansed_events_begins_with_a_whole_window() {
    let world = World { tick_records: 1, epoch_records: 1, bound_ms: 0, ..World::new(Vec::new()) };
    let events = [100, 101, 305, 306].map(|time| event("a", "k", time, time)).to_vec();
    let mut parts = world.parts(Vec::new(), no_hook(), &Arc::default());
    parts.source = Box::new(Cleansed { source: MemorySource::new(vec![events]), watermarks: vec![vec![4, 5, 6, 7]] });
    let mut engine = Engine::open(parts).expect("opens");
    engine.step().expect("steps");
    let window = json!({ "kind": "tumbling", "size_ms": 10 });
    let change = deploy(&world, metric("w", Arc::new(Gather::values()), &["a"], window));
    engine.change(vec![change]).expect("deployed");
    while engine.step().expect("steps") != Step::Finished {}
    let rows = world.sink.metric("w");
    let windows: Vec<_> = rows.iter().map(|row| (row["window_start"].clone(), row["count"].clone())).collect();
    assert_eq!(windows, [(json!(300), json!(2))], "and none of which it saw half");
}
