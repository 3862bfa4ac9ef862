//! Contract tests: whether a module keeps what every module promises, tried on generated rows before it is let in.
//!
//! Results must not depend on how the engine cuts the work into calls, on which instance does it, or on who else is in a
//! call; the engine relies on that for recovery, for more workers and for verification. Whether a module's numbers are the
//! right ones is not asked here.

mod laws;
mod report;
mod results;
mod sample;

pub use report::{Check, Finding, Findings, Outcome, Report};

use crate::limits::Limits;
use crate::module::Module;
use laws::Trial;

/// Groups of a call that may run out of time: a module that needs longer for generated rows is not tried to the end.
const VERDICTS: u32 = 2;

/// Tries `module` out with the configuration `config`, a JSON document, within `limits`. Takes milliseconds for a module in
/// Rust or C, a second or so where a language's runtime is slow; a module that runs out of time is given up soon.
#[must_use]
pub fn check(module: &Module, config: &str, limits: Limits) -> Report {
    let limits = Limits { verdicts: VERDICTS.min(limits.verdicts), ..limits };
    let findings = match module.factory(config, limits) {
        Ok(factory) => Trial::new(&*factory, module.descriptor()).findings(),
        Err(error) => report::not_started(&error.to_string()),
    };
    let descriptor = module.descriptor();
    let (name, version) = (descriptor.name.clone(), descriptor.version.clone());
    Report { module: name, version, digest: module.digest(), findings }
}

/// The same with an empty configuration and the usual limits: what an upload knows.
#[must_use]
pub fn check_unconfigured(module: &Module) -> Report {
    check(module, "{}", Limits::default())
}

#[cfg(test)]
mod tests;
