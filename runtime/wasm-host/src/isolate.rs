//! Finds the groups that make a call fail, so that all others keep their results.
//!
//! A call that fails is cut in halves, each half is called by itself, and so on: *p* poison groups among *n* cost at
//! most 2 *p* (log₂ *n* + 1) calls. Halves go from left to right, so the pieces come in the order of the groups.

use arrow_array::ArrayRef;
use arrow_select::concat::concat;
use std::ops::Range;
use tidemark_engine::guest::{Folded, GroupFailure};

/// What came of a range of groups.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Their results.
    Folded(Folded),
    /// The range is this one group, and it is poison. The index is that within the whole call.
    Poison(GroupFailure),
}

/// What [`isolate`] needs of a module.
pub(crate) trait Patient {
    /// How a call fails.
    type Failure;
    /// How everything fails.
    type Error;

    /// Calls for `range` alone; `depth` is how often it was cut. The outer error ends everything.
    fn attempt(&mut self, range: Range<usize>, depth: u32) -> Result<Result<Folded, Self::Failure>, Self::Error>;

    /// The last word on `group`, which failed when called alone: poison or not.
    fn verdict(&mut self, group: usize, failure: Self::Failure) -> Result<Piece, Self::Error>;
}

/// Cuts a call for `groups` groups, which failed with `failure`, until every group has its results or is poison.
pub(crate) fn isolate<P: Patient>(patient: &mut P, groups: usize, failure: P::Failure) -> Result<Vec<Piece>, P::Error> {
    let mut pieces = Vec::new();
    if groups > 0 {
        dissect(patient, 0..groups, 0, failure, &mut pieces)?;
    }
    Ok(pieces)
}

/// The recursion is as deep as a range can be halved: 32 at most, since groups are counted in 32 bits.
fn dissect<P: Patient>(
    patient: &mut P,
    range: Range<usize>,
    depth: u32,
    failure: P::Failure,
    pieces: &mut Vec<Piece>,
) -> Result<(), P::Error> {
    if range.len() == 1 {
        pieces.push(patient.verdict(range.start, failure)?);
        return Ok(());
    }
    let middle = range.start + range.len() / 2;
    for half in [range.start..middle, middle..range.end] {
        match patient.attempt(half.clone(), depth + 1)? {
            Ok(folded) => pieces.push(Piece::Folded(folded)),
            Err(failure) => dissect(patient, half, depth + 1, failure, pieces)?,
        }
    }
    Ok(())
}

/// The result of the whole call: the pieces one behind the other, with indices of the whole call. The caller has bounded
/// their total size.
pub(crate) fn assemble(pieces: Vec<Piece>) -> Folded {
    let mut whole = Folded::default();
    let mut columns: Vec<Vec<ArrayRef>> = Vec::new();
    for piece in pieces {
        let first = u32::try_from(whole.states.len()).expect("groups are counted in 32 bits");
        let folded = match piece {
            Piece::Poison(failure) => {
                whole.states.push(&[]);
                whole.failures.push(failure);
                continue;
            }
            Piece::Folded(folded) => folded,
        };
        (0..folded.states.len()).for_each(|group| whole.states.push(folded.states.get(group)));
        whole.emitted.groups.extend(folded.emitted.groups.iter().map(|group| group + first));
        columns.resize_with(columns.len().max(folded.emitted.columns.len()), Vec::new);
        columns.iter_mut().zip(folded.emitted.columns).for_each(|(parts, part)| parts.push(part));
        whole.timers.extend(folded.timers.iter().map(|&(group, time)| (group + first, time)));
        let failures = folded.failures.into_iter();
        whole.failures.extend(failures.map(|failure| GroupFailure { group: failure.group + first, ..failure }));
    }
    whole.emitted.columns = columns.iter().map(|parts| join(parts)).collect();
    whole
}

fn join(parts: &[ArrayRef]) -> ArrayRef {
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    concat(&parts).expect("pieces of one column have one type, and together they are bounded")
}

#[cfg(test)]
mod tests;
