//! Fuel: how much work a module's calls are, counted in WebAssembly instructions instead of time, so that the figure is the
//! same on every machine. For authors; a run does not count.

use crate::instance::{Allowance, Instance};
use crate::job::{Job, JobError};
use crate::lift::{Expected, lift};
use crate::module::{FactoryError, ModuleFactory};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tidemark_engine::guest::{CloseReason, Folded, Guest, GuestBatch, GuestError, GuestFactory, VarBytes};

/// Makes instances of a module that count their fuel. A call that fails ends everything: failures are not isolated here.
pub struct FuelMeter {
    factory: ModuleFactory,
    fuel: Arc<AtomicU64>,
}

impl FuelMeter {
    /// A meter of `factory`'s module with its configuration and limits. Compiles the module once more.
    pub fn new(factory: &ModuleFactory) -> Result<Arc<Self>, FactoryError> {
        factory.start_verdict()?;
        Ok(Arc::new(Self { factory: factory.clone(), fuel: Arc::default() }))
    }

    /// What all calls together have used: about one unit per instruction.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.fuel.load(Relaxed)
    }
}

impl GuestFactory for FuelMeter {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        let instance = self.factory.start_verdict().map_err(|error| self.factory.broken(error.to_string()))?;
        Ok(Box::new(MeteredGuest { factory: self.factory.clone(), instance, fuel: self.fuel.clone() }))
    }
}

struct MeteredGuest {
    factory: ModuleFactory,
    instance: Instance,
    fuel: Arc<AtomicU64>,
}

impl MeteredGuest {
    fn call(&mut self, job: &Job<'_>) -> Result<Folded, GuestError> {
        if job.groups() == 0 {
            return Ok(Folded::default());
        }
        let (descriptor, limits) = (self.factory.descriptor(), self.factory.limits());
        let allowance = Allowance { time_ms: limits.call_time_ms, fuel: limits.start_fuel() };
        let output = job.may_emit().then_some(&*descriptor.output);
        let expected = Expected { groups: job.groups(), output, limits };
        let raw = job.run(&mut self.instance, &descriptor.inputs, allowance);
        let raw = raw.map_err(|error| match error {
            JobError::Call(failure) => self.factory.broken(failure.detail()),
            JobError::Arguments(detail) => self.factory.broken(detail),
        })?;
        self.fuel.fetch_add(allowance.fuel.saturating_sub(self.instance.fuel_left()), Relaxed);
        lift(raw, expected).map_err(|detail| self.factory.broken(detail))
    }
}

impl Guest for MeteredGuest {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        self.call(&Job::Update(Cow::Borrowed(batch)))
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        self.call(&Job::Close(Cow::Borrowed(batch), reason))
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        self.call(&Job::Merge(Cow::Borrowed(left), Cow::Borrowed(right)))
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        self.call(&Job::Migrate(Cow::Borrowed(states), from))
    }
}
