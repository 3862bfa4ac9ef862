//! Keys without window: one accumulator per key, with timers that the metric sets and a time to live, after Flink's
//! `KeyedProcessFunction`.

use super::call::{Call, Entry, GroupsBuilder};
use super::groups::Grouper;
use super::route::RoutedRow;
use super::{Due, StageRun, TimerKind};
use crate::error::EngineError;
use crate::guest::{CloseReason, GuestBatch, VarBytes};
use crate::ports::StateKey;
use crate::state_key::{self, Kind};
use std::collections::BTreeSet;
use tidemark_dataflow::{EventTime, KeyGroup, Window};
use xxhash_rust::xxh3::xxh3_64;

/// The window of a key that has none.
const ALWAYS: Window = Window { start: EventTime::MIN, end: EventTime::MAX };

/// Folds a tick's rows into their keys' accumulators.
pub(crate) fn fold(run: &mut StageRun<'_>, rows: &[RoutedRow], ttl_ms: Option<i64>) -> Result<(), EngineError> {
    if rows.is_empty() {
        return Ok(());
    }
    let input = run.input;
    let mut grouper = Grouper::new(input, 0, rows.len());
    rows.iter().for_each(|row| grouper.add(*row, ALWAYS));
    let grouped = grouper.finish();
    let key_group = |index| grouped.key_group(index, &input);
    let keys: Vec<StateKey> = (0..grouped.groups.len())
        .map(|index| state_key::keyed(input.stage.id, key_group(index), Kind::Keyed, grouped.key(index)))
        .collect();
    let loaded = run.load(&keys)?;
    let mut builder = GroupsBuilder::default();
    for index in 0..keys.len() {
        let last = *grouped.rows(index).last().expect("a group has a row");
        let order = input.order(last);
        let identity = xxh3_64(&[u64::from(order.partition).to_le_bytes(), order.offset.to_le_bytes()].concat());
        builder.push(grouped.key(index), (ALWAYS.start.0, ALWAYS.end.0), order.time.0, identity);
    }
    builder.groups.row_ends.clone_from(&grouped.row_ends);
    builder.groups.states = loaded.states;
    let newest = builder.groups.times.clone();
    let batch = GuestBatch {
        columns: input.columns(&grouped.rows),
        event_times: input.times(&grouped.rows),
        groups: builder.groups,
    };
    let call = Call { batch, identities: builder.identities, rows: &grouped.rows, barred: loaded.failures };
    let outcome = run.call(Entry::Update, call)?;
    let timed: BTreeSet<u32> = outcome.timers.iter().map(|(group, _)| *group).collect();
    for (group, time) in &outcome.timers {
        run.set_timer(key_group(*group as usize), TimerKind::User, EventTime(*time), &keys[*group as usize]);
    }
    let mut scratch = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let (state, existed) = (outcome.states.get(index), loaded.ends[index]);
        if !outcome.ok[index] {
            continue;
        }
        if state.is_empty() && !timed.contains(&(index as u32)) {
            run.shard.delete(key);
            continue;
        }
        let newest = existed.map_or(newest[index], |end| end.max(newest[index]));
        run.store(key, newest, state, &mut scratch);
        if let (None, Some(ttl)) = (existed, ttl_ms) {
            run.set_timer(key_group(index), TimerKind::Expiry, EventTime(newest).plus_ms(ttl), key);
        }
    }
    Ok(())
}

/// Calls for timers that are due, in the order of their times. One key's timers are called one after the other, each
/// with the state that the one before left.
pub(crate) fn close(run: &mut StageRun<'_>, due: Vec<Due>, ttl_ms: Option<i64>) -> Result<(), EngineError> {
    let mut due = due.into_iter().peekable();
    while due.peek().is_some() {
        let mut seen: BTreeSet<StateKey> = BTreeSet::new();
        let mut round = Vec::new();
        while let Some(next) = due.next_if(|next| !seen.contains(&next.state_key)) {
            seen.insert(next.state_key.clone());
            round.push(next);
        }
        close_round(run, &round, ttl_ms)?;
    }
    Ok(())
}

fn close_round(run: &mut StageRun<'_>, due: &[Due], ttl_ms: Option<i64>) -> Result<(), EngineError> {
    let keys: Vec<StateKey> = due.iter().map(|due| due.state_key.clone()).collect();
    let loaded = run.load(&keys)?;
    let mut plans: [(CloseReason, Vec<usize>); 2] =
        [(CloseReason::Timer, Vec::new()), (CloseReason::Expired, Vec::new())];
    for (index, due) in due.iter().enumerate() {
        let Some(newest) = loaded.ends[index] else { continue };
        if due.kind == TimerKind::User {
            plans[0].1.push(index);
            continue;
        }
        let Some(ttl) = ttl_ms else { continue };
        let expiry = EventTime(newest).plus_ms(ttl);
        if expiry > due.time {
            // Rows have come since the timer was set: it moves instead of being moved at every row.
            run.set_timer(due.group, TimerKind::Expiry, expiry, &keys[index]);
        } else {
            plans[1].1.push(index);
        }
    }
    for (reason, indices) in plans {
        let mut builder = GroupsBuilder::default();
        let mut states = VarBytes::default();
        let mut barred = Vec::new();
        for (place, index) in indices.iter().enumerate() {
            let window = (ALWAYS.start.0, ALWAYS.end.0);
            builder.push(state_key::parse_keyed(&keys[*index]), window, due[*index].time.0, reason as u64);
            states.push(loaded.states.get(*index));
            if let Some(failure) = loaded.failures.iter().find(|failure| failure.group as usize == *index) {
                barred.push(crate::guest::GroupFailure { group: place as u32, ..failure.clone() });
            }
        }
        let mut call = builder.without_rows(run, states);
        call.barred = barred;
        let outcome = run.call(Entry::Close(reason), call)?;
        keep(run, &indices, due, &keys, &loaded.ends, reason, outcome);
    }
    Ok(())
}

fn keep(
    run: &mut StageRun<'_>,
    indices: &[usize],
    due: &[Due],
    keys: &[StateKey],
    ends: &[Option<i64>],
    reason: CloseReason,
    outcome: super::call::Outcome,
) {
    let group_of = |place: usize| -> KeyGroup { due[indices[place]].group };
    if reason == CloseReason::Expired {
        // Expired is expired, whatever the module returned and whether it failed: a dead letter has the state.
        indices.iter().for_each(|index| run.shard.delete(&keys[*index]));
        return;
    }
    let timed: BTreeSet<u32> = outcome.timers.iter().map(|(group, _)| *group).collect();
    for (group, time) in &outcome.timers {
        let place = *group as usize;
        run.set_timer(group_of(place), TimerKind::User, EventTime(*time), &keys[indices[place]]);
    }
    let mut scratch = Vec::new();
    for (place, index) in indices.iter().enumerate() {
        if !outcome.ok[place] {
            continue;
        }
        let state = outcome.states.get(place);
        if state.is_empty() && !timed.contains(&(place as u32)) {
            run.shard.delete(&keys[*index]);
        } else {
            let newest = ends[*index].expect("only keys that exist are called");
            run.store(&keys[*index], newest, state, &mut scratch);
        }
    }
}
