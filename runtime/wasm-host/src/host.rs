//! The sandbox as a whole: what modules share.

use crate::admission::LoadError;
use crate::cache::CodeCache;
use crate::engine::Engines;
use crate::limits::HostSettings;
use crate::module::Module;
use std::sync::Arc;

/// Loads modules. Cheap to clone; its threads end with the last clone and the last module.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

/// What every module needs of the host.
pub(crate) struct Shared {
    pub(crate) settings: HostSettings,
    pub(crate) engines: Engines,
    pub(crate) cache: Option<CodeCache>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Wasmtime refuses the settings, or the system does not give what they ask for.
    #[error("the sandbox cannot be set up: {0}; fewer `instances` need less address space")]
    Engine(String),
    /// The folder for compiled code can't be used.
    #[error("cache folder {folder}: {detail}")]
    Cache {
        /// Its path.
        folder: String,
        /// What is wrong and what to do.
        detail: String,
    },
}

impl Host {
    /// Sets the sandbox up: one for the whole process.
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        let cache =
            settings.cache.as_deref().map(|folder| CodeCache::open(folder, settings.cache_bytes)).transpose()?;
        let engines = Engines::new(&settings).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        Ok(Self { shared: Arc::new(Shared { settings, engines, cache }) })
    }

    /// Admits a module: checks `bytes`, compiles them (seconds for large modules; call it off the data path) or finds
    /// the compiled code in the cache, asks the module to describe itself and checks the answer.
    pub fn load(&self, bytes: &[u8]) -> Result<Module, LoadError> {
        Module::load(&self.shared, bytes)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &HostSettings {
        &self.shared.settings
    }
}
