//! The past of a memory source: the events that a memory sink has archived.

use super::{MemoryEvent, MemorySink, MemorySource};
use crate::batch::EventBatch;
use crate::ids::{Epoch, Offset, Partition};
use crate::output::TableKind;
use crate::plan::ExtractionPlan;
use crate::ports::{History, Next, PortError, Source as _, SourceStart};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The archive of a sink, over the events that it archived.
#[derive(Clone)]
pub struct MemoryHistory {
    partitions: Vec<Vec<MemoryEvent>>,
    sink: MemorySink,
}

impl MemoryHistory {
    /// Of the events of `partitions`, as a [`MemorySource`] has them.
    #[must_use]
    pub fn new(partitions: Vec<Vec<MemoryEvent>>, sink: MemorySink) -> Self {
        Self { partitions, sink }
    }
}

impl History for MemoryHistory {
    fn events(
        &mut self,
        epoch: Epoch,
        _committed: Epoch,
        plan: &Arc<ExtractionPlan>,
    ) -> Result<Vec<(String, EventBatch)>, PortError> {
        let mut offsets: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (kind, row) in self.sink.rows() {
            if kind == TableKind::Events && row["epoch"].as_u64() == Some(epoch.0) {
                let name = row["partition"].as_str().unwrap_or_default().to_owned();
                offsets.entry(name).or_default().extend(row["offset"].as_u64());
            }
        }
        let mut blocks = Vec::with_capacity(offsets.len());
        for (name, mut offsets) in offsets {
            offsets.sort_unstable();
            let place: usize = name.parse().unwrap_or_default();
            let of_then = |offset: &u64| self.partitions.get(place)?.get(*offset as usize).cloned();
            let events: Vec<MemoryEvent> = offsets.iter().filter_map(of_then).collect();
            let mut source = MemorySource::new(vec![events]);
            source.start(SourceStart { plan: plan.clone(), block_records: usize::MAX, ..SourceStart::default() })?;
            let Next::Block(mut batch) = source.next(Partition(0), Duration::ZERO)? else { continue };
            batch.offsets = offsets.into_iter().map(Offset).collect();
            blocks.push((name, batch));
        }
        Ok(blocks)
    }
}
