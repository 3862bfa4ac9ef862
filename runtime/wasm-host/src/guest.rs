//! A module's instance as the engine sees it: calls that isolate what fails.

use crate::failure::CallFailure;
use crate::instance::{Allowance, Instance};
use crate::isolate::{Patient, Piece, assemble, isolate};
use crate::job::{Job, JobError};
use crate::lift::{Expected, lift};
use crate::module::ModuleFactory;
use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;
use tidemark_engine::guest::{CloseReason, Folded, GroupFailure, Guest, GuestBatch, GuestError, VarBytes};

/// The least time for a part of a call that ran out of time.
const LEAST_TIME_MS: u64 = 20;
/// Bytes that the parts of one call may add up to: what 32-bit offsets can hold, with room to spare.
const WHOLE_BYTES: usize = 1 << 30;

/// One worker's instance of a module with one configuration.
pub(crate) struct WasmGuest {
    factory: ModuleFactory,
    /// `None` after a failed call, until the next one.
    instance: Option<Instance>,
}

impl WasmGuest {
    pub(crate) fn new(factory: ModuleFactory, instance: Instance) -> Self {
        Self { factory, instance: Some(instance) }
    }

    fn call(&mut self, job: &Job<'_>) -> Result<Folded, GuestError> {
        let started = Instant::now();
        let folded = self.fold(job);
        let telemetry = self.factory.telemetry();
        telemetry.called(job.groups(), job.rows(), started.elapsed());
        if let Ok(folded) = &folded {
            telemetry.returned(folded.emitted.groups.len(), folded.failures.len());
        }
        folded
    }

    fn fold(&mut self, job: &Job<'_>) -> Result<Folded, GuestError> {
        if job.groups() == 0 {
            return Ok(Folded::default());
        }
        let failure = match self.attempt(job, self.allowance(0))? {
            Ok(folded) => return Ok(folded),
            Err(failure) => failure,
        };
        let limits = self.factory.limits();
        let (verdicts_left, bytes_left) = (limits.verdicts, WHOLE_BYTES);
        let mut search = Search { guest: self, job, verdicts_left, bytes_left };
        Ok(assemble(isolate(&mut search, job.groups(), failure)?))
    }

    /// One call, without isolation. After a failure the instance is gone.
    fn attempt(&mut self, job: &Job<'_>, allowance: Allowance) -> Result<Result<Folded, Failed>, GuestError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.factory.start().map_err(|error| self.factory.broken(error.to_string()))?,
        };
        let fresh = instance.is_fresh();
        let result = self.run(job, &mut instance, allowance)?;
        self.factory.telemetry().holds(instance.linear_memory());
        if result.is_ok() {
            self.instance = Some(instance);
        }
        Ok(result.map_err(|failure| Failed { failure, fresh }))
    }

    fn run(
        &self,
        job: &Job<'_>,
        instance: &mut Instance,
        allowance: Allowance,
    ) -> Result<Result<Folded, CallFailure>, GuestError> {
        let descriptor = self.factory.descriptor();
        let expected = Expected {
            groups: job.groups(),
            output: job.may_emit().then_some(&*descriptor.output),
            limits: self.factory.limits(),
        };
        let result = match job.run(instance, &descriptor.inputs, allowance) {
            Ok(raw) => lift(raw, expected).map_err(CallFailure::Output),
            Err(JobError::Call(failure)) => Err(failure),
            Err(JobError::Arguments(detail)) => return Err(self.factory.broken(detail)),
        };
        if let Err(failure) = &result {
            self.factory.telemetry().failed(failure);
            tracing::debug!(module = %descriptor.name, groups = job.groups(), ?failure, "call failed");
        }
        Ok(result)
    }

    /// What a call may use whose job was halved `depth` times. A part of a call that ran out of time gets less of it:
    /// this only steers the search, since no group is condemned by the clock.
    fn allowance(&self, depth: u32) -> Allowance {
        let limits = self.factory.limits();
        let time_ms = limits.call_time_ms.checked_shr(depth).unwrap_or(0).max(LEAST_TIME_MS.min(limits.call_time_ms));
        Allowance { time_ms, fuel: limits.verdict_fuel }
    }
}

impl Guest for WasmGuest {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        self.call(&Job::Update(Cow::Borrowed(batch)))
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        self.call(&Job::Close(Cow::Borrowed(batch), reason))
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        if left.len() != right.len() {
            let detail = format!("{} left states to be merged with {} right ones", left.len(), right.len());
            return Err(self.factory.broken(detail));
        }
        self.call(&Job::Merge(Cow::Borrowed(left), Cow::Borrowed(right)))
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        self.call(&Job::Migrate(Cow::Borrowed(states), from))
    }
}

/// A failed call.
struct Failed {
    failure: CallFailure,
    /// Whether it was the first one of its instance.
    fresh: bool,
}

/// The search for the poison groups of one call.
struct Search<'a, 'job> {
    guest: &'a mut WasmGuest,
    job: &'a Job<'job>,
    /// Groups that may still be judged by fuel.
    verdicts_left: u32,
    /// Bytes that results may still have.
    bytes_left: usize,
}

impl Patient for Search<'_, '_> {
    type Failure = Failed;
    type Error = GuestError;

    fn attempt(&mut self, range: Range<usize>, depth: u32) -> Result<Result<Folded, Failed>, GuestError> {
        let result = self.guest.attempt(&self.job.slice(range), self.guest.allowance(depth))?;
        if let Ok(folded) = &result {
            self.count_bytes(folded)?;
        }
        Ok(result)
    }

    /// A group is condemned by a fresh instance only, and for its time only by fuel. So the verdict depends on nothing
    /// but the group.
    fn verdict(&mut self, group: usize, failed: Failed) -> Result<Piece, GuestError> {
        let job = self.job.slice(group..group + 1);
        let mut result = Err(failed.failure);
        if !failed.fresh && !matches!(result, Err(CallFailure::Timeout(_))) {
            let again = self.guest.attempt(&job, self.guest.allowance(0))?;
            result = again.map_err(|failed| failed.failure);
        }
        if let Err(CallFailure::Timeout(_)) = result {
            result = self.judge_by_fuel(&job)?;
        }
        let failure = match result {
            Ok(folded) => {
                self.count_bytes(&folded)?;
                return Ok(Piece::Folded(folded));
            }
            Err(failure) => failure,
        };
        let mut detail = failure.detail();
        detail.truncate(detail.floor_char_boundary(self.guest.factory.limits().message_bytes));
        let group = u32::try_from(group).expect("groups are counted in 32 bits");
        Ok(Piece::Poison(GroupFailure { group, reason: failure.reason(), detail }))
    }
}

impl Search<'_, '_> {
    fn judge_by_fuel(&mut self, job: &Job<'_>) -> Result<Result<Folded, CallFailure>, GuestError> {
        let factory = &self.guest.factory;
        let Some(left) = self.verdicts_left.checked_sub(1) else {
            let (verdicts, fuel) = (factory.limits().verdicts, factory.limits().verdict_fuel);
            return Err(
                factory.broken(format!("more than {verdicts} groups of one call ran out of time ({fuel} fuel)"))
            );
        };
        self.verdicts_left = left;
        factory.telemetry().judged();
        let mut instance = factory.start_verdict().map_err(|error| factory.broken(error.to_string()))?;
        self.guest.run(job, &mut instance, self.guest.allowance(0))
    }

    fn count_bytes(&mut self, folded: &Folded) -> Result<(), GuestError> {
        let columns: usize = folded.emitted.columns.iter().map(|column| column.get_array_memory_size()).sum();
        let bytes = folded.states.bytes.len() + columns;
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None => return Err(self.guest.factory.broken(format!("one call returned more than {WHOLE_BYTES} bytes"))),
        }
        Ok(())
    }
}
