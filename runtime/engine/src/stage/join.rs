//! Interval joins: rows of two sides that wait for each other in state, one buffer per key.

use super::call::{Call, Entry, GroupsBuilder};
use super::route::{RoutedRow, RowRef};
use super::row_codec::{self, ColumnBuilder};
use super::{Due, StageRun, TimerKind};
use crate::dead_letter::Reason;
use crate::descriptor::Side as ColumnSide;
use crate::error::EngineError;
use crate::guest::{CloseReason, GuestBatch, VarBytes};
use crate::ports::{PortError, StateKey};
use crate::state_key::{self, Kind};
use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use std::collections::BTreeMap;
use tidemark_dataflow::join::{IntervalJoin, JoinBuffer, Joined, RowOrder, Side, Waiting};
use tidemark_dataflow::{EventTime, KeyGroup};
use xxhash_rust::xxh3::xxh3_64;

/// Most rows that wait for a partner under one key. More are put aside: one hot key must not fill the memory.
const MAX_WAITING: usize = 65_536;

/// Most bytes of them.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// A key's buffer and the timer that stands for it.
struct Buffered {
    group: KeyGroup,
    buffer: JoinBuffer<Bytes>,
    /// Of the rows in the buffer.
    bytes: usize,
    timer: Option<EventTime>,
}

/// Adds a tick's rows to their keys' buffers and emits the pairs that they make at once.
pub(crate) fn fold(run: &mut StageRun<'_>, left: &[RoutedRow], right: &[RoutedRow]) -> Result<(), EngineError> {
    let (input, join) = (run.input, terms(run));
    let mut rows: Vec<(RowOrder, Side, RoutedRow)> = Vec::with_capacity(left.len() + right.len());
    for (side, routed) in [(Side::Left, left), (Side::Right, right)] {
        for row in routed {
            if IntervalJoin::is_late(input.time(row.at), input.watermark) {
                run.late(row.at);
            } else {
                rows.push((input.order(row.at), side, *row));
            }
        }
    }
    rows.sort_unstable_by_key(|(order, side, _)| (*order, *side));
    let keys: Vec<StateKey> = rows.iter().map(|(_, side, row)| key_of(run, *side, *row)).collect();
    let mut buffers = load(run, &keys)?;
    let columns = [ColumnSide::Left, ColumnSide::Right].map(|side| input.stage.side_columns(side).collect::<Vec<_>>());
    let mut joined = Vec::new();
    let mut results = Results::default();
    for ((order, side, row), key) in rows.iter().zip(&keys) {
        let buffered = buffers.get_mut(key).expect("loaded above");
        let mut payload = Vec::new();
        row_codec::encode(&input, &columns[*side as usize], row.at, &mut payload);
        let (count, bytes) = (buffered.buffer.len(), buffered.bytes + payload.len());
        if count >= MAX_WAITING || bytes > MAX_WAITING_BYTES {
            let limits = format!("at most {MAX_WAITING} rows and {MAX_WAITING_BYTES} bytes wait under one key");
            run.kill(row.at, Reason::StateLimit, format!("{limits}; with this row it were {} and {bytes}", count + 1));
            continue;
        }
        buffered.bytes = bytes;
        buffered.buffer.insert(&join, *side, *order, payload.into(), &mut joined);
        results.take(key, &mut joined);
    }
    store(run, &join, buffers);
    results.emit(run, &columns)
}

/// Moves the buffers whose time has come: first matches, rows without a partner, forgetting.
pub(crate) fn close(run: &mut StageRun<'_>, due: Vec<Due>) -> Result<(), EngineError> {
    let (input, join) = (run.input, terms(run));
    let mut keys: Vec<StateKey> = due.into_iter().map(|due| due.state_key).collect();
    keys.dedup();
    let mut buffers = load(run, &keys)?;
    let mut joined = Vec::new();
    let mut results = Results::default();
    for (key, buffered) in &mut buffers {
        // The due timer is gone from the index already.
        buffered.timer = buffered.timer.filter(|timer| *timer > input.next_watermark);
        buffered.buffer.advance(&join, input.next_watermark, &mut joined);
        results.take(key, &mut joined);
    }
    store(run, &join, buffers);
    let columns = [ColumnSide::Left, ColumnSide::Right].map(|side| input.stage.side_columns(side).collect::<Vec<_>>());
    results.emit(run, &columns)
}

fn terms(run: &StageRun<'_>) -> IntervalJoin {
    run.input.stage.spec.interval_join().expect("the join was checked when the metric was made")
}

fn key_of(run: &StageRun<'_>, side: Side, row: RoutedRow) -> StateKey {
    let RowRef { batch, row: index } = row.at;
    let slot = run.input.stage.consumers[side as usize].key;
    let keys: &StringArray = run.input.batches[batch as usize].columns[slot].as_string();
    let group = run.input.key_groups.of_hash(row.hash);
    state_key::keyed(run.input.stage.id, group, Kind::Join, keys.value(index as usize).as_bytes())
}

fn load(run: &mut StageRun<'_>, keys: &[StateKey]) -> Result<BTreeMap<StateKey, Buffered>, EngineError> {
    run.prefetch(keys)?;
    let mut buffers = BTreeMap::new();
    for key in keys {
        if buffers.contains_key(key) {
            continue;
        }
        let group = state_key::group_of(key);
        let (timer, buffer) = match run.shard.get(key)? {
            Some(value) => decode(value)?,
            None => (None, JoinBuffer::default()),
        };
        let bytes = buffer.left.iter().chain(&buffer.right).map(|row| row.payload.len()).sum();
        buffers.insert(key.clone(), Buffered { group, buffer, bytes, timer });
    }
    Ok(buffers)
}

fn store(run: &mut StageRun<'_>, join: &IntervalJoin, buffers: BTreeMap<StateKey, Buffered>) {
    let mut value = Vec::new();
    for (key, Buffered { group, buffer, timer, .. }) in buffers {
        let next = buffer.next_due(join);
        if next != timer {
            if let Some(timer) = timer {
                run.clear_timer(group, TimerKind::Join, timer, &key);
            }
            if let Some(next) = next {
                run.set_timer(group, TimerKind::Join, next, &key);
            }
        }
        if buffer.is_empty() {
            run.shard.delete(&key);
        } else {
            encode(&buffer, next, &mut value);
            run.shard.put(&key, &value);
        }
    }
}

/// An encoded row and its place.
type Placed = (RowOrder, Bytes);

/// Pairs and lonely rows of a tick, on their way to the module.
#[derive(Default)]
struct Results {
    pairs: Vec<(StateKey, Placed, Placed)>,
    lonely: [Vec<(StateKey, Placed)>; 2],
}

impl Results {
    fn take(&mut self, key: &StateKey, joined: &mut Vec<Joined<Bytes>>) {
        for joined in joined.drain(..) {
            match joined {
                Joined::Pair { left, right } => self.pairs.push((key.clone(), left, right)),
                Joined::Unmatched { side, row } => self.lonely[side as usize].push((key.clone(), row)),
            }
        }
    }

    /// Calls the module: every pair and every lonely row is a group of its own, with one row and no state.
    fn emit(self, run: &mut StageRun<'_>, columns: &[Vec<usize>; 2]) -> Result<(), EngineError> {
        if !self.pairs.is_empty() {
            let mut call = JoinCall::new(run);
            for (key, left, right) in &self.pairs {
                let identity = xxh3_64(&[position(left.0), position(right.0)].concat());
                call.push(key, left.0.time, left.0.time.max(right.0.time), identity);
                row_codec::decode_into(&left.1, &columns[0], &mut call.columns)?;
                row_codec::decode_into(&right.1, &columns[1], &mut call.columns)?;
            }
            call.send(run, Entry::Update)?;
        }
        let reasons = [CloseReason::UnmatchedLeft, CloseReason::UnmatchedRight];
        for (side, (rows, reason)) in self.lonely.iter().zip(reasons).enumerate() {
            if rows.is_empty() {
                continue;
            }
            let mut call = JoinCall::new(run);
            for (key, (order, payload)) in rows {
                call.push(key, order.time, order.time, xxh3_64(&position(*order)));
                row_codec::decode_into(payload, &columns[side], &mut call.columns)?;
                columns[1 - side].iter().for_each(|index| call.columns[*index].push_null());
            }
            call.send(run, Entry::Close(reason))?;
        }
        Ok(())
    }
}

fn position(order: RowOrder) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&order.partition.to_le_bytes());
    bytes[4..].copy_from_slice(&order.offset.to_le_bytes());
    bytes
}

struct JoinCall {
    groups: GroupsBuilder,
    columns: Vec<ColumnBuilder>,
}

impl JoinCall {
    fn new(run: &StageRun<'_>) -> Self {
        let inputs = &run.input.stage.spec.inputs;
        let columns = inputs.iter().map(|input| ColumnBuilder::new(input.kind)).collect();
        Self { groups: GroupsBuilder::default(), columns }
    }

    fn push(&mut self, key: &[u8], start: EventTime, time: EventTime, identity: u64) {
        let window = (start.0, start.0.saturating_add(1));
        self.groups.push(state_key::parse_keyed(key), window, time.0, identity);
    }

    fn send(self, run: &mut StageRun<'_>, entry: Entry) -> Result<(), EngineError> {
        let GroupsBuilder { mut groups, identities } = self.groups;
        let count = groups.len();
        groups.row_ends = (1..=count as u32).collect();
        groups.states = VarBytes { ends: vec![0; count], bytes: Vec::new() };
        let columns = self.columns.into_iter().map(ColumnBuilder::finish).collect();
        let batch = GuestBatch { columns, event_times: groups.times.clone(), groups };
        run.call(entry, Call { batch, identities, rows: &[], barred: Vec::new() })?;
        Ok(())
    }
}

/// `[timer: i64, MIN for none][rows on the left: u32]`, then per row time, partition, offset, matched, length, payload.
fn encode(buffer: &JoinBuffer<Bytes>, timer: Option<EventTime>, out: &mut Vec<u8>) {
    out.clear();
    out.extend(timer.unwrap_or(EventTime::MIN).0.to_le_bytes());
    out.extend((buffer.left.len() as u32).to_le_bytes());
    for row in buffer.left.iter().chain(&buffer.right) {
        out.extend(row.order.time.0.to_le_bytes());
        out.extend(row.order.partition.to_le_bytes());
        out.extend(row.order.offset.to_le_bytes());
        out.push(u8::from(row.matched));
        out.extend((row.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&row.payload);
    }
}

pub(crate) fn decode(value: &[u8]) -> Result<(Option<EventTime>, JoinBuffer<Bytes>), PortError> {
    let read = || {
        let value = Bytes::copy_from_slice(value);
        let mut at = 0;
        let timer = EventTime(i64::from_le_bytes(fixed(&value, &mut at)?));
        let left = u32::from_le_bytes(fixed(&value, &mut at)?) as usize;
        let mut buffer = JoinBuffer::default();
        while at < value.len() {
            let time = EventTime(i64::from_le_bytes(fixed(&value, &mut at)?));
            let partition = u32::from_le_bytes(fixed(&value, &mut at)?);
            let offset = u64::from_le_bytes(fixed(&value, &mut at)?);
            let [matched] = fixed(&value, &mut at)?;
            let length = u32::from_le_bytes(fixed(&value, &mut at)?) as usize;
            let end = at.checked_add(length).filter(|end| *end <= value.len())?;
            let order = RowOrder { time, partition, offset };
            let row = Waiting { order, payload: value.slice(at..end), matched: matched == 1 };
            at = end;
            let side = if buffer.left.len() < left { &mut buffer.left } else { &mut buffer.right };
            side.push(row);
        }
        Some(((timer != EventTime::MIN).then_some(timer), buffer))
    };
    read().ok_or_else(|| PortError::Stop("a join buffer in state is damaged: restore the newest checkpoint".to_owned()))
}

fn fixed<const N: usize>(value: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let bytes = value.get(*at..*at + N)?.try_into().ok()?;
    *at += N;
    Some(bytes)
}
