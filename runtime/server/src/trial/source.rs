//! A trial's events as a source: decoded by the real decoder, one block for each tick, positions being lines.

use super::events::{Content, EventFile};
use super::hints::Hints;
use arrow_array::new_empty_array;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidemark_connectors::cleanse::{CleanseSettings, Decoder, RawBlock, RawRecord};
use tidemark_engine::batch::{Carried, EventBatch};
use tidemark_engine::descriptor::Descriptor;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::output::arrow_type;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};

/// The one partition.
const PARTITION: &str = "events";

/// The source. Started once.
pub(super) struct TrialSource {
    events: EventFile,
    hints: Hints,
    names: Vec<String>,
    start: SourceStart,
    decoder: Option<Decoder>,
    /// The next line, by its place.
    next: usize,
}

impl TrialSource {
    /// A source, and what it will have noticed about its events when they are read.
    pub(super) fn new(events: &EventFile, descriptor: &Descriptor) -> (Self, Hints) {
        let hints = Hints::new(events.clone(), descriptor);
        let source = Self {
            events: events.clone(),
            hints: hints.clone(),
            names: vec![PARTITION.to_owned()],
            start: SourceStart::default(),
            decoder: None,
            next: 0,
        };
        (source, hints)
    }

    /// The lines of the next block: events up to the next watermark or as many as a tick takes, or one watermark.
    fn lines(&self) -> Range<usize> {
        let lines = &self.events.lines[self.next..];
        let most = self.start.block_records.max(1);
        let events = lines.iter().take(most).take_while(|line| matches!(line.content, Content::Event(_))).count();
        self.next..self.next + events.max(1)
    }

    fn block(&mut self, lines: Range<usize>) -> EventBatch {
        let [first, .., last] = &self.events.lines[lines.clone()] else {
            return self.single(lines.start);
        };
        let (start, end) = (Offset(first.number), Offset(last.number + 1));
        self.decode(lines, start, end)
    }

    fn single(&mut self, place: usize) -> EventBatch {
        let line = &self.events.lines[place];
        let (start, end) = (Offset(line.number), Offset(line.number + 1));
        match line.content {
            Content::Watermark(time) => self.watermark(time, start, end),
            Content::Event(_) => self.decode(place..place + 1, start, end),
        }
    }

    fn decode(&mut self, lines: Range<usize>, start: Offset, end: Offset) -> EventBatch {
        let records = self.events.lines[lines].iter().filter_map(|line| match &line.content {
            Content::Event(range) => {
                Some(RawRecord { offset: Offset(line.number), range: range.clone(), too_long: None })
            }
            Content::Watermark(_) => None,
        });
        let records = records.collect();
        let buffer = self.events.bytes.clone();
        let (enrichments, watermark) = (Vec::new(), Carried::Nothing);
        let block = RawBlock { partition: Partition(0), start, end, buffer, records, enrichments, watermark };
        let decoder = self.decoder.as_mut().expect("the engine starts a source before it asks");
        let batch = decoder.decode(&block);
        self.hints.see(&batch, &self.start.plan);
        batch
    }

    /// A block without rows behind which the watermark is `time`.
    fn watermark(&self, time: i64, start: Offset, end: Offset) -> EventBatch {
        let columns = self.start.plan.slots().iter();
        EventBatch {
            start,
            end,
            records: 1,
            columns: columns.map(|slot| new_empty_array(&arrow_type(slot.kind))).collect(),
            watermark: Carried::At(time),
            ..EventBatch::default()
        }
    }
}

impl Source for TrialSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        let decoder = Decoder::new(&CleanseSettings::default(), start.plan.clone());
        self.decoder = Some(decoder.map_err(|mistakes| PortError::Stop(mistakes.to_string()))?);
        self.start = start;
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, _: Partition, _: Duration) -> Result<Next, PortError> {
        if self.next >= self.events.lines.len() {
            return Ok(Next::End);
        }
        let lines = self.lines();
        self.next = lines.end;
        Ok(Next::Block(self.block(lines)))
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.start(SourceStart { plan, ..self.start.clone() })
    }

    fn bounded(&self) -> bool {
        true
    }
}
