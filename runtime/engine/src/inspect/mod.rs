//! What a job holds of one key for one metric, as of the last commit: open windows, sessions, rows that wait for a
//! partner, timers, and the watermark that decides about them. It answers "why did these two not join?".
//!
//! Reads through [`CommittedState`], so it never disturbs the engine, and every list is bounded by [`Most`].

mod watermark;

pub use watermark::stage_watermark;

use crate::descriptor::{ColumnType, Side as ColumnSide, WindowSpec};
use crate::ids::StageId;
use crate::metric::MetricSpec;
use crate::pane::Pane;
use crate::ports::{CommittedState, PortError, StateKey};
use crate::progress::Progress;
use crate::stage::{TimerKind, join, row_codec, session};
use crate::state_key::{self, Kind};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use serde_json::{Map, Value};
use tidemark_dataflow::join::{Side, Waiting};
use tidemark_dataflow::{EventTime, KeyGroups};
use xxhash_rust::xxh3::xxh3_64;

/// Bounds of one look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Most {
    /// Windows that are shown.
    pub windows: usize,
    /// Waiting rows that are shown, of each side.
    pub rows: usize,
    /// Timers that are looked at: those of the key stand among those of its key group.
    pub timers: usize,
    /// Bytes that are shown of an accumulator.
    pub state_bytes: usize,
}

/// What is held of a key.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyState {
    /// The last committed epoch, of which all of this is.
    pub epoch: u64,
    /// The source's watermark then, in ms.
    pub source_watermark: i64,
    /// The key's key group.
    pub key_group: u16,
    /// Open windows or sessions, oldest first; for a key without window its one accumulator.
    pub accumulators: Vec<Accumulator>,
    /// For joins: the rows that wait.
    pub waiting: Option<WaitingRows>,
    /// Timers of the key, earliest first.
    pub timers: Vec<KeyTimer>,
    /// Whether a bound cut something off.
    pub truncated: bool,
}

/// What a metric has made of the rows of a window so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accumulator {
    /// Start and end of the window in ms; `None` for a key without window.
    pub window: Option<(i64, i64)>,
    /// Event time of the newest row, for a key without window.
    pub newest: Option<i64>,
    /// Digest of the module that wrote it.
    pub digest: String,
    /// Version of its encoding.
    pub state_version: u32,
    /// How long it is.
    pub bytes: usize,
    /// Its beginning.
    pub state: Vec<u8>,
}

/// Rows of a join that wait for a partner, each side in canonical order.
#[derive(Clone, PartialEq, Debug)]
pub struct WaitingRows {
    /// Left rows.
    pub left: Vec<WaitingRow>,
    /// Right rows.
    pub right: Vec<WaitingRow>,
    /// How many there are on the left.
    pub left_count: usize,
    /// How many there are on the right.
    pub right_count: usize,
}

/// A row that waits.
#[derive(Clone, PartialEq, Debug)]
pub struct WaitingRow {
    /// Its event time in ms.
    pub event_time: i64,
    /// Until which watermark it waits, in ms.
    pub waits_until: i64,
    /// Whether it has had a partner.
    pub matched: bool,
    /// The place of its source partition, or of the stage that made it.
    pub partition: u32,
    /// Its position there.
    pub offset: u64,
    /// Its values, by the names of the metric's input columns.
    pub values: Map<String, Value>,
}

/// A timer of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyTimer {
    /// When it is due, in ms of the metric's watermark.
    pub time: i64,
    /// What happens then: `fire`, `cleanup`, `user`, `expiry` or `join`.
    pub kind: &'static str,
    /// The window that it is about, by its start.
    pub window_start: Option<i64>,
}

/// Looks at `key`; `None` if nothing was committed yet, or nothing of this metric.
pub fn key_state(
    state: &dyn CommittedState,
    spec: &MetricSpec,
    key: &str,
    most: Most,
) -> Result<Option<KeyState>, PortError> {
    let Some(progress) = Progress::of_committed(state)? else { return Ok(None) };
    let stages: Vec<StageId> = progress.stages_of(&spec.name).map(|stage| stage.id).collect();
    let (Some(&stage), Some(key_groups)) = (stages.first(), KeyGroups::new(progress.key_groups)) else {
        return Ok(None);
    };
    let group = key_groups.of_hash(xxh3_64(key.as_bytes()));
    let keyed = |kind| state_key::keyed(stage, group, kind, key.as_bytes());
    let mut found = KeyState {
        epoch: progress.epoch.0,
        source_watermark: progress.watermark,
        key_group: group.0,
        accumulators: Vec::new(),
        waiting: None,
        timers: Vec::new(),
        truncated: false,
    };
    // Timers are about these.
    let mut owners: Vec<StateKey> = Vec::new();
    match &spec.window {
        WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } | WindowSpec::Session { .. } => {
            // Earlier versions may have some of its windows.
            let mut panes = Vec::new();
            for stage in &stages {
                let range = state_key::panes_of(*stage, group, key.as_bytes());
                panes.extend(state.entries(&range.start, &range.end, most.windows + 1)?);
            }
            panes.sort_by_cached_key(|(pane_key, _)| state_key::parse_pane(pane_key).1);
            found.truncated |= panes.len() > most.windows;
            for (pane_key, value) in panes.into_iter().take(most.windows) {
                let (found_key, start) = state_key::parse_pane(&pane_key);
                if found_key != key.as_bytes() {
                    continue;
                }
                let pane = Pane::decode(&value)?;
                let accumulator = accumulator(&progress, &pane, Some((start, pane.end)), most);
                found.accumulators.push(accumulator);
                owners.push(pane_key);
            }
            if matches!(spec.window, WindowSpec::Session { .. }) {
                let mut open = 0;
                for stage in &stages {
                    let list = state.value(&state_key::keyed(*stage, group, Kind::Sessions, key.as_bytes()))?;
                    open += list.as_deref().map(session::decode_list).transpose()?.map_or(0, |sessions| sessions.len());
                }
                found.truncated |= open > found.accumulators.len();
            }
        }
        WindowSpec::Key { .. } => {
            let owner = keyed(Kind::Keyed);
            if let Some(value) = state.value(&owner)? {
                let pane = Pane::decode(&value)?;
                let newest = Some(pane.end);
                found.accumulators.push(Accumulator { newest, ..accumulator(&progress, &pane, None, most) });
            }
            owners.push(owner);
        }
        WindowSpec::IntervalJoin { .. } => {
            let owner = keyed(Kind::Join);
            let waiting = match state.value(&owner)? {
                Some(value) => waiting_rows(spec, &value, most)?,
                None => WaitingRows { left: Vec::new(), right: Vec::new(), left_count: 0, right_count: 0 },
            };
            found.truncated |= waiting.left_count > waiting.left.len() || waiting.right_count > waiting.right.len();
            found.waiting = Some(waiting);
            owners.push(owner);
        }
    }
    let is_own = |timer_key: &[u8]| {
        TimerKind::parse(timer_key).is_some_and(|(about, _)| owners.iter().any(|owner| **owner == *about))
    };
    let mut timers = Vec::new();
    for stage in &stages {
        let (of_stage, complete) = state.timers(*stage, group, most.timers, &is_own)?;
        timers.extend(of_stage);
        found.truncated |= !complete;
    }
    timers.sort();
    found.timers = timers
        .iter()
        .filter_map(|timer| {
            let (about, kind) = TimerKind::parse(&timer.key)?;
            let window_start =
                (about.get(state_key::PREFIX) == Some(&(Kind::Pane as u8))).then(|| state_key::parse_pane(about).1);
            Some(KeyTimer { time: timer.time.0, kind: kind.name(), window_start })
        })
        .collect();
    Ok(Some(found))
}

fn accumulator(progress: &Progress, pane: &Pane<'_>, window: Option<(i64, i64)>, most: Most) -> Accumulator {
    Accumulator {
        window,
        newest: None,
        digest: progress.modules.get(usize::from(pane.module)).cloned().unwrap_or_default(),
        state_version: pane.state_version,
        bytes: pane.state.len(),
        state: pane.state[..pane.state.len().min(most.state_bytes)].to_vec(),
    }
}

fn waiting_rows(spec: &MetricSpec, value: &[u8], most: Most) -> Result<WaitingRows, PortError> {
    let (_, buffer) = join::decode(value)?;
    let side = |side: Side, rows: &[Waiting<bytes::Bytes>]| -> Result<Vec<WaitingRow>, PortError> {
        rows.iter().take(most.rows).map(|row| waiting_row(spec, side, row)).collect()
    };
    Ok(WaitingRows {
        left: side(Side::Left, &buffer.left)?,
        right: side(Side::Right, &buffer.right)?,
        left_count: buffer.left.len(),
        right_count: buffer.right.len(),
    })
}

fn waiting_row(spec: &MetricSpec, side: Side, row: &Waiting<bytes::Bytes>) -> Result<WaitingRow, PortError> {
    let column_side = if side == Side::Left { ColumnSide::Left } else { ColumnSide::Right };
    let inputs = spec.inputs.iter().enumerate().filter(|(_, input)| input.side == Some(column_side));
    let columns: Vec<usize> = inputs.map(|(index, _)| index).collect();
    let mut builders: Vec<_> = spec.inputs.iter().map(|input| row_codec::ColumnBuilder::new(input.kind)).collect();
    row_codec::decode_into(&row.payload, &columns, &mut builders)?;
    let mut values = Map::new();
    for (index, builder) in builders.into_iter().enumerate() {
        if columns.contains(&index) {
            let input = &spec.inputs[index];
            values.insert(input.name.clone(), value(input.kind, &builder.finish()));
        }
    }
    let join = spec.interval_join();
    let waits_until = join.map_or(EventTime::MAX, |join| join.expiry(side, row.order.time));
    Ok(WaitingRow {
        event_time: row.order.time.0,
        waits_until: waits_until.0,
        matched: row.matched,
        partition: row.order.partition,
        offset: row.order.offset,
        values,
    })
}

/// The first value of a column.
fn value(kind: ColumnType, column: &ArrayRef) -> Value {
    if column.is_empty() || column.is_null(0) {
        return Value::Null;
    }
    match kind {
        ColumnType::Boolean => column.as_boolean().value(0).into(),
        ColumnType::Integer => column.as_primitive::<Int64Type>().value(0).into(),
        ColumnType::Float => column.as_primitive::<Float64Type>().value(0).into(),
        ColumnType::Text | ColumnType::Json => column.as_string::<i32>().value(0).into(),
    }
}
