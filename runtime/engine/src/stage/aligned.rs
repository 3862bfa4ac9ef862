//! Tumbling and sliding windows: one accumulator per (key, window), after Flink's `WindowOperator`.

use super::call::{Call, Entry, GroupsBuilder};
use super::groups::{GroupedRows, Grouper};
use super::route::RoutedRow;
use super::{Due, StageRun, TimerKind};
use crate::error::EngineError;
use crate::guest::{CloseReason, GuestBatch};
use crate::pane::Pane;
use crate::ports::StateKey;
use crate::state_key;
use tidemark_dataflow::window::{cleanup_time, fires_at_once, is_row_late, is_window_late};
use tidemark_dataflow::{EventTime, KeyGroup, Window};

/// Folds a tick's rows into their windows. A window that the watermark has passed, but that may still change, fires
/// again at once.
pub(crate) fn fold(run: &mut StageRun<'_>, rows: &[RoutedRow]) -> Result<(), EngineError> {
    if rows.is_empty() {
        return Ok(());
    }
    let (input, lateness) = (run.input, run.input.stage.spec.allowed_lateness_ms);
    let windows = input.stage.spec.aligned().expect("the window was checked when the metric was made");
    let mut grouper = Grouper::new(input, 0, rows.len());
    for row in rows {
        let time = input.time(row.at);
        let mut assigned = false;
        let own = windows.assign(time).filter(|window| input.stage.owns(window.start));
        for window in own.filter(|window| !is_window_late(*window, lateness, input.watermark)) {
            grouper.add(*row, window);
            assigned = true;
        }
        if !assigned && is_row_late(time, lateness, input.watermark) && input.stage.answers_for(time) {
            run.late(row.at);
        }
    }
    let grouped = grouper.finish();
    let keys: Vec<StateKey> = (0..grouped.groups.len())
        .map(|index| {
            let group = grouped.key_group(index, &input);
            state_key::pane(input.stage.id, group, grouped.key(index), grouped.groups[index].window.start.0)
        })
        .collect();
    update(run, &grouped, &keys)
}

/// Puts rows aside because the module is quarantined: those that no other version answers for.
pub(crate) fn refuse(run: &mut StageRun<'_>, rows: &[RoutedRow]) {
    let input = run.input;
    for row in rows.iter().filter(|row| input.stage.answers_for(input.time(row.at))) {
        run.refuse(std::slice::from_ref(row));
    }
}

fn update(run: &mut StageRun<'_>, grouped: &GroupedRows<'_>, keys: &[StateKey]) -> Result<(), EngineError> {
    let input = run.input;
    let loaded = run.load(keys)?;
    let mut builder = GroupsBuilder::default();
    for (index, group) in grouped.groups.iter().enumerate() {
        let window = group.window;
        let newest = *grouped.rows(index).last().expect("a group has a row");
        let bounds = (window.start.0, window.end.0);
        builder.push(grouped.key(index), bounds, window.last().0, input.identity(newest));
    }
    builder.groups.row_ends.clone_from(&grouped.row_ends);
    builder.groups.states = loaded.states;
    let batch = GuestBatch {
        columns: input.columns(&grouped.rows),
        event_times: input.times(&grouped.rows),
        groups: builder.groups,
    };
    let call = Call { batch, identities: builder.identities, rows: &grouped.rows, barred: loaded.failures };
    let outcome = run.call(Entry::Update, call)?;
    let mut scratch = Vec::new();
    let mut refire = Vec::new();
    for (index, group) in grouped.groups.iter().enumerate() {
        if !outcome.ok[index] {
            continue;
        }
        let (window, key_group) = (group.window, grouped.key_group(index, &input));
        run.store(&keys[index], window.end.0, outcome.states.get(index), &mut scratch);
        if fires_at_once(window, input.watermark) {
            refire.push(keys[index].clone());
        } else if loaded.ends[index].is_none() {
            run.set_timer(key_group, TimerKind::Fire, window.last(), &keys[index]);
        }
    }
    fire(run, &refire)
}

/// Fires and forgets windows whose time has come. Returns what was forgotten.
pub(crate) fn close(run: &mut StageRun<'_>, due: Vec<Due>) -> Result<Vec<(KeyGroup, StateKey)>, EngineError> {
    let lateness = run.input.stage.spec.allowed_lateness_ms;
    let (fires, cleanups): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.kind == TimerKind::Fire);
    let keys: Vec<StateKey> = fires.iter().map(|due| due.state_key.clone()).collect();
    fire(run, &keys)?;
    let mut gone: Vec<(KeyGroup, StateKey)> = Vec::new();
    if lateness == 0 {
        gone.extend(fires.into_iter().map(|due| (due.group, due.state_key)));
    }
    for due in cleanups {
        let Some(value) = run.shard.get(&due.state_key)? else { continue };
        let window = window_of(&due.state_key, Pane::decode(value)?.end);
        if is_window_late(window, lateness, run.input.next_watermark) {
            run.shard.delete(&due.state_key);
            gone.push((due.group, due.state_key));
        } else {
            // The deployment allows more lateness than when the timer was set.
            run.set_timer(due.group, TimerKind::Cleanup, cleanup_time(window, lateness), &due.state_key);
        }
    }
    Ok(gone)
}

fn window_of(pane: &[u8], end: i64) -> Window {
    Window { start: EventTime(state_key::parse_pane(pane).1), end: EventTime(end) }
}

/// Calls `close` for panes; keeps their states where rows may still come, until the allowed lateness is over.
pub(crate) fn fire(run: &mut StageRun<'_>, keys: &[StateKey]) -> Result<(), EngineError> {
    let lateness = run.input.stage.spec.allowed_lateness_ms;
    let loaded = run.load(keys)?;
    let mut builder = GroupsBuilder::default();
    let mut present = Vec::with_capacity(keys.len());
    let mut states = crate::guest::VarBytes::default();
    let mut barred = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let Some(end) = loaded.ends[index] else { continue };
        let window = window_of(key, end);
        builder.push(state_key::parse_pane(key).0, (window.start.0, end), window.last().0, 0);
        states.push(loaded.states.get(index));
        if let Some(failure) = loaded.failures.iter().find(|failure| failure.group as usize == index) {
            barred.push(crate::guest::GroupFailure { group: present.len() as u32, ..failure.clone() });
        }
        present.push(index);
    }
    let mut call = builder.without_rows(run, states);
    call.barred = barred;
    let outcome = run.call(Entry::Close(CloseReason::WindowEnd), call)?;
    let mut scratch = Vec::new();
    for (place, index) in present.into_iter().enumerate() {
        let key = &keys[index];
        if lateness == 0 {
            // A poison group's state is in its dead letter: nothing will call for it again.
            run.shard.delete(key);
            continue;
        }
        let end = loaded.ends[index].expect("only panes that exist are fired");
        if outcome.ok[place] {
            run.store(key, end, outcome.states.get(place), &mut scratch);
        }
        run.set_timer(state_key::group_of(key), TimerKind::Cleanup, cleanup_time(window_of(key, end), lateness), key);
    }
    Ok(())
}
