//! The metrics of a job, modules and statements: those that its file names, and those that were deployed while it ran.
//!
//! [`deploy`] loads and checks what stands in the file, before anything starts; every contradiction becomes a mistake of
//! the configuration, with its line. [`JobCatalogue`] makes metrics of deployments for the engine.

mod job;
mod meeting;
mod request;
mod statements;

pub use job::JobCatalogue;
pub use request::read_request;
pub use statements::{renamed, statements};

use crate::config::Config;
use crate::config::document::Document;
use crate::config::metric::ModuleOrigin;
use crate::config::report::Mistake;
use meeting::Meeting;
use statements::plan_statements;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::deployment::Origin;
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::ids::Digest;
use tidemark_engine::metric::MetricSpec;
use tidemark_wasm_host::{GuestTelemetry, Host, Module};

/// A metric of the file, ready to run.
#[derive(Clone)]
pub struct Deployed {
    /// What the engine runs.
    pub spec: MetricSpec,
    /// Its module and the counters of its sandbox; `None` for a statement.
    pub module: Option<(Module, Arc<GuestTelemetry>)>,
}

/// Loads the modules of `config` and checks them. `stored` finds modules that are named by digest; `progress` is told each
/// module before it is compiled, which may take seconds.
pub fn deploy(
    config: &Config,
    document: &Document,
    host: &Host,
    stored: &dyn Fn(Digest) -> Result<Vec<u8>, String>,
    progress: &mut dyn FnMut(&ModuleOrigin),
) -> Result<Vec<Deployed>, Vec<Mistake>> {
    let mut loaded: HashMap<&ModuleOrigin, Result<Module, String>> = HashMap::new();
    let names: Vec<String> = config.metrics.iter().map(|metric| metric.name.clone()).collect();
    let mut mistakes = Vec::new();
    // By their place in the file; what they give, for the statements that read it.
    let mut deployed: BTreeMap<usize, Deployed> = BTreeMap::new();
    let mut outputs: BTreeMap<String, Vec<OutputColumn>> = BTreeMap::new();
    let meeting = |metric| Meeting { config, metrics: &names, document, metric, origin: Origin::File };
    for (place, metric) in config.metrics.iter().enumerate().filter(|(_, metric)| metric.sql.is_none()) {
        let module = loaded.entry(&metric.module).or_insert_with(|| {
            progress(&metric.module);
            match &metric.module {
                ModuleOrigin::File(file) => load(host, file),
                ModuleOrigin::Digest(digest) => {
                    stored(*digest).and_then(|bytes| host.load(&bytes).map_err(|error| format!("{digest}: {error}")))
                }
            }
        });
        match module {
            Ok(module) => {
                outputs.insert(metric.name.clone(), module.descriptor().output.clone());
                match meeting(metric).check(module) {
                    Ok((spec, telemetry)) => {
                        deployed.insert(place, Deployed { spec, module: Some((module.clone(), telemetry)) });
                    }
                    Err(found) => mistakes.extend(found),
                }
            }
            Err(message) => mistakes.push(meeting(metric).mistake("module", message.clone())),
        }
    }
    for (place, planned) in plan_statements(config, document, outputs) {
        match planned.and_then(|statement| meeting(&config.metrics[place]).check_statement(&statement)) {
            Ok(spec) => drop(deployed.insert(place, Deployed { spec, module: None })),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(deployed.into_values().collect()) } else { Err(mistakes) }
}

fn load(host: &Host, file: &Path) -> Result<Module, String> {
    let bytes = std::fs::read(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; `cargo xtask metrics` builds the metrics of this project",
            _ => "",
        };
        format!("cannot read {}: {error}{hint}", file.display())
    })?;
    host.load(&bytes).map_err(|error| format!("{}: {error}", file.display()))
}
