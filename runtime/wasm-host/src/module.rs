//! A module: admitted, compiled, described, and ready to be instantiated with a configuration.

use crate::admission::{LoadError, check_bytes, check_imports, check_parts};
use crate::canonical_nan;
use crate::check::parse_descriptor;
use crate::failure::CallFailure;
use crate::guest::WasmGuest;
use crate::host::Shared;
use crate::instance::{Allowance, Instance, Pace, Program, StartError};
use crate::limits::{HostSettings, Limits};
use crate::telemetry::GuestTelemetry;
use sha2::{Digest as _, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use tidemark_engine::descriptor::Descriptor;
use tidemark_engine::guest::{Guest, GuestError, GuestFactory};
use tidemark_engine::ids::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// A loaded module. Cheap to clone.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    host: Arc<Shared>,
    bytes: Vec<u8>,
    digest: Digest,
    descriptor: Descriptor,
    live: Program,
    /// Compiled when the first group has to be judged.
    verdict: OnceLock<Result<Program, String>>,
}

impl Module {
    pub(crate) fn load(host: &Arc<Shared>, bytes: &[u8]) -> Result<Self, LoadError> {
        check_bytes(bytes, &host.settings)?;
        let digest = Digest(Sha256::digest(bytes).into());
        let component = compile(host, &host.engines.live, digest, bytes);
        let component = component.map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        check_imports(&component)?;
        check_parts(bytes)?;
        let live = Program::new(&component, Pace::Clock).map_err(LoadError::WrongWorld)?;
        let descriptor = parse_descriptor(&describe(&live, &host.settings)?).map_err(LoadError::Description)?;
        let (host, bytes, verdict) = (Arc::clone(host), bytes.to_vec(), OnceLock::new());
        Ok(Self { inner: Arc::new(Inner { host, bytes, digest, descriptor, live, verdict }) })
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }

    /// The component, as it was loaded.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// A factory of instances with the configuration `config`, a JSON document. Tries one out.
    pub fn factory(&self, config: &str, limits: Limits) -> Result<Arc<ModuleFactory>, FactoryError> {
        let mistakes = limits.mistakes(&self.inner.host.settings);
        if !mistakes.is_empty() {
            return Err(FactoryError::Limits(mistakes));
        }
        let telemetry = Arc::default();
        let factory = ModuleFactory { module: self.clone(), config: config.into(), limits: limits.into(), telemetry };
        factory.start()?;
        Ok(Arc::new(factory))
    }

    /// The module on the engine that counts fuel.
    fn verdict_program(&self) -> Result<&Program, String> {
        let Inner { host, bytes, digest, verdict, .. } = &*self.inner;
        let program = verdict.get_or_init(|| {
            let component = compile(host, &host.engines.verdict, *digest, bytes);
            let component = component.map_err(|error| format!("does not compile with fuel: {error:#}"))?;
            Program::new(&component, Pace::Fuel).map_err(|mistakes| mistakes.join("; "))
        });
        program.as_ref().map_err(Clone::clone)
    }
}

fn compile(host: &Shared, engine: &Engine, digest: Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
    let canonical = host.settings.canonical_nans;
    let translate = || match canonical {
        true => Component::from_binary(engine, &canonical_nan::rewrite(bytes)?),
        false => Component::from_binary(engine, bytes),
    };
    // The compiler is not the sandbox: it has assertions of its own. It holds nothing that a panic could leave half done.
    let compile = || {
        let refused = |_| Err(wasmtime::Error::msg("the compiler cannot handle it"));
        catch_unwind(AssertUnwindSafe(translate)).unwrap_or_else(refused)
    };
    match &host.cache {
        Some(cache) => cache.component(engine, digest, canonical.then_some(canonical_nan::VERSION), compile),
        None => compile(),
    }
}

/// What the module says of itself in a used and in a fresh instance, which must be the same.
fn describe(program: &Program, settings: &HostSettings) -> Result<String, LoadError> {
    let limits = Limits { memory_bytes: settings.memory_bytes, ..Limits::default() };
    let allowance = Allowance { time_ms: limits.start_time_ms, fuel: limits.start_fuel() };
    let start = || {
        let mut instance = program.instantiate(&limits).map_err(|error| match error {
            StartError::WrongTypes(mistakes) => LoadError::WrongWorld(mistakes),
            StartError::Failed(detail) => LoadError::Start(detail),
        })?;
        instance.limit_output(settings.describe_bytes);
        Ok(instance)
    };
    let ask = |instance: &mut Instance| {
        let failed = |failure: CallFailure| LoadError::Start(format!("describe: {}", failure.detail()));
        instance.describe(allowance).map_err(failed)
    };
    let mut used = start()?;
    let first = ask(&mut used)?;
    let second = ask(&mut used)?;
    drop(used);
    if first != second || first != ask(&mut start()?)? {
        return Err(LoadError::FickleDescription);
    }
    Ok(first)
}

/// Makes instances of a module with one configuration and one set of limits; the [`GuestFactory`] of the sandbox.
#[derive(Clone)]
pub struct ModuleFactory {
    module: Module,
    config: Arc<str>,
    limits: Arc<Limits>,
    telemetry: Arc<GuestTelemetry>,
}

/// Why a module can't be instantiated.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The limits contradict themselves or the host's.
    #[error("limits: {}", .0.join("; "))]
    Limits(Vec<String>),
    /// No instance could be made.
    #[error("cannot be instantiated: {0}")]
    Start(String),
    /// The module refuses its configuration, in its own words.
    #[error("refuses its configuration: {0}")]
    Config(String),
    /// `configure` itself failed.
    #[error("fails on its configuration: {0}")]
    Configure(String),
}

impl ModuleFactory {
    /// The module's counters, over all instances of this factory.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<GuestTelemetry> {
        &self.telemetry
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.module.descriptor()
    }

    /// A configured instance.
    pub(crate) fn start(&self) -> Result<Instance, FactoryError> {
        self.telemetry.instantiated();
        self.configured(&self.module.inner.live)
    }

    /// A configured instance that counts fuel.
    pub(crate) fn start_verdict(&self) -> Result<Instance, FactoryError> {
        self.configured(self.module.verdict_program().map_err(FactoryError::Start)?)
    }

    fn configured(&self, program: &Program) -> Result<Instance, FactoryError> {
        let limits = &*self.limits;
        let instance = program.instantiate(limits);
        let mut instance = instance.map_err(|error| FactoryError::Start(error.detail()))?;
        let allowance = Allowance { time_ms: limits.start_time_ms, fuel: limits.start_fuel() };
        match instance.configure(&self.config, allowance) {
            Ok(Ok(())) => Ok(instance),
            Ok(Err(mut message)) => {
                message.truncate(message.floor_char_boundary(limits.message_bytes));
                Err(FactoryError::Config(message))
            }
            Err(failure) => Err(FactoryError::Configure(failure.detail())),
        }
    }

    /// The error of a module that can't be called any more.
    pub(crate) fn broken(&self, detail: String) -> GuestError {
        GuestError::Broken { module: self.descriptor().name.clone(), detail }
    }
}

impl GuestFactory for ModuleFactory {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        let instance = self.start().map_err(|error| self.broken(error.to_string()))?;
        Ok(Box::new(WasmGuest::new(self.clone(), instance)))
    }
}
