//! What a stage emits in a tick: collected per worker, put in canonical order, made into a table's rows.

use super::Stage;
use crate::guest::{Emitted, Groups, VarBytes};
use crate::ids::Epoch;
use crate::metric::MetricSpec;
use crate::output::arrow_type;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array, UInt64Array, new_empty_array,
    new_null_array,
};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Emitted rows of one stage, in the order in which a worker made them.
#[derive(Default)]
pub(crate) struct Emission {
    keys: VarBytes,
    rows: Vec<RowMeta>,
    /// Output columns of each call.
    chunks: Vec<Vec<ArrayRef>>,
}

#[derive(Clone, Copy, Debug)]
struct RowMeta {
    /// Window, where there is one.
    window: (i64, i64),
    time: i64,
    /// What tells rows of one (key, window, time) apart.
    identity: u64,
    /// Number of the row within its group and call.
    ordinal: u32,
}

impl Emission {
    /// Adds the rows of one call. Rows of failed groups have been left out by the guest port already.
    pub(crate) fn add(&mut self, groups: &Groups, identities: &[u64], ok: &[bool], emitted: Emitted) {
        if emitted.groups.is_empty() {
            return;
        }
        let (mut previous, mut ordinal) = (None, 0);
        let mut kept = Vec::with_capacity(emitted.groups.len());
        for (row, group) in emitted.groups.iter().enumerate() {
            ordinal = if previous == Some(*group) { ordinal + 1 } else { 0 };
            previous = Some(*group);
            let group = *group as usize;
            if !ok[group] {
                continue;
            }
            kept.push(row as u32);
            self.keys.push(groups.keys.get(group));
            self.rows.push(RowMeta {
                window: (groups.window_starts[group], groups.window_ends[group]),
                time: groups.times[group],
                identity: identities[group],
                ordinal,
            });
        }
        if kept.len() == emitted.groups.len() {
            self.chunks.push(emitted.columns);
        } else {
            let kept = UInt32Array::from(kept);
            let columns = emitted.columns.iter().map(|column| take(column, &kept, None));
            self.chunks.push(columns.collect::<Result<_, _>>().expect("indices are rows of the column"));
        }
    }
}

/// The rows of a stage in a tick, in canonical order: (event time, key, window, order of making).
pub(crate) struct StageRows {
    pub(crate) times: Vec<i64>,
    pub(crate) keys: StringArray,
    windows: Vec<(i64, i64)>,
    row_ids: StringArray,
    /// Output columns.
    pub(crate) columns: Vec<ArrayRef>,
}

impl StageRows {
    /// Puts what one worker made in order. Runs on the worker.
    pub(crate) fn sort(stage: &Stage, emission: Emission) -> Result<Self, ArrowError> {
        let Emission { keys, rows, chunks } = emission;
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by_key(|index| {
            let row = &rows[*index as usize];
            (row.time, keys.get(*index as usize), row.window)
        });
        let indices = UInt32Array::from(order.clone());
        let mut columns = Vec::with_capacity(stage.spec.output.len());
        for (index, output) in stage.spec.output.iter().enumerate() {
            let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| &*chunk[index]).collect();
            columns.push(match parts.as_slice() {
                [] => new_empty_array(&arrow_type(output.kind)),
                [one] => take(*one, &indices, None)?,
                many => take(&concat(many)?, &indices, None)?,
            });
        }
        let ids = RowIds::new(stage.spec.row_name());
        let key = |index: &u32| String::from_utf8_lossy(keys.get(*index as usize));
        let row_id = |index: &u32| ids.of(keys.get(*index as usize), &rows[*index as usize]);
        Ok(Self {
            times: order.iter().map(|index| rows[*index as usize].time).collect(),
            keys: order.iter().map(|index| Some(key(index))).collect(),
            windows: order.iter().map(|index| rows[*index as usize].window).collect(),
            row_ids: order.iter().map(row_id).map(Some).collect(),
            columns,
        })
    }

    /// Brings what the workers made together. One key is one worker's, so the order does not depend on their number.
    pub(crate) fn merge(mut parts: Vec<Self>) -> Result<Self, ArrowError> {
        if parts.iter().filter(|part| part.len() > 0).count() <= 1 {
            let full = parts.iter().position(|part| part.len() > 0).unwrap_or(0);
            return Ok(parts.swap_remove(full));
        }
        let mut order: Vec<(usize, usize)> = Vec::with_capacity(parts.iter().map(Self::len).sum());
        for (place, part) in parts.iter().enumerate() {
            order.extend((0..part.len()).map(|row| (place, row)));
        }
        // Ascending runs one behind the other, which this sort merges.
        order.sort_by_key(|&(place, row)| {
            let part = &parts[place];
            (part.times[row], part.keys.value(row).as_bytes(), part.windows[row])
        });
        let pick = |column: &dyn Fn(&Self) -> ArrayRef| {
            let columns: Vec<ArrayRef> = parts.iter().map(column).collect();
            let columns: Vec<&dyn Array> = columns.iter().map(|column| &**column).collect();
            interleave(&columns, &order)
        };
        let columns = (0..parts[0].columns.len()).map(|index| pick(&|part| part.columns[index].clone()));
        Ok(Self {
            times: order.iter().map(|&(place, row)| parts[place].times[row]).collect(),
            keys: pick(&|part| Arc::new(part.keys.clone()))?.as_string().clone(),
            windows: order.iter().map(|&(place, row)| parts[place].windows[row]).collect(),
            row_ids: pick(&|part| Arc::new(part.row_ids.clone()))?.as_string().clone(),
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The rows `piece` as the metric's table has them.
    pub(crate) fn record_batch(
        &self,
        stage: &Stage,
        piece: Range<usize>,
        epoch: Epoch,
    ) -> Result<RecordBatch, ArrowError> {
        let (start, count) = (piece.start, piece.len());
        let moment = |times: Vec<Option<i64>>| -> ArrayRef {
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
        };
        let provenance = stage.provenance().iter().map(|column| column.slice(0, count));
        let bound = |bound: i64| (bound != i64::MIN && bound != i64::MAX).then_some(bound);
        let mut columns = vec![
            Arc::new(self.keys.slice(start, count)) as ArrayRef,
            moment(self.windows[piece.clone()].iter().map(|window| bound(window.0)).collect()),
            moment(self.windows[piece.clone()].iter().map(|window| bound(window.1)).collect()),
            moment(self.times[piece].iter().copied().map(Some).collect()),
        ];
        columns.extend(provenance);
        columns.push(Arc::new(UInt64Array::from(vec![epoch.0; count])));
        columns.push(Arc::new(self.row_ids.slice(start, count)));
        // The table has the columns of every version.
        for field in &stage.table.schema.fields()[columns.len()..] {
            let own = stage.spec.output.iter().position(|output| output.name == *field.name());
            columns.push(match own {
                Some(own) => self.columns[own].slice(start, count),
                None => new_null_array(field.data_type(), count),
            });
        }
        RecordBatch::try_new(stage.table.schema.clone(), columns)
    }
}

/// Most rows of one record batch: the common columns repeat in every row.
pub(crate) const ROWS_PER_BATCH: usize = 16_384;

/// The columns `module`, `version`, `digest` and `config_digest` of [`ROWS_PER_BATCH`] rows, to be sliced.
pub(crate) fn provenance(spec: &MetricSpec) -> [ArrayRef; 4] {
    let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; ROWS_PER_BATCH])) };
    [&spec.module, &spec.version, &spec.digest.to_string(), &spec.config_digest.to_string()].map(|text| column(text))
}

/// Row ids of one metric: a fingerprint of all that makes a row that row.
struct RowIds {
    /// Of the metric's name.
    begun: Xxh3,
}

impl RowIds {
    fn new(metric: &str) -> Self {
        let mut begun = Xxh3::new();
        begun.update(&(metric.len() as u32).to_le_bytes());
        begun.update(metric.as_bytes());
        Self { begun }
    }

    fn of(&self, key: &[u8], row: &RowMeta) -> String {
        let mut hash = self.begun.clone();
        hash.update(&(key.len() as u32).to_le_bytes());
        hash.update(key);
        for number in [row.window.0, row.window.1, row.time] {
            hash.update(&number.to_le_bytes());
        }
        hash.update(&row.identity.to_le_bytes());
        hash.update(&row.ordinal.to_le_bytes());
        format!("{:032x}", hash.digest128())
    }
}
