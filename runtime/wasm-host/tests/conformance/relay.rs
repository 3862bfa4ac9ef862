//! A metric whose every call is answered in another language: what one wrote, the next has to read.

use crate::cases::Suite;
use crate::check::{Expectations, unlike};
use crate::components::Component;
use crate::play::play;
use std::sync::Arc;
use tidemark_engine::guest::{CloseReason, Folded, Guest, GuestBatch, GuestError, GuestFactory, VarBytes};

/// Every difference from the expectations if `components[first]` answers the first call, and the next one the next.
pub fn differences(suite: &Suite, expected: &Expectations, components: &[Component], first: usize) -> Vec<String> {
    let descriptor = components[first].module.descriptor();
    let mut differences = Vec::new();
    for (case, expected) in suite.cases.iter().zip(&expected.cases) {
        let factories: Result<Vec<_>, String> =
            components.iter().map(|component| component.factory(&case.settings.config)).collect();
        let played = factories.and_then(|factories| {
            let factories = factories.into_iter().map(|factory| factory as Arc<dyn GuestFactory>).collect();
            play(case, descriptor, Arc::new(Relay { factories, first }))
        });
        match played {
            Ok(played) => differences.extend(unlike(&case.name, expected, &played)),
            Err(error) => differences.push(format!("{} does not run: {error}", case.name)),
        }
    }
    let order = components.iter().cycle().skip(first).take(components.len());
    let order: Vec<&str> = order.map(|component| component.language.as_str()).collect();
    differences.into_iter().map(|difference| format!("{}: {difference}", order.join(", then "))).collect()
}

struct Relay {
    factories: Vec<Arc<dyn GuestFactory>>,
    first: usize,
}

impl GuestFactory for Relay {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        let runners: Result<Vec<_>, GuestError> = self.factories.iter().map(|factory| factory.instantiate()).collect();
        Ok(Box::new(Runners { runners: runners?, next: self.first }))
    }
}

struct Runners {
    runners: Vec<Box<dyn Guest>>,
    next: usize,
}

impl Runners {
    fn next(&mut self) -> &mut dyn Guest {
        let place = self.next % self.runners.len();
        self.next += 1;
        &mut *self.runners[place]
    }
}

impl Guest for Runners {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        self.next().update(batch)
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        self.next().close(batch, reason)
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        self.next().merge(left, right)
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        self.next().migrate(states, from)
    }
}
