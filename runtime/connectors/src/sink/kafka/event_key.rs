//! Keys of cleansed events: the text at a path, read by the same decoder that read the event before.

use crate::cleanse::{CleanseSettings, Decoder, RawBlock, RawRecord};
use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};
use bytes::Bytes;
use std::sync::Arc;
use tidemark_engine::batch::{Carried, EventBatch};
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::PortError;

/// Finds keys.
pub(super) struct EventKey {
    decoder: Decoder,
}

/// The keys of some events.
pub(super) struct Keys(EventBatch);

impl EventKey {
    /// Of the text at `path`, in events that were cleansed with these settings.
    pub(super) fn new(path: &str, cleanse: &CleanseSettings) -> Result<Self, PortError> {
        let mut plan = ExtractionPlan::default();
        plan.slot(path, ColumnType::Text);
        let decoder = Decoder::new(cleanse, Arc::new(plan));
        decoder.map(|decoder| Self { decoder }).map_err(|mistakes| {
            PortError::Stop(format!("sink.kafka.events.key: {path} cannot be read from events: {mistakes}"))
        })
    }

    /// The keys of events as they came.
    pub(super) fn keys(&mut self, raw: &StringArray) -> Keys {
        // The texts lie back to back: a block of records, whose offsets are their rows. Arrow's buffer is shared, but
        // its bytes are not: they are copied, once.
        let begin = raw.value_offsets().first().copied().unwrap_or(0);
        let end = raw.value_offsets().last().copied().unwrap_or(0);
        let buffer = Bytes::copy_from_slice(&raw.value_data()[begin as usize..end as usize]);
        let ranges = raw.value_offsets().windows(2).enumerate();
        let records = ranges.map(|(row, bounds)| RawRecord {
            offset: Offset(row as u64),
            range: (bounds[0] - begin) as u32..(bounds[1] - begin) as u32,
            too_long: None,
        });
        Keys(self.decoder.decode(&RawBlock {
            partition: Partition(0),
            start: Offset(0),
            end: Offset(raw.len() as u64),
            buffer,
            records: records.collect(),
            enrichments: Vec::new(),
            watermark: Carried::Nothing,
        }))
    }
}

impl Keys {
    /// The key of row `row`; `None` where the event has no text there.
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        // All rows were cleansed before, so all are still there; should one be missing, it has no key.
        let place = self.0.offsets.binary_search(&Offset(row as u64)).ok()?;
        let column = self.0.columns.first()?.as_string_opt::<i32>()?;
        column.is_valid(place).then(|| column.value(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts_at_a_path() {
        let event = |data: &str| format!(r#"{{"type":"t","timestamp":"1767908945298","data":{data}}}"#);
        let events = [r#"{"s":"a"}"#, r#"{"s":7}"#, r#"{"x":"a"}"#, r#""{\"s\":\"b\"}""#].map(event);
        let raw = StringArray::from(events.iter().map(String::as_str).chain(["rubbish"]).collect::<Vec<_>>());
        let mut key = EventKey::new("data.s", &CleanseSettings::default()).unwrap();
        let keys = key.keys(&raw.slice(0, 5));
        let found: Vec<Option<&str>> = (0..5).map(|row| keys.get(row)).collect();
        assert_eq!(found, [Some("a"), Some("7"), None, Some("b"), None]);
        let keys = key.keys(&raw.slice(3, 1));
        assert_eq!(keys.get(0), Some("b"));
        assert!(EventKey::new("nothing.like.it", &CleanseSettings::default()).is_err());
    }
}
