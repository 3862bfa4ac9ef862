//! Tumbling and sliding windows: one accumulator per (key, window), after Flink's `WindowOperator`.

use super::call::{Call, Entry, GroupsBuilder};
use super::groups::{GroupedRows, Grouper};
use super::route::RoutedRow;
use super::{Due, StageRun, TimerKind};
use crate::error::EngineError;
use crate::guest::{CloseReason, GuestBatch};
use crate::ports::StateKey;
use crate::state_key;
use tidemark_dataflow::window::{cleanup_time, fires_at_once, is_window_late};
use tidemark_dataflow::{EventTime, Window};

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
        let (mut assigned, mut late) = (false, false);
        for window in windows.assign(input.time(row.at)) {
            if is_window_late(window, lateness, input.watermark) {
                late = true;
            } else {
                grouper.add(*row, window);
                assigned = true;
            }
        }
        if late && !assigned {
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

fn update(run: &mut StageRun<'_>, grouped: &GroupedRows<'_>, keys: &[StateKey]) -> Result<(), EngineError> {
    let (input, lateness) = (run.input, run.input.stage.spec.allowed_lateness_ms);
    let loaded = run.load(keys)?;
    let mut builder = GroupsBuilder::default();
    for (index, group) in grouped.groups.iter().enumerate() {
        let window = group.window;
        builder.push(grouped.key(index), (window.start.0, window.end.0), window.last().0, 0);
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
        let again = fires_at_once(window, input.watermark);
        if loaded.ends[index].is_none() {
            if !again {
                run.set_timer(key_group, TimerKind::Fire, window.last(), &keys[index]);
            }
            if lateness > 0 {
                run.set_timer(key_group, TimerKind::Cleanup, cleanup_time(window, lateness), &keys[index]);
            }
        }
        if again {
            refire.push(keys[index].clone());
        }
    }
    fire(run, &refire, true)
}

/// Fires and forgets windows whose time has come.
pub(crate) fn close(run: &mut StageRun<'_>, due: Vec<Due>) -> Result<(), EngineError> {
    let keep = run.input.stage.spec.allowed_lateness_ms > 0;
    let of = |wanted: TimerKind| due.iter().filter(move |due| due.kind == wanted).map(|due| due.state_key.clone());
    let (fires, cleanups): (Vec<_>, Vec<_>) = (of(TimerKind::Fire).collect(), of(TimerKind::Cleanup).collect());
    fire(run, &fires, keep)?;
    cleanups.iter().for_each(|key| run.shard.delete(key));
    Ok(())
}

/// Calls `close` for panes and keeps or deletes their states.
pub(crate) fn fire(run: &mut StageRun<'_>, keys: &[StateKey], keep: bool) -> Result<(), EngineError> {
    let loaded = run.load(keys)?;
    let mut builder = GroupsBuilder::default();
    let mut present = Vec::with_capacity(keys.len());
    let mut states = crate::guest::VarBytes::default();
    let mut barred = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let Some(end) = loaded.ends[index] else { continue };
        let (metric_key, start) = state_key::parse_pane(key);
        let window = Window { start: EventTime(start), end: EventTime(end) };
        builder.push(metric_key, (start, end), window.last().0, 0);
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
        if !keep {
            // A poison group's state is in its dead letter: nothing will call for it again.
            run.shard.delete(&keys[index]);
        } else if outcome.ok[place] {
            let end = loaded.ends[index].expect("only panes that exist are fired");
            run.store(&keys[index], end, outcome.states.get(place), &mut scratch);
        }
    }
    Ok(())
}
