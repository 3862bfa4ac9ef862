//! The loop over the groups of a call, for metrics that [`Fold`].

use crate::context::{Context, Folding, all_failed};
use crate::contract::{Batch, ByteStrings, CloseReason, Folded};
use crate::failure::Failure;
use crate::input::{Input, InputField, Rows};
use crate::metric::{Fold, Merge, Migrate, Side};
use crate::setting::{self, Setting};
use crate::state::State;

/// [`crate::Metric::inputs`].
#[must_use]
pub fn inputs<M: Fold>() -> Vec<(InputField, Option<Side>)> {
    M::Input::FIELDS.iter().map(|field| (*field, None)).collect()
}

/// [`crate::Metric::configure`].
pub fn configure<M: Fold + Setting>(json: &str) -> Result<M, Failure> {
    let metric: M = setting::from_json(json)?;
    metric.validate()?;
    Ok(metric)
}

/// [`crate::Metric::update_groups`].
#[must_use]
pub fn update<M: Fold>(metric: &M, batch: &Batch) -> Folded {
    let groups = &batch.groups;
    let columns = match M::Input::columns(&batch.columns) {
        Ok(columns) => columns,
        Err(wrong) => return all_failed(groups.times.len(), &wrong.to_string()),
    };
    fold_groups::<M>(batch, |group, state, context| {
        metric.update(state, Rows::of_group(columns, batch, group), context)
    })
}

/// [`crate::Metric::close_groups`].
#[must_use]
pub fn close<M: Fold>(metric: &M, batch: &Batch, reason: CloseReason) -> Folded {
    fold_groups::<M>(batch, |_, state, context| metric.close(state, reason, context))
}

fn fold_groups<M: Fold>(
    batch: &Batch,
    fold: impl Fn(usize, &mut M::State, &mut Context<'_, M::Output>) -> Result<(), Failure>,
) -> Folded {
    let groups = &batch.groups;
    let mut folding = Folding::new::<M::Output>();
    for group in 0..groups.times.len() {
        let mut state = M::State::default();
        let result = read::<M>(groups.states.get(group)).and_then(|before| {
            state = before;
            fold(group, &mut state, &mut Context::new(groups, group, &mut folding))
        });
        folding.end_group(result, |bytes| state.encode(bytes));
    }
    folding.finish()
}

/// [`crate::Metric::merge_states`] of a mergeable metric.
#[must_use]
pub fn merge<M: Merge>(metric: &M, left: &ByteStrings, right: &ByteStrings) -> Folded {
    let mut folding = Folding::new::<M::Output>();
    for pair in 0..left.len() {
        let mut state = M::State::default();
        let result = read::<M>(left.get(pair)).and_then(|earlier| {
            state = earlier;
            metric.merge(&mut state, read::<M>(right.get(pair))?)
        });
        folding.end_group(result, |bytes| state.encode(bytes));
    }
    folding.finish()
}

/// [`crate::Metric::merge_states`] of any other.
#[must_use]
pub fn no_merge(left: &ByteStrings) -> Folded {
    all_failed(left.len(), "states of this metric cannot be merged")
}

/// [`crate::Metric::migrate_states`] of a metric that migrates.
#[must_use]
pub fn migrate<M: Migrate>(metric: &M, states: &ByteStrings, from: u32) -> Folded {
    let mut folding = Folding::new::<M::Output>();
    for group in 0..states.len() {
        let migrated = metric.migrate(states.get(group), from);
        let (result, state) = match migrated {
            Ok(state) => (Ok(()), Some(state)),
            Err(failure) => (Err(failure), None),
        };
        folding.end_group(result, |bytes| state.iter().for_each(|state| state.encode(bytes)));
    }
    folding.finish()
}

/// [`crate::Metric::migrate_states`] of any other.
#[must_use]
pub fn no_migrate(states: &ByteStrings, from: u32) -> Folded {
    all_failed(states.len(), &format!("states of version {from} cannot be read"))
}

fn read<M: Fold>(bytes: &[u8]) -> Result<M::State, Failure> {
    M::State::from_bytes(bytes).map_err(|_| Failure::from("the state was not written by this state version"))
}
