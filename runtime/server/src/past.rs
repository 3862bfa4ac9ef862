//! The past, for metrics that begin with it: the events of the archive, decoded as they were when they came.

use arrow_array::Array as _;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tidemark_connectors::cleanse::{CleanseSettings, Decoder, RawBlock, RawRecord};
use tidemark_engine::batch::{Carried, EventBatch};
use tidemark_engine::ids::{Epoch, Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{History, PortError};
use tidemark_query::QueryError;
use tidemark_query::rows::{Bounds, RowStore};

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most bytes of an answer.
const ANSWER_BYTES: usize = 256 << 20;
/// Most bytes of the events of one epoch.
const EPOCH_BYTES: usize = 4 << 30;
/// Epochs that one question asks for: finding files costs more than reading them.
const AHEAD: u64 = 64;

/// The archive of a job.
pub struct ArchivedPast {
    store: Arc<dyn RowStore>,
    cleanse: CleanseSettings,
    decoder: Option<(Arc<ExtractionPlan>, Decoder)>,
    /// Events that were read and not asked for yet.
    ahead: VecDeque<(Epoch, Events)>,
}

/// The events of an epoch, by partition.
type Events = BTreeMap<String, RawBlock>;

impl ArchivedPast {
    /// Over the events of `store`, which were cleansed with `cleanse`.
    #[must_use]
    pub fn new(store: Arc<dyn RowStore>, cleanse: CleanseSettings) -> Self {
        Self { store, cleanse, decoder: None, ahead: VecDeque::new() }
    }

    fn read(&mut self, epochs: RangeInclusive<u64>, bytes: usize) -> Result<(), QueryError> {
        let query = format!(
            "SELECT epoch, partition, \"offset\", raw, enrichment FROM events WHERE epoch BETWEEN {} AND {} \
             ORDER BY epoch, partition, \"offset\"",
            epochs.start(),
            epochs.end()
        );
        let answer = self.store.sql(&query, usize::MAX, Bounds::from_now(PATIENCE, bytes))?;
        let mut read: Vec<(Epoch, BTreeMap<String, Building>)> =
            epochs.map(|epoch| (Epoch(epoch), BTreeMap::new())).collect();
        let first = read.first().map_or(0, |(epoch, _)| epoch.0);
        for batch in &answer.rows {
            let epochs = batch.column(0).as_primitive::<UInt64Type>();
            let names = batch.column(1).as_string::<i32>();
            let offsets = batch.column(2).as_primitive::<UInt64Type>();
            let (raw, enrichments) = (batch.column(3).as_string::<i32>(), batch.column(4).as_string::<i32>());
            for row in 0..batch.num_rows() {
                let Some((_, events)) = read.get_mut((epochs.value(row) - first) as usize) else { continue };
                let enrichment = enrichments.is_valid(row).then(|| enrichments.value(row));
                let block = events.entry(names.value(row).to_owned()).or_default();
                block.add(Offset(offsets.value(row)), raw.value(row), enrichment);
            }
        }
        let finish = |(epoch, events): (Epoch, BTreeMap<String, Building>)| {
            (epoch, events.into_iter().map(|(name, block)| (name, block.finish())).collect())
        };
        self.ahead = read.into_iter().map(finish).collect();
        Ok(())
    }
}

impl History for ArchivedPast {
    fn events(
        &mut self,
        epoch: Epoch,
        committed: Epoch,
        plan: &Arc<ExtractionPlan>,
    ) -> Result<Vec<(String, EventBatch)>, PortError> {
        let is_ahead = |ahead: &VecDeque<(Epoch, Events)>| ahead.front().is_some_and(|(first, _)| *first == epoch);
        if !is_ahead(&self.ahead) {
            let last = committed.0.clamp(epoch.0, epoch.0.saturating_add(AHEAD - 1));
            let read = self.read(epoch.0..=last, ANSWER_BYTES);
            // So many at once may be too much.
            let read = read.or_else(|_| self.read(epoch.0..=epoch.0, EPOCH_BYTES));
            read.map_err(|error| PortError::Retry(format!("the archive cannot be read: {error}")))?;
        }
        let Some((_, events)) = self.ahead.pop_front() else { return Ok(Vec::new()) };
        if !self.decoder.as_ref().is_some_and(|(own, _)| Arc::ptr_eq(own, plan)) {
            let decoder = Decoder::new(&self.cleanse, Arc::clone(plan));
            let decoder = decoder.map_err(|mistakes| PortError::Stop(mistakes.to_string()))?;
            self.decoder = Some((Arc::clone(plan), decoder));
        }
        let Some((_, decoder)) = &mut self.decoder else { return Ok(Vec::new()) };
        Ok(events.into_iter().map(|(name, block)| (name, decoder.decode(&block))).collect())
    }
}

/// A block that is put together.
#[derive(Default)]
struct Building {
    buffer: Vec<u8>,
    records: Vec<RawRecord>,
    enrichments: Vec<(u32, std::ops::Range<u32>)>,
}

impl Building {
    fn add(&mut self, offset: Offset, raw: &str, enrichment: Option<&str>) {
        if let Some(json) = enrichment {
            let range = self.text(json);
            self.enrichments.push((self.records.len() as u32, range));
        }
        let range = self.text(raw);
        self.records.push(RawRecord { offset, range, too_long: None });
    }

    fn text(&mut self, text: &str) -> std::ops::Range<u32> {
        let start = self.buffer.len() as u32;
        self.buffer.extend_from_slice(text.as_bytes());
        start..self.buffer.len() as u32
    }

    fn finish(self) -> RawBlock {
        let Self { buffer, records, enrichments } = self;
        let of = |record: Option<&RawRecord>| record.map_or(0, |record| record.offset.0);
        let (start, end) = (Offset(of(records.first())), Offset(of(records.last()) + 1));
        let buffer = Bytes::from(buffer);
        RawBlock { partition: Partition(0), start, end, buffer, records, enrichments, watermark: Carried::Nothing }
    }
}
