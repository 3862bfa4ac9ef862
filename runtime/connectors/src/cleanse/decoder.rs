//! Records to rows: one parse each, and only what somebody wants.

use super::block::RawBlock;
use super::column::Column;
use super::compiled::Compiled;
use super::cursor::{Broken, Cursor};
use super::event::{Event, EventBuilder};
use super::settings::{CleanseSettings, SettingsErrors, UnknownTypes};
use super::structure::Structure;
use super::table;
use super::types::TypeTable;
use arrow_array::ArrayRef;
use bytes::Bytes;
use std::sync::Arc;
use tidemark_engine::batch::{EventBatch, RawRecords};
use tidemark_engine::dead_letter::{DeadLetter, Reason};
use tidemark_engine::enrichment::TableSnapshot;
use tidemark_engine::metric::METRIC_TYPE;
use tidemark_engine::plan::ExtractionPlan;

/// Decodes blocks. It has memory only for speed: what comes out is a function of settings, plan and block.
pub struct Decoder {
    compiled: Arc<Compiled>,
    types: TypeTable,
    structure: Structure,
    event: EventBuilder,
    columns: Vec<Column>,
}

/// Why a record is a dead letter.
struct Refused {
    reason: Reason,
    detail: String,
    event_time: Option<i64>,
}

impl Decoder {
    /// A decoder that fills the slots of `plan`.
    ///
    /// # Errors
    /// Every mistake in the settings and every path of the plan that cannot be read.
    pub fn new(settings: &CleanseSettings, plan: Arc<ExtractionPlan>) -> Result<Self, SettingsErrors> {
        Ok(Self::with(Arc::new(Compiled::new(settings, plan)?)))
    }

    /// Another decoder that does the same, for another thread.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::with(Arc::clone(&self.compiled))
    }

    fn with(compiled: Arc<Compiled>) -> Self {
        Self {
            types: TypeTable::default(),
            structure: Structure::default(),
            event: EventBuilder::new(&compiled),
            columns: compiled.slots().iter().map(|slot| Column::new(slot.kind)).collect(),
            compiled,
        }
    }

    /// Decodes a block: every record becomes a row or a dead letter.
    pub fn decode(&mut self, block: &RawBlock) -> EventBatch {
        let RawBlock { partition, start, end, ref buffer, ref records, ref enrichments, ref watermark } = *block;
        let count = records.len();
        let mut batch = EventBatch {
            partition,
            start,
            end,
            records: count,
            offsets: Vec::with_capacity(count),
            event_times: Vec::with_capacity(count),
            ids: Vec::with_capacity(count),
            interest: Vec::with_capacity(count),
            type_ids: Vec::with_capacity(count),
            raw: RawRecords { buffer: Bytes::new(), ranges: Vec::with_capacity(count) },
            watermark: watermark.clone(),
            ..EventBatch::default()
        };
        self.types.next_block();
        let mut enrichments = enrichments.iter().peekable();
        for (place, record) in records.iter().enumerate() {
            let text = &buffer[record.range.start as usize..record.range.end as usize];
            let row = match record.too_long {
                Some(length) => Err(too_long(length)),
                None => self.row(text, &mut batch),
            };
            let added = enrichments.next_if(|(enriched, _)| *enriched as usize == place);
            match row {
                Ok(()) => {
                    let row = batch.offsets.len() as u32;
                    batch
                        .enrichments
                        .extend(added.map(|(_, json)| (row, buffer.slice(json.start as usize..json.end as usize))));
                    batch.offsets.push(record.offset);
                    batch.raw.ranges.push(record.range.clone());
                }
                Err(Refused { reason, detail, event_time }) => batch.dead.push(DeadLetter {
                    reason,
                    detail,
                    position: Some((partition, record.offset)),
                    event_time,
                    payload: buffer.slice_ref(text),
                    metric: None,
                }),
            }
        }
        batch.raw.buffer = buffer.clone();
        batch.types = self.types.block_types();
        batch.columns = self.finish_columns(batch.rows());
        batch
    }

    /// Adds a record's row to every column and to the batch, or nothing to any.
    fn row(&mut self, text: &[u8], batch: &mut EventBatch) -> Result<(), Refused> {
        let row = batch.event_times.len() as u32;
        let added = self.parse(text, row).and_then(|()| self.judge(text, batch));
        if added.is_err() {
            self.columns.iter_mut().for_each(|column| column.clear(row));
        }
        added
    }

    fn parse(&mut self, text: &[u8], row: u32) -> Result<(), Refused> {
        self.structure.read(text);
        if !self.structure.ascii
            && let Err(error) = std::str::from_utf8(text)
        {
            let detail = format!("invalid UTF-8 at byte {}", error.valid_up_to());
            return Err(Refused { reason: Reason::InvalidUtf8, detail, event_time: None });
        }
        let mut cursor = Cursor::new(text, &self.structure)?;
        if cursor.peek() != b'{' {
            cursor.skip().and_then(|()| cursor.end())?;
            return Err(Refused { reason: Reason::BadEnvelope, detail: "not an object".to_owned(), event_time: None });
        }
        let mut event = Event::new(&self.compiled, &mut self.event, &mut self.columns, row);
        event.read(&mut cursor)?;
        Ok(cursor.end()?)
    }

    /// Decides on an event whose values are known.
    fn judge(&mut self, text: &[u8], batch: &mut EventBatch) -> Result<(), Refused> {
        let compiled = &*self.compiled;
        let kind = self.event.kind(compiled.rows).map_err(|what| Refused {
            reason: Reason::BadEnvelope,
            detail: what.to_owned(),
            event_time: None,
        })?;
        let is_row = compiled.rows && kind.starts_with(METRIC_TYPE);
        let (rule, moments) = (&compiled.event_time, self.event.moments());
        let time = if is_row { rule.of_row(moments) } else { rule.choose(moments) };
        let time = time.map_err(|(reason, detail)| Refused { reason, detail, event_time: None })?;
        let refuse = |reason, detail| Refused { reason, detail, event_time: Some(time) };
        let known = self
            .types
            .find(kind, compiled)
            .ok_or_else(|| refuse(Reason::UnknownType, "too many event types in one block".to_owned()))?;
        if known.has_schema {
            compiled
                .schemas
                .check(&known.name, self.event.evidence())
                .map_err(|detail| refuse(Reason::SchemaViolation, format!("type `{}`: {detail}", known.name)))?;
        } else if compiled.unknown_types == UnknownTypes::DeadLetter && !is_row {
            let detail = format!("event type `{}` has no schema", known.name);
            return Err(refuse(Reason::UnknownType, detail));
        }
        for &table in &known.tables {
            let row = batch.event_times.len() as u32;
            batch.snapshots.extend(snapshot(compiled, table, time, text).map(|snapshot| (row, snapshot)));
        }
        batch.event_times.push(time);
        batch.ids.push(self.event.id());
        batch.interest.push(known.interest);
        batch.type_ids.push(known.block_id);
        Ok(())
    }

    fn finish_columns(&mut self, rows: usize) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(|column| column.finish(rows)).collect()
    }
}

impl From<Broken> for Refused {
    #[cold]
    fn from(broken: Broken) -> Self {
        let detail = format!("{} at byte {}", broken.what, broken.at);
        Self { reason: Reason::BrokenJson, detail, event_time: None }
    }
}

#[cold]
fn too_long(length: u64) -> Refused {
    let detail = format!("{length} bytes; the beginning is kept");
    Refused { reason: Reason::TooLong, detail, event_time: None }
}

/// The table that an event carries. Rare, so it is parsed a second time, into a tree.
#[cold]
fn snapshot(compiled: &Compiled, table: usize, event_time: i64, text: &[u8]) -> Option<TableSnapshot> {
    let event: serde_json::Value = serde_json::from_slice(text).ok()?;
    let data = match table::at(&event, &compiled.data_path)? {
        serde_json::Value::String(text) => &serde_json::from_str(text).ok()?,
        data => data,
    };
    Some(compiled.tables[table].snapshot(table, event_time, data))
}
