//! The loop over the pairs of a call, for metrics that [`Join`]. Every group is one pair or one lonely row.

use crate::context::{Context, Folding, all_failed};
use crate::contract::{Batch, CloseReason, Folded};
use crate::failure::Failure;
use crate::input::{Input, InputField, WrongColumn};
use crate::metric::{Join, Side};
use crate::setting::{self, Setting};

/// [`crate::Metric::inputs`].
#[must_use]
pub fn inputs<M: Join>() -> Vec<(InputField, Option<Side>)> {
    let left = M::Left::FIELDS.iter().map(|field| (*field, Some(Side::Left)));
    left.chain(M::Right::FIELDS.iter().map(|field| (*field, Some(Side::Right)))).collect()
}

/// [`crate::Metric::configure`].
pub fn configure<M: Join + Setting>(json: &str) -> Result<M, Failure> {
    let metric: M = setting::from_json(json)?;
    metric.validate()?;
    Ok(metric)
}

/// [`crate::Metric::update_groups`].
#[must_use]
pub fn update<M: Join>(metric: &M, batch: &Batch) -> Folded {
    each_row::<M>(batch, |left, right, context| metric.matched(left, right, context))
}

/// [`crate::Metric::close_groups`].
#[must_use]
pub fn close<M: Join>(metric: &M, batch: &Batch, reason: CloseReason) -> Folded {
    match reason {
        CloseReason::UnmatchedLeft => each_row::<M>(batch, |left, _, context| metric.unmatched_left(left, context)),
        CloseReason::UnmatchedRight => each_row::<M>(batch, |_, right, context| metric.unmatched_right(right, context)),
        _ => all_failed(batch.groups.times.len(), "a join has neither windows nor timers"),
    }
}

type LeftRow<'a, M> = <<M as Join>::Left as Input>::Row<'a>;
type RightRow<'a, M> = <<M as Join>::Right as Input>::Row<'a>;

fn each_row<M: Join>(
    batch: &Batch,
    handle: impl Fn(LeftRow<'_, M>, RightRow<'_, M>, &mut Context<'_, M::Output>) -> Result<(), Failure>,
) -> Folded {
    let groups = &batch.groups;
    let split = M::Left::FIELDS.len().min(batch.columns.len());
    let (left, right) = batch.columns.split_at(split);
    let (left, right) = match (M::Left::columns(left), M::Right::columns(right)) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(WrongColumn(name)), _) | (_, Err(WrongColumn(name))) => {
            return all_failed(groups.times.len(), &WrongColumn(name).to_string());
        }
    };
    let mut folding = Folding::new::<M::Output>();
    for group in 0..groups.times.len() {
        let result = groups.rows(group).try_for_each(|row| {
            let context = &mut Context::new(groups, group, &mut folding);
            handle(M::Left::row(&left, row), M::Right::row(&right, row), context)
        });
        folding.end_group(result, |_| {});
    }
    folding.finish()
}
