//! One instance of a module: a store, its exports, and calls within limits.

use crate::abi;
use crate::engine::{TABLE_ELEMENTS, ticks};
use crate::failure::CallFailure;
use crate::limits::{LimitExceeded, Limits};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Func, Instance as Exported, InstancePre, Lift, Linker, Lower,
    TypedFunc,
};
use wasmtime::{ResourceLimiter, Store};

/// A compiled component without imports, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Program {
    pre: InstancePre<MemoryGuard>,
    exports: ExportIndices,
    pace: Pace,
}

/// What ends a call that does not end by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// The ticker of the live engine.
    Clock,
    /// Fuel.
    Fuel,
}

/// What is called.
#[derive(Clone, Copy)]
struct ExportIndices {
    describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    update: ComponentExportIndex,
    close: ComponentExportIndex,
    merge: ComponentExportIndex,
    migrate: ComponentExportIndex,
}

impl Program {
    /// Links `component`, which imports nothing. The error names every export that is missing.
    pub(crate) fn new(component: &Component, pace: Pace) -> Result<Self, Vec<String>> {
        let interface = component.get_export_index(None, abi::INTERFACE);
        let Some(interface) = interface else {
            return Err(vec![format!("does not export {}", abi::INTERFACE)]);
        };
        let mut missing = Vec::new();
        let mut find = |name: &str| {
            let found = component.get_export_index(Some(&interface), name);
            if found.is_none() {
                missing.push(format!("{} does not export `{name}`", abi::INTERFACE));
            }
            found
        };
        let found =
            [find("describe"), find("configure"), find("update"), find("close"), find("merge"), find("migrate")];
        let [Some(describe), Some(configure), Some(update), Some(close), Some(merge), Some(migrate)] = found else {
            return Err(missing);
        };
        let exports = ExportIndices { describe, configure, update, close, merge, migrate };
        let pre = Linker::new(component.engine()).instantiate_pre(component);
        let pre = pre.map_err(|error| vec![format!("cannot be linked: {error:#}")])?;
        Ok(Self { pre, exports, pace })
    }

    /// A new instance, not yet configured.
    pub(crate) fn instantiate(&self, limits: &Limits) -> Result<Instance, StartError> {
        let guard = MemoryGuard::new(limits);
        let mut store = Store::new(self.pre.engine(), guard);
        store.limiter(|guard| guard);
        store.set_hostcall_fuel(limits.output_bytes);
        let pace = self.pace;
        start_clock(&mut store, pace, limits.start_time_ms, limits.start_fuel());
        let exported = self.pre.instantiate(&mut store);
        let exported = exported.map_err(|error| StartError::Failed(start_detail(&error, limits)))?;
        let functions = Functions::new(&mut store, &exported, &self.exports).map_err(StartError::WrongTypes)?;
        Ok(Instance { store, functions, pace, output_bytes: limits.output_bytes, used: false })
    }
}

fn start_detail(error: &wasmtime::Error, limits: &Limits) -> String {
    match CallFailure::of(error, limits.output_bytes) {
        CallFailure::Output(_) => format!("{error:#}"),
        failure => failure.detail(),
    }
}

/// Why there is no instance.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Exports with other types than those of the interface, one sentence each.
    WrongTypes(Vec<String>),
    /// Anything else.
    Failed(String),
}

impl StartError {
    /// As one sentence.
    pub(crate) fn detail(self) -> String {
        match self {
            Self::WrongTypes(mistakes) => mistakes.join("; "),
            Self::Failed(detail) => detail,
        }
    }
}

/// The exports of one instance, whose types have been checked.
struct Functions {
    describe: TypedFunc<(), (String,)>,
    configure: Func,
    update: Func,
    close: Func,
    merge: Func,
    migrate: Func,
}

impl Functions {
    fn new(store: &mut Store<MemoryGuard>, exported: &Exported, indices: &ExportIndices) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let describe = typed::<(), (String,)>(store, exported, "describe", &indices.describe, &mut wrong);
        let configure =
            typed::<Configure<'_>, Configured>(store, exported, "configure", &indices.configure, &mut wrong);
        let update = typed::<Update<'_>, Folded>(store, exported, "update", &indices.update, &mut wrong);
        let close = typed::<Close<'_>, Folded>(store, exported, "close", &indices.close, &mut wrong);
        let merge = typed::<Merge<'_>, Folded>(store, exported, "merge", &indices.merge, &mut wrong);
        let migrate = typed::<Migrate<'_>, Folded>(store, exported, "migrate", &indices.migrate, &mut wrong);
        match (describe, configure, update, close, merge, migrate) {
            (Some(describe), Some(configure), Some(update), Some(close), Some(merge), Some(migrate)) => Ok(Self {
                describe,
                configure: *configure.func(),
                update: *update.func(),
                close: *close.func(),
                merge: *merge.func(),
                migrate: *migrate.func(),
            }),
            _ => Err(wrong),
        }
    }
}

type Configure<'a> = (&'a str,);
type Configured = (Result<(), String>,);
type Update<'a> = (abi::Batch<'a>,);
type Close<'a> = (abi::Batch<'a>, abi::CloseReason);
type Merge<'a> = (abi::ByteStrings<'a>, abi::ByteStrings<'a>);
type Migrate<'a> = (abi::ByteStrings<'a>, u32);
type Folded = (abi::Folded,);

/// The function `index`, if it takes `Params` and returns `Return`; otherwise a sentence is added to `wrong`.
fn typed<Params, Return>(
    store: &mut Store<MemoryGuard>,
    exported: &Exported,
    name: &str,
    index: &ComponentExportIndex,
    wrong: &mut Vec<String>,
) -> Option<TypedFunc<Params, Return>>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    let Some(function) = exported.get_func(&mut *store, index) else {
        wrong.push(format!("export `{name}` is not a function"));
        return None;
    };
    match function.typed::<Params, Return>(&*store) {
        Ok(function) => Some(function),
        Err(error) => {
            wrong.push(format!("export `{name}` has another type than in {}: {error:#}", abi::INTERFACE));
            None
        }
    }
}

/// One instance. After a failed call it must not be used any more.
pub(crate) struct Instance {
    store: Store<MemoryGuard>,
    functions: Functions,
    pace: Pace,
    output_bytes: usize,
    /// Whether an update, close, merge or migrate was called.
    used: bool,
}

/// What a call may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// By wall clock, on the live engine.
    pub(crate) time_ms: u64,
    /// On the verdict engine.
    pub(crate) fuel: u64,
}

impl Instance {
    /// Linear memory that it has.
    pub(crate) fn linear_memory(&self) -> usize {
        self.store.data().memory.used
    }

    /// Whether no call was made yet but `describe` and `configure`.
    pub(crate) const fn is_fresh(&self) -> bool {
        !self.used
    }

    /// What is left of the fuel of the last call, on the verdict engine; nothing on the live one, which counts none.
    pub(crate) fn fuel_left(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    /// Limits what the next calls may return, in bytes.
    pub(crate) fn limit_output(&mut self, bytes: usize) {
        self.output_bytes = bytes;
        self.store.set_hostcall_fuel(bytes);
    }

    /// What the module says of itself.
    pub(crate) fn describe(&mut self, allowance: Allowance) -> Result<String, CallFailure> {
        start_clock(&mut self.store, self.pace, allowance.time_ms, allowance.fuel);
        let result = self.functions.describe.call(&mut self.store, ());
        result.map(|(json,)| json).map_err(|error| CallFailure::of(&error, self.output_bytes))
    }

    /// Sets the configuration. The inner error is the module's own.
    pub(crate) fn configure(&mut self, json: &str, allowance: Allowance) -> Result<Result<(), String>, CallFailure> {
        self.call::<Configure<'_>, Configured>(self.functions.configure, (json,), allowance)
            .map(|(configured,)| configured)
    }

    pub(crate) fn update(&mut self, batch: abi::Batch<'_>, allowance: Allowance) -> Result<abi::Folded, CallFailure> {
        self.used = true;
        self.call::<Update<'_>, Folded>(self.functions.update, (batch,), allowance).map(|(folded,)| folded)
    }

    pub(crate) fn close(
        &mut self,
        batch: abi::Batch<'_>,
        reason: abi::CloseReason,
        allowance: Allowance,
    ) -> Result<abi::Folded, CallFailure> {
        self.used = true;
        self.call::<Close<'_>, Folded>(self.functions.close, (batch, reason), allowance).map(|(folded,)| folded)
    }

    pub(crate) fn merge(
        &mut self,
        left: abi::ByteStrings<'_>,
        right: abi::ByteStrings<'_>,
        allowance: Allowance,
    ) -> Result<abi::Folded, CallFailure> {
        self.used = true;
        self.call::<Merge<'_>, Folded>(self.functions.merge, (left, right), allowance).map(|(folded,)| folded)
    }

    pub(crate) fn migrate(
        &mut self,
        states: abi::ByteStrings<'_>,
        from: u32,
        allowance: Allowance,
    ) -> Result<abi::Folded, CallFailure> {
        self.used = true;
        self.call::<Migrate<'_>, Folded>(self.functions.migrate, (states, from), allowance).map(|(folded,)| folded)
    }

    /// Calls `function`, one of [`Functions`], with the types that [`Functions::new`] checked it for.
    fn call<Params, Return>(
        &mut self,
        function: Func,
        params: Params,
        allowance: Allowance,
    ) -> Result<Return, CallFailure>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        start_clock(&mut self.store, self.pace, allowance.time_ms, allowance.fuel);
        // SAFETY: `Functions::new` checked each function for the very types it is called with in this file; they
        // differ only in the lifetime of what is borrowed, which the check does not depend on.
        let function = unsafe { TypedFunc::<Params, Return>::new_unchecked(function) };
        function.call(&mut self.store, params).map_err(|error| CallFailure::of(&error, self.output_bytes))
    }
}

fn start_clock(store: &mut Store<MemoryGuard>, pace: Pace, time_ms: u64, fuel: u64) {
    match pace {
        Pace::Clock => store.set_epoch_deadline(ticks(time_ms)),
        Pace::Fuel => store.set_fuel(fuel).expect("the verdict engine counts fuel"),
    }
}

/// Holds an instance to its limits of memory and tables, each of which counts for all that it has together.
pub(crate) struct MemoryGuard {
    memory: Budget,
    tables: Budget,
}

impl MemoryGuard {
    const fn new(limits: &Limits) -> Self {
        Self {
            memory: Budget::new("memory_bytes", limits.memory_bytes),
            tables: Budget::new("table_elements", TABLE_ELEMENTS),
        }
    }
}

impl ResourceLimiter for MemoryGuard {
    /// Over the limit is an error, not a refusal: what a module does after a refused `memory.grow` is anyone's guess.
    fn memory_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        self.memory.grow(current, desired, most)
    }

    fn table_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        self.tables.grow(current, desired, most)
    }
}

/// What all memories, or all tables, of an instance have together. None of them ever shrinks.
struct Budget {
    name: &'static str,
    limit: usize,
    used: usize,
}

impl Budget {
    const fn new(name: &'static str, limit: usize) -> Self {
        Self { name, limit, used: 0 }
    }

    /// Whether one of them, which may have `most`, grows from `current` to `desired`.
    ///
    /// What was granted stays counted. Wasmtime also tells of growth that failed, but not of what it had asked for: to
    /// give that back would be to trust that one call follows the other.
    fn grow(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        let Self { name, limit, used } = *self;
        let requested = used.saturating_add(desired.saturating_sub(current));
        if requested > limit {
            let (limit, current, requested) = (limit as u64, used as u64, requested as u64);
            return Err(LimitExceeded { name, limit, current, requested }.into());
        }
        let is_possible = most.is_none_or(|most| desired <= most);
        if is_possible {
            self.used = requested;
        }
        Ok(is_possible)
    }
}
