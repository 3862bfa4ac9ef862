//! Calling the module: states in, states out, rows emitted, failures put aside.

use super::StageRun;
use super::route::RowRef;
use crate::dead_letter::{DeadLetter, GroupContext, Reason};
use crate::error::EngineError;
use crate::guest::{CloseReason, Folded, GroupFailure, Groups, GuestBatch, VarBytes};
use crate::pane::Pane;
use crate::ports::{PortError, StateKey};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

/// Which export to call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Update,
    Close(CloseReason),
}

/// States of several groups as they were found.
pub(crate) struct Loaded {
    /// The states, migrated to the module's own version.
    pub(crate) states: VarBytes,
    /// Per group the end in its header, `None` where there was nothing.
    pub(crate) ends: Vec<Option<i64>>,
    /// Groups whose state could not be migrated.
    pub(crate) failures: Vec<GroupFailure>,
}

/// A call and what belongs to its groups besides what the module sees.
pub(crate) struct Call<'a> {
    pub(crate) batch: GuestBatch,
    /// Per group what makes its rows' ids unique beside key, window and time.
    pub(crate) identities: Vec<u64>,
    /// Where the rows of the batch came from; empty where they did not come from this tick.
    pub(crate) rows: &'a [RowRef],
    /// Groups whose state could not be migrated: they fail, whatever the module says of them.
    pub(crate) barred: Vec<GroupFailure>,
}

/// What became of a call's groups.
pub(crate) struct Outcome {
    /// New state of each group; meaningless for failed ones.
    pub(crate) states: VarBytes,
    /// Whether each group went well.
    pub(crate) ok: Vec<bool>,
    /// Timers to set, of groups that went well.
    pub(crate) timers: Vec<(u32, i64)>,
}

impl StageRun<'_> {
    /// Fetches the states of `keys` with one batched read.
    pub(crate) fn load(&mut self, keys: &[StateKey]) -> Result<Loaded, EngineError> {
        self.prefetch(keys)?;
        let mut loaded = Loaded { states: VarBytes::default(), ends: Vec::with_capacity(keys.len()), failures: vec![] };
        let mut foreign: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let own_version = self.input.stage.spec.state_version;
        for (index, key) in keys.iter().enumerate() {
            match self.shard.get(key)? {
                None => {
                    loaded.states.push(&[]);
                    loaded.ends.push(None);
                }
                Some(value) => {
                    let pane = Pane::decode(value)?;
                    if pane.state_version != own_version && !pane.state.is_empty() {
                        foreign.entry(pane.state_version).or_default().push(index);
                    }
                    loaded.states.push(pane.state);
                    loaded.ends.push(Some(pane.end));
                }
            }
        }
        if !foreign.is_empty() && !self.input.quarantined {
            self.migrate(&mut loaded, foreign)?;
        }
        Ok(loaded)
    }

    /// Replaces states of other versions by what the module makes of them.
    fn migrate(&mut self, loaded: &mut Loaded, foreign: BTreeMap<u32, Vec<usize>>) -> Result<(), EngineError> {
        let mut replaced: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for (version, indices) in foreign {
            let mut states = VarBytes::default();
            indices.iter().for_each(|index| states.push(loaded.states.get(*index)));
            let folded = self.guest.migrate(&states, version)?;
            self.check_states(&folded, indices.len())?;
            for failure in folded.failures {
                let group = indices[failure.group as usize] as u32;
                loaded.failures.push(GroupFailure { group, ..failure });
            }
            for (place, index) in indices.iter().enumerate() {
                replaced.insert(*index, folded.states.get(place).to_vec());
            }
        }
        loaded.failures.sort_by_key(|failure| failure.group);
        let mut states = VarBytes::default();
        for index in 0..loaded.states.len() {
            let failed = loaded.failures.iter().any(|failure| failure.group as usize == index);
            let new = replaced.get(&index).filter(|_| !failed);
            states.push(new.map_or(loaded.states.get(index), Vec::as_slice));
        }
        loaded.states = states;
        Ok(())
    }

    /// Calls the module. Emitted rows and dead letters go to the output; states and timers are the caller's to keep.
    pub(crate) fn call(&mut self, entry: Entry, call: Call<'_>) -> Result<Outcome, EngineError> {
        let count = call.batch.groups.len();
        if count == 0 {
            return Ok(Outcome { states: VarBytes::default(), ok: Vec::new(), timers: Vec::new() });
        }
        let telemetry = &self.input.stage.telemetry;
        let started = Instant::now();
        let folded = match entry {
            _ if self.input.quarantined => refused(&call.batch),
            Entry::Update => self.guest.update(&call.batch)?,
            Entry::Close(reason) => self.guest.close(&call.batch, reason)?,
        };
        telemetry.guest_ns.add(started.elapsed().as_nanos() as u64);
        telemetry.calls.add(1);
        self.check_states(&folded, count)?;
        let Folded { states, emitted, timers, failures } = folded;
        // Of two reasons the first counts: that there was no state to call with.
        let mut failures: Vec<GroupFailure> = call.barred.iter().cloned().chain(failures).collect();
        failures.sort_by_key(|failure| failure.group);
        failures.dedup_by_key(|failure| failure.group);
        let mut ok = vec![true; count];
        for failure in &failures {
            ok[failure.group as usize] = false;
            self.bury(&call, failure);
        }
        let timers = timers.into_iter().filter(|(group, _)| ok[*group as usize]).collect();
        self.output.emission.add(&call.batch.groups, &call.identities, &ok, emitted);
        Ok(Outcome { states, ok, timers })
    }

    /// A guest port owes one state for each that it was given; anything else is its mistake, not the module's.
    pub(crate) fn check_states(&self, folded: &Folded, count: usize) -> Result<(), PortError> {
        let (name, found) = (&self.input.stage.spec.name, folded.states.len());
        if found == count {
            return Ok(());
        }
        Err(PortError::Stop(format!("metric {name}: {found} states for {count} groups")))
    }

    /// Makes a dead letter of a poison group: its rows, its state, the module and the reason.
    pub(crate) fn bury(&mut self, call: &Call<'_>, failure: &GroupFailure) {
        let (group, groups) = (failure.group as usize, &call.batch.groups);
        let rows = groups.rows(group);
        let payload = if call.rows.is_empty() {
            self.columns_as_json(&call.batch, rows.clone())
        } else {
            self.raw_records(&call.rows[rows.clone()])
        };
        let stage = self.input.stage;
        let first = call.rows.get(rows.start).filter(|_| !rows.is_empty());
        if failure.reason != Reason::Quarantined {
            self.output.poison += 1;
            stage.telemetry.poison.add(1);
        }
        self.output.dead.push(DeadLetter {
            reason: failure.reason,
            detail: failure.detail.clone(),
            position: first.map(|at| {
                let batch = &self.input.batches[at.batch as usize];
                (batch.partition, batch.offsets[at.row as usize])
            }),
            event_time: Some(groups.times[group]),
            payload,
            metric: Some(Box::new(GroupContext {
                metric: stage.spec.name.clone(),
                digest: stage.spec.digest,
                key: String::from_utf8_lossy(groups.keys.get(group)).into_owned(),
                window: Some((groups.window_starts[group], groups.window_ends[group])),
                state: groups.states.get(group).to_vec(),
            })),
        });
    }

    /// Writes the accumulator of a group.
    pub(crate) fn store(&mut self, key: &[u8], end: i64, state: &[u8], scratch: &mut Vec<u8>) {
        let stage = self.input.stage;
        Pane { end, module: stage.module, state_version: stage.spec.state_version, state }.encode(scratch);
        self.shard.put(key, scratch);
    }

    fn raw_records(&self, rows: &[RowRef]) -> Bytes {
        let mut out = Vec::new();
        for at in rows {
            out.extend_from_slice(self.input.batches[at.batch as usize].raw.get(at.row as usize));
            out.push(b'\n');
        }
        out.into()
    }

    fn columns_as_json(&self, batch: &GuestBatch, rows: Range<usize>) -> Bytes {
        let inputs = &self.input.stage.spec.inputs;
        let mut out = Vec::new();
        for row in rows {
            let values = inputs.iter().zip(&batch.columns);
            let object: Map<String, Value> =
                values.map(|(input, column)| (input.name.clone(), json_value(column, row))).collect();
            out.extend_from_slice(Value::Object(object).to_string().as_bytes());
            out.push(b'\n');
        }
        out.into()
    }
}

/// What a quarantined module makes of a call: every group is put aside as it is.
fn refused(batch: &GuestBatch) -> Folded {
    let failure = |group: usize| GroupFailure {
        group: group as u32,
        reason: Reason::Quarantined,
        detail: "the input has ended while the module was over its error budget".to_owned(),
    };
    let failures = (0..batch.groups.len()).map(failure).collect();
    Folded { states: batch.groups.states.clone(), failures, ..Folded::default() }
}

/// A value of a metric's column as JSON; a NaN or an infinity, which JSON lacks, as null.
pub(crate) fn json_value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        _ => json!(column.as_string::<i32>().value(row)),
    }
}

/// A call in the making: groups are added one by one.
#[derive(Default)]
pub(crate) struct GroupsBuilder {
    pub(crate) groups: Groups,
    pub(crate) identities: Vec<u64>,
}

impl GroupsBuilder {
    /// Adds a group; its state and the end of its rows are added by the caller.
    pub(crate) fn push(&mut self, key: &[u8], window: (i64, i64), time: i64, identity: u64) {
        self.groups.keys.push(key);
        self.groups.window_starts.push(window.0);
        self.groups.window_ends.push(window.1);
        self.groups.times.push(time);
        self.identities.push(identity);
    }

    /// The call, without rows.
    pub(crate) fn without_rows(mut self, run: &StageRun<'_>, states: VarBytes) -> Call<'static> {
        self.groups.row_ends = vec![0; self.groups.len()];
        self.groups.states = states;
        let batch = GuestBatch { columns: run.input.empty_columns(), event_times: Vec::new(), groups: self.groups };
        Call { batch, identities: self.identities, rows: &[], barred: Vec::new() }
    }
}
