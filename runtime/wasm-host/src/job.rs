//! The four calls of the engine as one value: something that can be run, counted and cut by groups.

use crate::abi;
use crate::failure::CallFailure;
use crate::instance::{Allowance, Instance};
use crate::lower::{self, Lowered};
use std::borrow::Cow;
use std::ops::Range;
use tidemark_engine::descriptor::InputColumn;
use tidemark_engine::guest::{CloseReason, GuestBatch, VarBytes};

/// A call with its arguments.
#[derive(Clone)]
pub(crate) enum Job<'a> {
    Update(Cow<'a, GuestBatch>),
    Close(Cow<'a, GuestBatch>, CloseReason),
    Merge(Cow<'a, VarBytes>, Cow<'a, VarBytes>),
    Migrate(Cow<'a, VarBytes>, u32),
}

/// Why a job could not be run.
pub(crate) enum JobError {
    /// The module failed.
    Call(CallFailure),
    /// The arguments are not what the module declares: a mistake of the caller.
    Arguments(String),
}

impl Job<'_> {
    /// Number of groups, or of pairs or states.
    pub(crate) fn groups(&self) -> usize {
        match self {
            Self::Update(batch) | Self::Close(batch, _) => batch.groups.len(),
            Self::Merge(states, _) | Self::Migrate(states, _) => states.len(),
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Update(batch) | Self::Close(batch, _) => batch.event_times.len(),
            Self::Merge(..) | Self::Migrate(..) => 0,
        }
    }

    /// Whether the module may emit rows and set timers.
    pub(crate) const fn may_emit(&self) -> bool {
        matches!(self, Self::Update(_) | Self::Close(..))
    }

    /// The same call for some of the groups.
    pub(crate) fn slice(&self, range: Range<usize>) -> Job<'static> {
        match self {
            Self::Update(batch) => Job::Update(Cow::Owned(batch.slice(range))),
            Self::Close(batch, reason) => Job::Close(Cow::Owned(batch.slice(range)), *reason),
            Self::Merge(left, right) => {
                Job::Merge(Cow::Owned(left.slice(range.clone())), Cow::Owned(right.slice(range)))
            }
            Self::Migrate(states, from) => Job::Migrate(Cow::Owned(states.slice(range)), *from),
        }
    }

    /// Calls `instance`, whose module declares `inputs`.
    pub(crate) fn run(
        &self,
        instance: &mut Instance,
        inputs: &[InputColumn],
        allowance: Allowance,
    ) -> Result<abi::Folded, JobError> {
        let folded = match self {
            Self::Update(batch) => {
                let lowered = Lowered::new(batch, inputs).map_err(JobError::Arguments)?;
                instance.update(lower::batch(batch, &lowered.columns()), allowance)
            }
            Self::Close(batch, reason) => {
                // Only unmatched rows come with columns; everything else that ends has no rows.
                let inputs = if batch.columns.is_empty() { &[] } else { inputs };
                let lowered = Lowered::new(batch, inputs).map_err(JobError::Arguments)?;
                instance.close(lower::batch(batch, &lowered.columns()), close_reason(*reason), allowance)
            }
            Self::Merge(left, right) => {
                instance.merge(lower::byte_strings(left), lower::byte_strings(right), allowance)
            }
            Self::Migrate(states, from) => instance.migrate(lower::byte_strings(states), *from, allowance),
        };
        folded.map_err(JobError::Call)
    }
}

const fn close_reason(reason: CloseReason) -> abi::CloseReason {
    match reason {
        CloseReason::WindowEnd => abi::CloseReason::WindowEnd,
        CloseReason::Timer => abi::CloseReason::Timer,
        CloseReason::Expired => abi::CloseReason::Expired,
        CloseReason::UnmatchedLeft => abi::CloseReason::UnmatchedLeft,
        CloseReason::UnmatchedRight => abi::CloseReason::UnmatchedRight,
    }
}
