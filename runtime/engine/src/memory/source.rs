//! A source over events in memory: one list per partition; an event's offset is its place in the list.

use crate::batch::{EventBatch, RawRecords};
use crate::ids::{Offset, Partition};
use crate::plan::{ExtractionPlan, Slot};
use crate::ports::{Next, PortError, Source, SourceStart};
use crate::rows_as_events::convert;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// One event.
#[derive(Clone, PartialEq, Debug)]
pub struct MemoryEvent {
    /// Event time in ms.
    pub time: i64,
    /// The event as JSON: an envelope with at least `type`.
    pub event: Value,
}

/// Lists of events, bounded.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    names: Vec<String>,
    partitions: Vec<Vec<MemoryEvent>>,
    next: Vec<usize>,
    cuts: Vec<VecDeque<Offset>>,
    start: SourceStart,
}

impl MemorySource {
    /// One partition per list, named `0`, `1` and so on.
    #[must_use]
    pub fn new(partitions: Vec<Vec<MemoryEvent>>) -> Self {
        Self { names: (0..partitions.len()).map(|place| place.to_string()).collect(), partitions, ..Self::default() }
    }

    fn batch(&self, place: usize, from: usize, to: usize) -> EventBatch {
        let (plan, events) = (&*self.start.plan, &self.partitions[place][from..to]);
        let text = |event: &MemoryEvent, field: &str| event.event[field].as_str().unwrap_or_default().to_owned();
        let mut types: Vec<String> = events.iter().map(|event| text(event, "type")).collect();
        let names = types.clone();
        types.sort_unstable();
        types.dedup();
        let type_id = |name: &String| types.binary_search(name).unwrap_or_default() as u16;
        let id = |event: &MemoryEvent| event.event["id"].as_str().map_or(0, |id| xxh3_128(id.as_bytes()));
        EventBatch {
            partition: Partition(place as u32),
            start: Offset(from as u64),
            end: Offset(to as u64),
            records: to - from,
            offsets: (from as u64..to as u64).map(Offset).collect(),
            event_times: events.iter().map(|event| event.time).collect(),
            ids: events.iter().map(id).collect(),
            interest: names.iter().map(|name| plan.interest(name)).collect(),
            columns: plan.slots().iter().map(|slot| column(slot, events)).collect(),
            type_ids: names.iter().map(type_id).collect(),
            raw: raw(events),
            types: types.iter().map(|name| name.as_str().into()).collect(),
            ..EventBatch::default()
        }
    }
}

fn column(slot: &Slot, events: &[MemoryEvent]) -> arrow_array::ArrayRef {
    let pointer = format!("/{}", slot.path.replace('.', "/"));
    convert(events.iter().map(|event| event.event.pointer(&pointer).cloned().unwrap_or(Value::Null)), slot.kind)
}

fn raw(events: &[MemoryEvent]) -> RawRecords {
    let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
    for event in events {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(event.event.to_string().as_bytes());
        ranges.push(start..buffer.len() as u32);
    }
    RawRecords { buffer: buffer.into(), ranges }
}

impl Source for MemorySource {
    fn start(&mut self, mut start: SourceStart) -> Result<(), PortError> {
        let position = |name: &String| start.positions.get(name).map_or(0, |offset| offset.0 as usize);
        self.next = self.names.iter().map(position).collect();
        self.cuts = self.names.iter().map(|name| start.cuts.remove(name).unwrap_or_default().into()).collect();
        self.start = start;
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, partition: Partition, _wait: Duration) -> Result<Next, PortError> {
        let place = partition.0 as usize;
        let (from, count) = (self.next[place], self.partitions[place].len());
        if from >= count {
            return Ok(Next::End);
        }
        let to = match self.cuts[place].pop_front() {
            Some(cut) => cut.0 as usize,
            None => count.min(from + self.start.block_records),
        };
        self.next[place] = to;
        Ok(Next::Block(self.batch(place, from, to)))
    }

    fn change_plan(&mut self, plan: std::sync::Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.start.plan = plan;
        Ok(())
    }

    fn bounded(&self) -> bool {
        true
    }
}

impl MemorySource {
    /// The plan that the engine asked for.
    #[must_use]
    pub fn plan(&self) -> &ExtractionPlan {
        &self.start.plan
    }
}
