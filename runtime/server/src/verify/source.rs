//! The archive as a source: the blocks that the tick log tells of, made of the events that were kept.

use arrow_array::Array as _;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidemark_connectors::cleanse::{CleanseSettings, Decoder, RawBlock, RawRecord};
use tidemark_connectors::source::again::PREFIX;
use tidemark_engine::batch::Carried;
use tidemark_engine::ids::{Epoch, Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};
use tidemark_engine::progress::Progress;
use tidemark_engine::tick_log::EpochRecord;
use tidemark_query::rows::{Bounds, RowStore};

/// How long a question about one epoch may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most bytes of one epoch's events.
const EPOCH_BYTES: usize = 4 << 30;

/// An archived event: its position, its bytes, and what lookup tables added to it before it was read.
type Archived = (Offset, Vec<u8>, Option<String>);

/// A block that is to come: where it ends, its epoch, and the watermark that it brings.
type Coming = (Offset, Epoch, Carried);

pub(super) struct ArchiveSource {
    store: Arc<dyn RowStore>,
    cleanse: CleanseSettings,
    decoder: Option<Decoder>,
    names: Vec<String>,
    /// The blocks of each partition.
    blocks: Vec<VecDeque<Coming>>,
    /// Where the next block of each partition begins.
    next: Vec<Offset>,
    /// Events of each partition that were read and not taken yet, in the order of their positions.
    events: BTreeMap<String, VecDeque<Archived>>,
    read: Epoch,
    /// Whether the events were cleansed by another job: then they bring what that knew.
    cleansed: bool,
}

impl ArchiveSource {
    /// The epochs `records` behind `progress`. `cleansed` events came from another job.
    pub(super) fn new(
        store: Arc<dyn RowStore>,
        cleanse: CleanseSettings,
        cleansed: bool,
        progress: &Progress,
        records: &[(Epoch, EpochRecord)],
    ) -> Self {
        let mut names: Vec<String> = progress.partitions.iter().map(|partition| partition.name.clone()).collect();
        let mut next: Vec<Offset> = progress.partitions.iter().map(|partition| partition.position).collect();
        for (name, first) in records.iter().flat_map(|(_, record)| &record.partitions) {
            if !names.contains(name) {
                names.push(name.clone());
                next.push(*first);
            }
        }
        // Records that were submitted again are in a log of their own.
        let main: Vec<bool> = names.iter().map(|name| !name.starts_with(PREFIX)).collect();
        let mut keep = main.iter();
        names.retain(|_| keep.next() == Some(&true));
        let mut keep = main.iter();
        next.retain(|_| keep.next() == Some(&true));
        let mut blocks = vec![VecDeque::new(); names.len()];
        for (epoch, record) in records {
            for tick in &record.ticks {
                for (number, (place, end)) in tick.blocks.iter().enumerate() {
                    let name = &record.partitions[*place as usize].0;
                    let Some(place) = names.iter().position(|own| own == name) else { continue };
                    let silent = if cleansed { Carried::Later } else { Carried::Nothing };
                    let carried = tick.carried.iter().find(|(block, _)| *block as usize == number);
                    let carried = carried.map_or(silent, |(_, watermark_ms)| Carried::At(*watermark_ms));
                    blocks[place].push_back((*end, *epoch, carried));
                }
            }
        }
        Self {
            store,
            cleanse,
            decoder: None,
            names,
            blocks,
            next,
            events: BTreeMap::new(),
            read: progress.epoch,
            cleansed,
        }
    }

    fn decoder(&self, plan: Arc<ExtractionPlan>) -> Result<Decoder, PortError> {
        Decoder::new(&self.cleanse, plan).map_err(|mistakes| PortError::Stop(mistakes.to_string()))
    }

    /// Reads events up to those of `epoch`.
    fn read_to(&mut self, epoch: Epoch) -> Result<(), PortError> {
        while self.read < epoch {
            let next = Epoch(self.read.0 + 1);
            let query = format!(
                "SELECT partition, \"offset\", raw, enrichment FROM events WHERE epoch = {next} ORDER BY partition, \"offset\""
            );
            let answer = self.store.sql(&query, usize::MAX, Bounds::from_now(PATIENCE, EPOCH_BYTES));
            let answer = answer.map_err(|error| PortError::Stop(format!("the archive cannot be read: {error}")))?;
            for batch in &answer.rows {
                let names = batch.column(0).as_string::<i32>();
                let offsets = batch.column(1).as_primitive::<UInt64Type>();
                let (raw, added) = (batch.column(2).as_string::<i32>(), batch.column(3).as_string::<i32>());
                for row in 0..batch.num_rows() {
                    // Where the tables are this job's own they are looked into again.
                    let added = (self.cleansed && added.is_valid(row)).then(|| added.value(row).to_owned());
                    let event = (Offset(offsets.value(row)), raw.value(row).as_bytes().to_vec(), added);
                    self.events.entry(names.value(row).to_owned()).or_default().push_back(event);
                }
            }
            self.read = next;
        }
        Ok(())
    }

    /// The block of `place` that ends at `end`: what was kept of it.
    fn block(&mut self, place: usize, end: Offset, watermark: Carried) -> RawBlock {
        let (mut buffer, mut records, mut enrichments) = (Vec::new(), Vec::new(), Vec::new());
        let events = self.events.entry(self.names[place].clone()).or_default();
        while let Some((offset, raw, added)) = events.pop_front_if(|(offset, ..)| *offset < end) {
            if let Some(added) = added {
                let start = buffer.len() as u32;
                buffer.extend_from_slice(added.as_bytes());
                enrichments.push((records.len() as u32, start..buffer.len() as u32));
            }
            let start = buffer.len() as u32;
            buffer.extend_from_slice(&raw);
            records.push(RawRecord { offset, range: start..buffer.len() as u32, too_long: None });
        }
        let start = std::mem::replace(&mut self.next[place], end);
        RawBlock {
            partition: Partition(place as u32),
            start,
            end,
            buffer: Bytes::from(buffer),
            records,
            enrichments,
            watermark,
        }
    }
}

impl Source for ArchiveSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        self.decoder = Some(self.decoder(start.plan)?);
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn first_offset(&self, partition: Partition) -> Offset {
        self.next[partition.0 as usize]
    }

    fn next(&mut self, partition: Partition, _wait: Duration) -> Result<Next, PortError> {
        let place = partition.0 as usize;
        let Some((end, epoch, watermark)) = self.blocks[place].pop_front() else { return Ok(Next::End) };
        self.read_to(epoch)?;
        let block = self.block(place, end, watermark);
        let decoder = self.decoder.as_mut().ok_or_else(|| PortError::Stop("the source has not started".to_owned()))?;
        Ok(Next::Block(decoder.decode(&block)))
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.decoder = Some(self.decoder(plan)?);
        Ok(())
    }

    fn bounded(&self) -> bool {
        true
    }
}
