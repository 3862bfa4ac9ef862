//! Keys without window: one accumulator per key, with timers that the metric sets and a time to live, after Flink's
//! `KeyedProcessFunction`.

use super::call::{Call, Entry, GroupsBuilder, Loaded, Outcome};
use super::groups::Grouper;
use super::route::RoutedRow;
use super::{Due, StageRun, TimerKind};
use crate::dead_letter::{DeadLetter, GroupContext, Reason};
use crate::error::EngineError;
use crate::guest::{CloseReason, GroupFailure, GuestBatch, VarBytes};
use crate::ports::StateKey;
use crate::state_key::{self, Kind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tidemark_dataflow::{EventTime, KeyGroup, Window};

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
        let window = (ALWAYS.start.0, ALWAYS.end.0);
        builder.push(grouped.key(index), window, input.time(last).0, input.identity(last));
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
    for (group, time) in &outcome.timers {
        run.set_timer(key_group(*group as usize), TimerKind::User, EventTime(*time), &keys[*group as usize]);
    }
    let mut scratch = Vec::new();
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| outcome.ok[*index]) {
        let existed = loaded.ends[index];
        let newest = existed.map_or(newest[index], |end| end.max(newest[index]));
        if keep(run, key, existed.is_some(), newest, outcome.states.get(index), ttl_ms, &mut scratch) {
            run.set_timer(key_group(index), TimerKind::Expiry, expiry_of(newest, ttl_ms), key);
        }
    }
    Ok(())
}

fn expiry_of(newest: i64, ttl_ms: Option<i64>) -> EventTime {
    ttl_ms.map_or(EventTime::MAX, |ttl| EventTime(newest).plus_ms(ttl))
}

/// Keeps a key's new state. Returns whether the key needs an expiry timer.
///
/// One expiry timer stands for a key from its first state on, and moves when it is due. A key with a time to live that
/// drops its state keeps an empty one until then: keys that come and go must not leave a timer behind each time.
fn keep(
    run: &mut StageRun<'_>,
    key: &[u8],
    existed: bool,
    newest: i64,
    state: &[u8],
    ttl_ms: Option<i64>,
    scratch: &mut Vec<u8>,
) -> bool {
    match (state.is_empty(), existed) {
        (true, false) => return false,
        (true, true) if ttl_ms.is_none() => run.shard.delete(key),
        _ => run.store(key, newest, state, scratch),
    }
    !existed && ttl_ms.is_some()
}

/// Most timers of one key that its timers set and that are due in the same tick.
const MAX_CHAIN: u32 = 1_024;

/// Timers that timers set, in one tick. What a key has set beyond [`MAX_CHAIN`] waits for the next tick; in the last
/// one, where a metric that always sets another timer would never end, it is a dead letter.
#[derive(Default)]
pub(crate) struct Chains {
    lengths: BTreeMap<StateKey, u32>,
    waiting: Vec<Due>,
}

impl Chains {
    fn is_over(&self, key: &StateKey) -> bool {
        self.lengths.get(key).is_some_and(|length| *length >= MAX_CHAIN)
    }

    /// Sets what waits for the next tick.
    pub(crate) fn finish(self, run: &mut StageRun<'_>) {
        for due in self.waiting {
            run.set_timer(due.group, due.kind, due.time, &due.state_key);
        }
    }
}

/// A key's timers that are due, earliest first.
struct Queue {
    group: KeyGroup,
    timers: BTreeSet<(EventTime, TimerKind)>,
}

/// Calls for timers that are due. One key's timers are called one after the other in the order of their times, each
/// with the state that the one before left; one that such a call sets takes its place among them. From `more_from` on
/// there may be timers that are due but were not taken yet.
pub(crate) fn close(
    run: &mut StageRun<'_>,
    due: Vec<Due>,
    more_from: Option<EventTime>,
    ttl_ms: Option<i64>,
    chains: &mut Chains,
) -> Result<(), EngineError> {
    let until = run.input.next_watermark;
    let mut queues: BTreeMap<StateKey, Queue> = BTreeMap::new();
    let add = |queues: &mut BTreeMap<StateKey, Queue>, due: Due| {
        let queue = queues.entry(due.state_key).or_insert(Queue { group: due.group, timers: BTreeSet::new() });
        queue.timers.insert((due.time, due.kind));
    };
    due.into_iter().for_each(|due| add(&mut queues, due));
    while !queues.is_empty() {
        let mut round = Vec::with_capacity(queues.len());
        for (key, queue) in &mut queues {
            let Some((time, kind)) = queue.timers.pop_first() else { continue };
            let due = Due { group: queue.group, time, state_key: key.clone(), kind };
            if chains.is_over(key) && until < EventTime::MAX {
                chains.waiting.push(due);
            } else {
                round.push(due);
            }
        }
        queues.retain(|_, queue| !queue.timers.is_empty());
        for set in close_round(run, &round, ttl_ms)? {
            if set.time > until {
                run.set_timer(set.group, set.kind, set.time, &set.state_key);
                continue;
            }
            if set.kind == TimerKind::User && !admit(run, &set, chains) {
                continue;
            }
            if more_from.is_none_or(|more_from| set.time < more_from) {
                add(&mut queues, set);
            } else {
                run.set_timer(set.group, set.kind, set.time, &set.state_key);
            }
        }
    }
    Ok(())
}

/// Counts a timer that a timer set and that is due already. `false`: it is the last tick and there were too many.
fn admit(run: &mut StageRun<'_>, set: &Due, chains: &mut Chains) -> bool {
    if !chains.is_over(&set.state_key) {
        *chains.lengths.entry(set.state_key.clone()).or_default() += 1;
        return true;
    }
    if run.input.next_watermark < EventTime::MAX {
        return true;
    }
    let spec = &run.input.stage.spec;
    run.output.dead.push(DeadLetter {
        reason: Reason::StateLimit,
        detail: format!("more than {MAX_CHAIN} timers set by timers at the end of the input: this one is not called"),
        position: None,
        event_time: Some(set.time.0),
        payload: Bytes::new(),
        metric: Some(Box::new(GroupContext {
            metric: spec.name.clone(),
            digest: spec.digest,
            key: String::from_utf8_lossy(state_key::parse_keyed(&set.state_key)).into_owned(),
            window: None,
            state: Vec::new(),
        })),
    });
    false
}

/// Calls for at most one timer of each key. Returns the timers that this set.
fn close_round(run: &mut StageRun<'_>, due: &[Due], ttl_ms: Option<i64>) -> Result<Vec<Due>, EngineError> {
    let keys: Vec<StateKey> = due.iter().map(|due| due.state_key.clone()).collect();
    let loaded = run.load(&keys)?;
    let mut set = Vec::new();
    let (mut timers, mut expired) = (Vec::new(), Vec::new());
    for (index, due) in due.iter().enumerate() {
        if due.kind == TimerKind::User {
            // Called without state, too: timers outlive it, as in Flink.
            timers.push(index);
            continue;
        }
        let (Some(newest), Some(_)) = (loaded.ends[index], ttl_ms) else { continue };
        let expiry = expiry_of(newest, ttl_ms);
        if expiry > due.time {
            // Rows have come since the timer was set: it moves instead of being moved at every row.
            set.push(Due { group: due.group, time: expiry, state_key: keys[index].clone(), kind: TimerKind::Expiry });
        } else if loaded.states.get(index).is_empty() {
            run.shard.delete(&keys[index]);
        } else {
            expired.push(index);
        }
    }
    let outcome = call(run, due, &timers, &loaded, CloseReason::Timer)?;
    for (place, time) in outcome.timers {
        let due = &due[timers[place as usize]];
        let (state_key, time) = (due.state_key.clone(), EventTime(time));
        set.push(Due { group: due.group, time, state_key, kind: TimerKind::User });
    }
    let mut scratch = Vec::new();
    for (place, index) in timers.into_iter().enumerate().filter(|(place, _)| outcome.ok[*place]) {
        let (existed, state) = (loaded.ends[index], outcome.states.get(place));
        // A state that begins with a timer lives from then on.
        let newest = existed.unwrap_or(due[index].time.0);
        if keep(run, &keys[index], existed.is_some(), newest, state, ttl_ms, &mut scratch) {
            let (group, time) = (due[index].group, expiry_of(newest, ttl_ms));
            set.push(Due { group, time, state_key: keys[index].clone(), kind: TimerKind::Expiry });
        }
    }
    call(run, due, &expired, &loaded, CloseReason::Expired)?;
    // Expired is expired, whatever the module returned and whether it failed: a dead letter has the state.
    expired.iter().for_each(|index| run.shard.delete(&keys[*index]));
    Ok(set)
}

/// Calls `close` for the timers `chosen` of `due`.
fn call(
    run: &mut StageRun<'_>,
    due: &[Due],
    chosen: &[usize],
    loaded: &Loaded,
    reason: CloseReason,
) -> Result<Outcome, EngineError> {
    let mut builder = GroupsBuilder::default();
    let mut states = VarBytes::default();
    let mut barred = Vec::new();
    for (place, index) in chosen.iter().enumerate() {
        let (key, time) = (state_key::parse_keyed(&due[*index].state_key), due[*index].time.0);
        builder.push(key, (ALWAYS.start.0, ALWAYS.end.0), time, reason as u64);
        states.push(loaded.states.get(*index));
        if let Some(failure) = loaded.failures.iter().find(|failure| failure.group as usize == *index) {
            barred.push(GroupFailure { group: place as u32, ..failure.clone() });
        }
    }
    let mut call = builder.without_rows(run, states);
    call.barred = barred;
    run.call(Entry::Close(reason), call)
}
