//! Session windows: one accumulator per open session, merged when a row closes the gap between two, after Flink's
//! `MergingWindowSet`.

use super::aligned;
use super::call::{Call, Entry, GroupsBuilder};
use super::groups::Grouper;
use super::route::{RoutedRow, RowRef};
use super::{Due, StageRun, TimerKind};
use crate::error::EngineError;
use crate::guest::{GroupFailure, GuestBatch, VarBytes};
use crate::ports::{PortError, StateKey};
use crate::state_key::{self, Kind};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidemark_dataflow::session;
use tidemark_dataflow::window::{cleanup_time, fires_at_once, is_window_late};
use tidemark_dataflow::{EventTime, KeyGroup, Window};

/// A key that has rows in this tick.
struct TouchedKey {
    key: Vec<u8>,
    group: KeyGroup,
    list_key: StateKey,
    /// Open sessions after the tick's rows.
    sessions: Vec<Window>,
}

/// A session that has rows in this tick.
struct Touched {
    key: usize,
    session: Window,
    /// Sessions of before that are part of it now, oldest first.
    absorbed: Vec<Window>,
    rows: Vec<RowRef>,
}

/// Folds a tick's rows into their keys' sessions.
pub(crate) fn fold(run: &mut StageRun<'_>, rows: &[RoutedRow], gap_ms: i64) -> Result<(), EngineError> {
    let own = own_rows(run, rows)?;
    let rows = &own[..];
    if rows.is_empty() {
        return Ok(());
    }
    let (keys, touched) = assign(run, rows, gap_ms)?;
    let (states, mut barred) = merged_states(run, &keys, &touched)?;
    let input = run.input;
    let mut builder = GroupsBuilder::default();
    let mut all_rows = Vec::with_capacity(rows.len());
    for touched in &touched {
        let window = touched.session;
        let newest = *touched.rows.last().expect("a touched session has a row");
        let bounds = (window.start.0, window.end.0);
        builder.push(&keys[touched.key].key, bounds, window.last().0, input.identity(newest));
        all_rows.extend_from_slice(&touched.rows);
        builder.groups.row_ends.push(all_rows.len() as u32);
    }
    builder.groups.states = states;
    barred.sort_by_key(|failure| failure.group);
    let batch =
        GuestBatch { columns: input.columns(&all_rows), event_times: input.times(&all_rows), groups: builder.groups };
    let call = Call { batch, identities: builder.identities, rows: &all_rows, barred };
    let outcome = run.call(Entry::Update, call)?;
    let refire = keep(run, keys, &touched, &outcome);
    aligned::fire(run, &refire)
}

/// The rows that are this version's: a key with an open session stays with the version that opened it, until none is
/// open. Asked of the state as it was before the tick: newer versions are run before older ones.
fn own_rows<'a>(run: &mut StageRun<'_>, rows: &'a [RoutedRow]) -> Result<Cow<'a, [RoutedRow]>, EngineError> {
    let (input, stage) = (run.input, run.input.stage);
    if stage.elders.is_empty() && !stage.is_retired() && stage.from == i64::MIN {
        return Ok(Cow::Borrowed(rows));
    }
    let mut claims: Vec<Vec<StateKey>> = Vec::with_capacity(rows.len());
    let ids = || stage.elders.iter().chain(stage.is_retired().then_some(&stage.id));
    for row in rows {
        let (key, group) = (input.key_of(0, row.at), input.key_groups.of_hash(row.hash));
        claims.push(ids().map(|id| state_key::keyed(*id, group, Kind::Sessions, key)).collect());
    }
    run.prefetch(&claims.concat())?;
    let mut own = Vec::new();
    for (row, claims) in rows.iter().zip(claims) {
        let mut claimed = Vec::with_capacity(claims.len());
        for key in &claims {
            claimed.push(run.shard.get(key)?.is_some());
        }
        let (by_self, by_elders) = match stage.is_retired() {
            true => (claimed.pop().unwrap_or(false), claimed),
            false => (input.time(row.at).0 >= stage.from, claimed),
        };
        if by_self && !by_elders.contains(&true) {
            own.push(*row);
        }
    }
    Ok(Cow::Owned(own))
}

/// Puts rows aside because the module is quarantined: those that are no other version's.
pub(crate) fn refuse(run: &mut StageRun<'_>, rows: &[RoutedRow]) -> Result<(), EngineError> {
    let own = own_rows(run, rows)?;
    run.refuse(&own);
    Ok(())
}

/// Which session each row belongs to. Late rows are put aside.
fn assign(
    run: &mut StageRun<'_>,
    rows: &[RoutedRow],
    gap_ms: i64,
) -> Result<(Vec<TouchedKey>, Vec<Touched>), EngineError> {
    let (input, lateness) = (run.input, run.input.stage.spec.allowed_lateness_ms);
    let mut grouper = Grouper::new(input, 0, rows.len());
    let always = Window { start: EventTime::MIN, end: EventTime::MAX };
    rows.iter().for_each(|row| grouper.add(*row, always));
    let grouped = grouper.finish();
    let mut keys = Vec::with_capacity(grouped.groups.len());
    for index in 0..grouped.groups.len() {
        let (key, group) = (grouped.key(index).to_vec(), grouped.key_group(index, &input));
        let list_key = state_key::keyed(input.stage.id, group, Kind::Sessions, &key);
        keys.push(TouchedKey { key, group, list_key, sessions: Vec::new() });
    }
    let list_keys: Vec<StateKey> = keys.iter().map(|key| key.list_key.clone()).collect();
    run.prefetch(&list_keys)?;
    let mut touched = Vec::new();
    for (index, key) in keys.iter_mut().enumerate() {
        let before = match run.shard.get(&key.list_key)? {
            Some(value) => decode_list(value)?,
            None => Vec::new(),
        };
        key.sessions.clone_from(&before);
        let mut accepted = Vec::new();
        for at in grouped.rows(index) {
            let time = input.time(*at);
            if is_window_late(session::merge(&key.sessions, time, gap_ms).session, lateness, input.watermark) {
                run.late(*at);
            } else {
                session::add(&mut key.sessions, time, gap_ms);
                accepted.push(*at);
            }
        }
        // Rows and sessions both stand in the order of time.
        let place_of = |at: &RowRef| session::place_of(&key.sessions, input.time(*at));
        for rows in accepted.chunk_by(|a, b| place_of(a) == place_of(b)) {
            let session = key.sessions[place_of(&rows[0]).expect("the row was added")];
            let first = before.partition_point(|old| old.start < session.start);
            let absorbed = before[first..].iter().take_while(|old| old.end <= session.end).copied().collect();
            touched.push(Touched { key: index, session, absorbed, rows: rows.to_vec() });
        }
    }
    Ok((keys, touched))
}

/// The state of each touched session: those of its parts, merged from the oldest to the newest.
fn merged_states(
    run: &mut StageRun<'_>,
    keys: &[TouchedKey],
    touched: &[Touched],
) -> Result<(VarBytes, Vec<GroupFailure>), EngineError> {
    let stage_id = run.input.stage.id;
    let parts: Vec<(usize, StateKey)> = touched
        .iter()
        .enumerate()
        .flat_map(|(index, touched)| {
            let key = &keys[touched.key];
            touched
                .absorbed
                .iter()
                .map(move |part| (index, state_key::pane(stage_id, key.group, &key.key, part.start.0)))
        })
        .collect();
    let part_keys: Vec<StateKey> = parts.iter().map(|(_, key)| key.clone()).collect();
    let loaded = run.load(&part_keys)?;
    let mut barred: BTreeMap<u32, GroupFailure> = BTreeMap::new();
    let mut pending: Vec<std::collections::VecDeque<Vec<u8>>> = vec![Default::default(); touched.len()];
    for (place, (index, _)) in parts.iter().enumerate() {
        pending[*index].push_back(loaded.states.get(place).to_vec());
        if let Some(failure) = loaded.failures.iter().find(|failure| failure.group as usize == place) {
            barred.entry(*index as u32).or_insert(GroupFailure { group: *index as u32, ..failure.clone() });
        }
    }
    let mut merged: Vec<Vec<u8>> = pending.iter_mut().map(|parts| parts.pop_front().unwrap_or_default()).collect();
    loop {
        let round: Vec<usize> = (0..touched.len()).filter(|index| !pending[*index].is_empty()).collect();
        if round.is_empty() {
            break;
        }
        let (mut left, mut right) = (VarBytes::default(), VarBytes::default());
        for index in &round {
            left.push(&merged[*index]);
            right.push(&pending[*index].pop_front().unwrap_or_default());
        }
        let folded = run.guest.merge(&left, &right)?;
        run.check_states(&folded, round.len())?;
        for (place, index) in round.iter().enumerate() {
            merged[*index] = folded.states.get(place).to_vec();
        }
        for failure in folded.failures {
            let group = round[failure.group as usize] as u32;
            barred.entry(group).or_insert(GroupFailure { group, ..failure });
        }
    }
    let mut states = VarBytes::default();
    merged.iter().for_each(|state| states.push(state));
    Ok((states, barred.into_values().collect()))
}

/// Stores what became of the touched sessions; returns the panes that must fire again at once.
fn keep(
    run: &mut StageRun<'_>,
    mut keys: Vec<TouchedKey>,
    touched: &[Touched],
    outcome: &super::call::Outcome,
) -> Vec<StateKey> {
    let (input, lateness) = (run.input, run.input.stage.spec.allowed_lateness_ms);
    let mut scratch = Vec::new();
    let mut refire = Vec::new();
    for (index, touched) in touched.iter().enumerate() {
        let key = &mut keys[touched.key];
        if !outcome.ok[index] {
            // As before the call: the parts stay apart.
            key.sessions.retain(|session| *session != touched.session);
            key.sessions.extend_from_slice(&touched.absorbed);
            continue;
        }
        let session = touched.session;
        let pane_of = |window: &Window| state_key::pane(input.stage.id, key.group, &key.key, window.start.0);
        let unchanged = touched.absorbed == [session];
        if !unchanged {
            for part in &touched.absorbed {
                let pane = pane_of(part);
                run.clear_timer(key.group, TimerKind::Fire, part.last(), &pane);
                run.clear_timer(key.group, TimerKind::Cleanup, cleanup_time(*part, lateness), &pane);
                run.shard.delete(&pane);
            }
        }
        let pane = pane_of(&session);
        run.store(&pane, session.end.0, outcome.states.get(index), &mut scratch);
        if fires_at_once(session, input.watermark) {
            refire.push(pane);
        } else if !unchanged {
            run.set_timer(key.group, TimerKind::Fire, session.last(), &pane);
        }
    }
    for mut key in keys {
        key.sessions.sort_unstable();
        store_list(run, &key.list_key, &key.sessions);
    }
    refire
}

/// Fires and forgets sessions whose time has come.
pub(crate) fn close(run: &mut StageRun<'_>, due: Vec<Due>) -> Result<(), EngineError> {
    for (group, pane) in aligned::close(run, due)? {
        let (key, start) = state_key::parse_pane(&pane);
        let list_key = state_key::keyed(run.input.stage.id, group, Kind::Sessions, key);
        let Some(value) = run.shard.get(&list_key)? else { continue };
        let mut sessions = decode_list(value)?;
        sessions.retain(|session| session.start.0 != start);
        store_list(run, &list_key, &sessions);
    }
    Ok(())
}

fn store_list(run: &mut StageRun<'_>, list_key: &[u8], sessions: &[Window]) {
    if sessions.is_empty() {
        run.shard.delete(list_key);
        return;
    }
    let bounds = sessions.iter().flat_map(|session| [session.start.0, session.end.0]);
    let value: Vec<u8> = bounds.flat_map(i64::to_le_bytes).collect();
    run.shard.put(list_key, &value);
}

pub(crate) fn decode_list(value: &[u8]) -> Result<Vec<Window>, PortError> {
    let (numbers, rest) = value.as_chunks::<8>();
    if !rest.is_empty() || !numbers.len().is_multiple_of(2) {
        return Err(PortError::Stop("a session list in state is damaged: restore the newest checkpoint".to_owned()));
    }
    let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes);
    Ok(numbers.chunks(2).map(|pair| Window::new(number(&pair[0]), number(&pair[1]))).collect())
}
