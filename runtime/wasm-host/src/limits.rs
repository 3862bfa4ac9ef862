//! What a module may use: settings with defaults, and the error that a limit raises.

use crate::engine::{TICK_MS, ticks};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

const MIB: usize = 1 << 20;
/// More Wasm instructions than any machine executes in a millisecond: five in a nanosecond.
const FUEL_PER_MS: u64 = 5_000_000;

/// Limits of one module. Those of a group are judged on the group alone, so results do not depend on how groups were
/// split into calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory of an instance; of one with several memories all of them together.
    pub memory_bytes: usize,
    /// Wall-clock time of one call. A call that takes longer is split; only what is left of it in the end, a single
    /// group, is judged, and then by `verdict_fuel`, which no clock influences.
    pub call_time_ms: u64,
    /// Wall-clock time of instantiation together with `configure`, and of `describe`.
    pub start_time_ms: u64,
    /// Fuel (about one unit per Wasm instruction) that a single group may use before it counts as endless. At least what
    /// any machine can burn within `call_time_ms`: so no machine lets a group pass by the clock that another one, which
    /// is slower, condemns by fuel.
    pub verdict_fuel: u64,
    /// Groups of one call that may use up their fuel; one more, and the module as a whole counts as broken.
    pub verdicts: u32,
    /// Bytes that the host copies out of an instance in one call.
    pub output_bytes: usize,
    /// Rows that one group may emit in one call.
    pub output_rows: u32,
    /// State of one group.
    pub state_bytes: usize,
    /// Timers that one group may set in one call.
    pub timers: u32,
    /// Bytes kept of a failure message; the rest is cut off.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 * MIB,
            call_time_ms: 250,
            start_time_ms: 5_000,
            verdict_fuel: least_fuel(250),
            verdicts: 64,
            output_bytes: 64 * MIB,
            output_rows: 65_536,
            state_bytes: MIB,
            timers: 1_024,
            message_bytes: 4_096,
        }
    }
}

impl Limits {
    /// The same limits with as much `verdict_fuel` as their `call_time_ms` asks for: who gives a call more time should not
    /// have to know how many instructions that is.
    #[must_use]
    pub fn with_enough_fuel(self) -> Self {
        Self { verdict_fuel: self.verdict_fuel.max(least_fuel(self.call_time_ms)), ..self }
    }

    /// Fuel for what `start_time_ms` limits: as much a millisecond as a call has.
    pub(crate) fn start_fuel(&self) -> u64 {
        (self.verdict_fuel / self.call_time_ms.max(1)).saturating_mul(self.start_time_ms).clamp(1, u64::MAX / 2)
    }

    /// Every mistake in these settings, for the person who wrote them.
    #[must_use]
    pub fn mistakes(&self, host: &HostSettings) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut within = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("{name} = {value}, must be from {least} to {most}"));
            }
        };
        within("memory_bytes", self.memory_bytes as u64, 65_536, host.memory_bytes as u64);
        within("call_time_ms", self.call_time_ms, 1, 600_000);
        within("start_time_ms", self.start_time_ms, 1, 600_000);
        within("verdict_fuel", self.verdict_fuel, least_fuel(self.call_time_ms), u64::MAX / 2);
        within("output_bytes", self.output_bytes as u64, 1_024, 1 << 30);
        within("output_rows", self.output_rows.into(), 0, 1 << 30);
        within("state_bytes", self.state_bytes as u64, 0, self.output_bytes as u64);
        within("message_bytes", self.message_bytes as u64, 16, 65_536);
        mistakes
    }
}

/// What no machine burns before a call of `call_time_ms` is interrupted.
const fn least_fuel(call_time_ms: u64) -> u64 {
    ticks(call_time_ms).saturating_mul(TICK_MS).saturating_mul(FUEL_PER_MS)
}

/// Settings of the sandbox as a whole: what all modules share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSettings {
    /// Size of a module's file.
    pub module_bytes: usize,
    /// Length of what `describe` returns.
    pub describe_bytes: usize,
    /// Native stack of a call. The calling thread must have this much and some 256 KiB more.
    pub stack_bytes: usize,
    /// Whether a module that looks at the bits of a NaN, or keeps them in its state, sees the same ones on every kind of
    /// CPU. Off only to measure what it costs; emitted NaNs are made one in any case.
    pub canonical_nans: bool,
    /// The most that any module's `memory_bytes` may be.
    pub memory_bytes: usize,
    /// Instances at a time: modules × workers, and a few more while modules are loaded or exchanged. Each reserves
    /// 16 GiB of address space, not of memory.
    pub instances: u32,
    /// Folder for compiled code, made with mode 0700; `None`: compile at every start.
    pub cache: Option<PathBuf>,
    /// Size of that folder; the entries unused for longest go first.
    pub cache_bytes: u64,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            module_bytes: 64 * MIB,
            describe_bytes: 256 << 10,
            stack_bytes: 512 << 10,
            canonical_nans: true,
            memory_bytes: 1 << 30,
            instances: 256,
            cache: None,
            cache_bytes: 1 << 30,
        }
    }
}

/// A module wanted more than it may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LimitExceeded {
    /// The setting's name.
    pub name: &'static str,
    /// The setting.
    pub limit: u64,
    /// What the module had already; 0 where it asks at once.
    pub current: u64,
    /// What it would have had.
    pub requested: u64,
}

impl LimitExceeded {
    /// Something of which the module asked for `requested` at once.
    pub(crate) fn at_once(name: &'static str, limit: usize, requested: usize) -> Self {
        Self { name, limit: limit as u64, current: 0, requested: requested as u64 }
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, limit, current, requested } = self;
        write!(f, "{name} exceeded: limit {limit}, current {current}, requested {requested}")
    }
}

impl std::error::Error for LimitExceeded {}
