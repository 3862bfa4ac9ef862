//! Routing: which rows of a tick a stage wants, and which worker has their keys.

use super::{Stage, StageRun};
use crate::batch::EventBatch;
use crate::dead_letter::{DeadLetter, GroupContext, Reason};
use crate::descriptor::{ColumnType, Condition, Filter};
use crate::metric::MetricSpec;
use crate::plan::{ExtractionPlan, SlotIndex};
use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};
use bytes::Bytes;
use tidemark_dataflow::{EventTime, KeyGroups};
use xxhash_rust::xxh3::xxh3_64;

/// A row of a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowRef {
    /// Which of the tick's batches.
    pub(crate) batch: u32,
    /// Which row of it.
    pub(crate) row: u32,
}

/// A row on its way to its key group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutedRow {
    pub(crate) at: RowRef,
    /// XXH3 of the key.
    pub(crate) hash: u64,
}

/// One reader of rows: a stage, or one side of a join.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Its bit in [`EventBatch::interest`].
    pub(crate) bit: usize,
    /// Event types it wants; `None`: every type of the source.
    pub(crate) types: Option<Vec<String>>,
    /// The column with the key.
    pub(crate) key: SlotIndex,
    conditions: Vec<(SlotIndex, Condition)>,
}

impl Consumer {
    /// A consumer with the metric's filter and, for a join, that of its side.
    pub(crate) fn compile(spec: &MetricSpec, side: Option<&Filter>, plan: &mut ExtractionPlan) -> Self {
        let bit = plan.consumers();
        let types = match (spec.filter.types(), side.and_then(Filter::types)) {
            (Some(all), Some(own)) => Some(own.iter().filter(|name| all.contains(name)).cloned().collect()),
            (all, own) => own.or(all).map(<[String]>::to_vec),
        };
        plan.want(bit, types.as_deref());
        let filters = [Some(&spec.filter), side];
        let conditions = filters.into_iter().flatten().flat_map(|filter| &filter.0).filter(|(path, condition)| {
            // Event types are sorted out by the interest bits already.
            !(path.as_str() == "type" && matches!(condition, Condition::OneOf(_)))
        });
        let conditions = conditions.map(|(path, condition)| (plan.slot(path, ColumnType::Text), condition.clone()));
        let conditions = conditions.collect();
        Self { bit, types, key: plan.slot(&spec.key, ColumnType::Text), conditions }
    }

    /// Adds the rows of `batch` that pass the filter to the workers that own their keys, in row order.
    ///
    /// A row without a key is a dead letter.
    pub(crate) fn route(
        &self,
        stage: &Stage,
        (batch_index, batch): (usize, &EventBatch),
        key_groups: KeyGroups,
        workers: &mut [Vec<RoutedRow>],
        dead: &mut Vec<DeadLetter>,
    ) {
        let keys: &StringArray = batch.columns[self.key].as_string();
        let conditions: Vec<(&StringArray, &Condition)> =
            self.conditions.iter().map(|(slot, condition)| (batch.columns[*slot].as_string(), condition)).collect();
        let wanted = 1_u64 << self.bit;
        for (row, interest) in batch.interest.iter().enumerate() {
            if interest & wanted == 0 || !conditions.iter().all(|(column, condition)| passes(column, row, condition)) {
                continue;
            }
            let at = RowRef { batch: batch_index as u32, row: row as u32 };
            if keys.is_null(row) || keys.value(row).is_empty() {
                if stage.answers_for(EventTime(batch.event_times[row])) {
                    let detail = format!("{} is missing", stage.spec.key);
                    dead.push(dead_row(stage, batch, row, Reason::MissingKey, detail));
                }
                continue;
            }
            let hash = xxh3_64(keys.value(row).as_bytes());
            workers[key_groups.worker_of(key_groups.of_hash(hash), workers.len())].push(RoutedRow { at, hash });
        }
    }
}

fn passes(column: &StringArray, row: usize, condition: &Condition) -> bool {
    match condition {
        Condition::OneOf(texts) => column.is_valid(row) && texts.iter().any(|text| text == column.value(row)),
        Condition::Present(wanted) => (column.is_valid(row) && !column.value(row).is_empty()) == *wanted,
    }
}

/// A dead letter of one row of a stage's input.
pub(crate) fn dead_row(stage: &Stage, batch: &EventBatch, row: usize, reason: Reason, detail: String) -> DeadLetter {
    let keys: &StringArray = batch.columns[stage.consumers[0].key].as_string();
    DeadLetter {
        reason,
        detail,
        position: Some((batch.partition, batch.offsets[row])),
        event_time: Some(batch.event_times[row]),
        payload: Bytes::copy_from_slice(batch.raw.get(row)),
        metric: Some(Box::new(GroupContext {
            metric: stage.spec.name.clone(),
            digest: stage.spec.digest,
            key: if keys.is_valid(row) { keys.value(row).to_owned() } else { String::new() },
            window: None,
            state: Vec::new(),
        })),
    }
}

impl StageRun<'_> {
    /// Puts a row aside.
    pub(crate) fn kill(&mut self, at: RowRef, reason: Reason, detail: String) {
        let batch = &self.input.batches[at.batch as usize];
        self.output.dead.push(dead_row(self.input.stage, batch, at.row as usize, reason, detail));
    }

    /// Puts a row aside as too late, and counts it.
    pub(crate) fn late(&mut self, at: RowRef) {
        self.input.stage.telemetry.late.add(1);
        let detail = format!("behind the watermark {} and the allowed lateness", self.input.watermark);
        self.kill(at, Reason::Late, detail);
    }

    /// Puts rows aside because the module is quarantined.
    pub(super) fn refuse(&mut self, rows: &[RoutedRow]) {
        for row in rows {
            let detail = "the module is over its error budget: deploy a mended one, then submit again".to_owned();
            self.kill(row.at, Reason::Quarantined, detail);
        }
    }
}
