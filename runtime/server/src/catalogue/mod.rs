//! The metrics of a job: those that its file names, and those that were deployed while it ran.
//!
//! [`deploy`] loads and checks what stands in the file, before anything starts; every contradiction becomes a mistake of
//! the configuration, with its line. [`JobCatalogue`] makes metrics of deployments for the engine.

mod job;
mod meeting;
mod request;

pub use job::JobCatalogue;
pub use request::read_request;

use crate::config::Config;
use crate::config::document::Document;
use crate::config::metric::ModuleOrigin;
use crate::config::report::Mistake;
use meeting::Meeting;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::deployment::Origin;
use tidemark_engine::ids::Digest;
use tidemark_engine::metric::MetricSpec;
use tidemark_wasm_host::{GuestTelemetry, Host, Module};

/// A metric of the file, ready to run.
#[derive(Clone)]
pub struct Deployed {
    /// What the engine runs.
    pub spec: MetricSpec,
    /// Its module.
    pub module: Module,
    /// The counters of its sandbox.
    pub telemetry: Arc<GuestTelemetry>,
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
    let mut deployed = Vec::new();
    for metric in &config.metrics {
        let module = loaded.entry(&metric.module).or_insert_with(|| {
            progress(&metric.module);
            match &metric.module {
                ModuleOrigin::File(file) => load(host, file),
                ModuleOrigin::Digest(digest) => {
                    stored(*digest).and_then(|bytes| host.load(&bytes).map_err(|error| format!("{digest}: {error}")))
                }
            }
        });
        let meeting = Meeting { config, metrics: &names, document, metric, origin: Origin::File };
        match module {
            Ok(module) => match meeting.check(module) {
                Ok((spec, telemetry)) => deployed.push(Deployed { spec, module: module.clone(), telemetry }),
                Err(found) => mistakes.extend(found),
            },
            Err(message) => mistakes.push(meeting.mistake("module", message.clone())),
        }
    }
    if mistakes.is_empty() { Ok(deployed) } else { Err(mistakes) }
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
