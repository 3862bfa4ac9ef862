//! A live source that plays a script: one event per tick, in the order in which the script has them, whatever partition
//! they are of. Nothing depends on the clock.

use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::batch::EventBatch;
use tidemark_engine::enrichment::TableSnapshot;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::memory::{MemoryEvent, MemorySource};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};

/// One line of a script.
#[derive(Clone, Debug)]
pub enum Line {
    /// An event of a partition.
    Event(u32, MemoryEvent),
    /// A table's content, as an event of a partition that carries nothing else.
    Snapshot(u32, TableSnapshot),
    /// The partition ends.
    End(u32),
}

/// The lines `from..` of a script; an event's offset is its line.
pub struct ScriptSource {
    names: Vec<String>,
    lines: Vec<Line>,
    next: usize,
    /// Whether partitions end with the script, or only fall silent.
    ends: bool,
    plan: Arc<ExtractionPlan>,
}

impl ScriptSource {
    pub fn new(partitions: u32, lines: Vec<Line>, from: usize, ends: bool) -> Self {
        let names = (0..partitions).map(|place| place.to_string()).collect();
        Self { names, lines, next: from, ends, plan: Arc::default() }
    }

    fn block(&self, partition: Partition, event: MemoryEvent) -> Result<EventBatch, PortError> {
        let mut decoder = MemorySource::new(vec![vec![event]]);
        decoder.start(SourceStart { plan: self.plan.clone(), block_records: 1, ..SourceStart::default() })?;
        let Next::Block(mut batch) = decoder.next(Partition(0), Duration::ZERO)? else {
            return Err(PortError::Stop("one event is one block".to_owned()));
        };
        let at = self.next as u64;
        batch.partition = partition;
        (batch.start, batch.end, batch.offsets) = (Offset(at), Offset(at + 1), vec![Offset(at)]);
        Ok(batch)
    }
}

impl Source for ScriptSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        self.plan = start.plan;
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, partition: Partition, _wait: Duration) -> Result<Next, PortError> {
        let next = match self.lines.get(self.next) {
            None if self.ends => return Ok(Next::End),
            None => return Ok(Next::Pending),
            Some(Line::Event(place, event)) if *place == partition.0 => {
                Next::Block(self.block(partition, event.clone())?)
            }
            Some(Line::Snapshot(place, snapshot)) if *place == partition.0 => {
                let event = MemoryEvent { time: snapshot.event_time, event: serde_json::json!({ "type": "snapshot" }) };
                let mut batch = self.block(partition, event)?;
                batch.snapshots.push((0, snapshot.clone()));
                Next::Block(batch)
            }
            Some(Line::End(place)) if *place == partition.0 => Next::End,
            Some(_) => return Ok(Next::Pending),
        };
        self.next += 1;
        Ok(next)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.plan = plan;
        Ok(())
    }

    fn bounded(&self) -> bool {
        false
    }
}

/// Reads a line of `input.ndjson`.
pub fn parse(line: &Value) -> Line {
    let partition = line["p"].as_u64().unwrap_or(0) as u32;
    if let Some(place) = line["end"].as_u64() {
        return Line::End(place as u32);
    }
    let time = line["time"].as_i64().expect("a line has a time");
    if let Some(rows) = line["snapshot"].as_object() {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let fields = |values: &Value| values.as_array().into_iter().flatten().map(text).collect();
        let mut rows: Vec<_> = rows.iter().map(|(key, values)| (key.clone(), fields(values))).collect();
        rows.sort();
        return Line::Snapshot(
            partition,
            TableSnapshot { table: 0, event_time: time, rows: rows.into(), ambiguous: 0 },
        );
    }
    let mut event = serde_json::json!({ "type": line["type"], "data": line });
    if let Some(id) = line.get("id") {
        event["id"] = id.clone();
    }
    Line::Event(partition, MemoryEvent { time, event })
}
