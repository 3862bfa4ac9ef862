//! The registry: what comes in is checked and compiled on a thread of its own, and kept only if it passes.

use super::signature::{PublicKey, Signature, trusted};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tidemark_connectors::module_store::{ModuleStore, ModuleStoreError, Upload};
use tidemark_engine::ids::Digest;
use tidemark_wasm_host::contract::{self, Finding};
use tidemark_wasm_host::{Host, LoadError, Module};

/// Compiled modules that are held in memory beside those that run.
const HELD: usize = 64;

/// Admissions that are remembered, the refused ones above all: they tell why.
const REMEMBERED: usize = 128;

/// How far the admission of a module is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is being compiled and tried out.
    Checking,
    /// It can be deployed.
    Admitted,
    /// It can't, for these reasons.
    Refused(Vec<String>),
}

/// A module as the registry tells of it.
#[derive(Clone, Debug)]
pub struct ModuleRecord {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// How far it is.
    pub admission: Admission,
    /// How long checking took, in milliseconds, once it is over.
    pub checked_ms: Option<u64>,
    /// What the contract tests found, if it came that far in this process.
    pub findings: Vec<Finding>,
}

/// Why the registry does not do something.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The module is not admitted.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The module is still being checked.
    #[error("module {0} is still being compiled: try again in a moment")]
    Checking(Digest),
    /// Another one is being checked, and compiling takes all cores.
    #[error("{0} modules are being compiled already: try again in a moment")]
    Busy(usize),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] ModuleStoreError),
}

/// Admissions at a time.
const AT_A_TIME: usize = 2;

/// The modules of a job.
pub struct Registry {
    store: ModuleStore,
    host: Host,
    trusted: Vec<PublicKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: HashMap<Digest, Module>,
    admissions: BTreeMap<Digest, ModuleRecord>,
}

impl Registry {
    /// Over the modules in `store`. With `trusted` keys, what comes in must be signed by one of them.
    #[must_use]
    pub fn new(store: ModuleStore, host: Host, trusted: Vec<PublicKey>) -> Self {
        Self { store, host, trusted, state: Mutex::default() }
    }

    /// Most bytes of a module.
    #[must_use]
    pub fn module_bytes(&self) -> u64 {
        self.host.settings().module_bytes as u64
    }

    /// Whether what comes in must be signed.
    #[must_use]
    pub fn wants_signatures(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// Begins to take a module in.
    pub fn upload(&self) -> Result<Upload, ModuleStoreError> {
        self.store.upload(self.module_bytes())
    }

    /// Admits what came, on a thread of its own. Returns its digest at once; [`Registry::show`] tells how far it is.
    pub fn admit(self: &Arc<Self>, upload: Upload, signature: Option<Signature>) -> Result<Digest, RegistryError> {
        let content = upload.content()?;
        let (digest, bytes) = (upload.digest(), content.len() as u64);
        if let Err(reason) = trusted(&self.trusted, digest, signature.as_ref()) {
            return Err(RegistryError::Refused(vec![reason]));
        }
        let record =
            ModuleRecord { digest, bytes, admission: Admission::Checking, checked_ms: None, findings: Vec::new() };
        {
            let mut state = self.lock();
            let checking = |record: &&ModuleRecord| record.admission == Admission::Checking;
            if state.admissions.get(&digest).is_some_and(|record| record.admission == Admission::Checking) {
                return Ok(digest);
            }
            let running = state.admissions.values().filter(checking).count();
            if running >= AT_A_TIME {
                return Err(RegistryError::Busy(running));
            }
            state.remember(record);
        }
        let registry = Arc::clone(self);
        let check = move || {
            let started = Instant::now();
            let (admitted, findings) = registry.admit_content(&content);
            let admission = match admitted {
                Ok(module) => match upload.keep() {
                    Ok(_) => {
                        registry.lock().hold(module);
                        Admission::Admitted
                    }
                    Err(error) => Admission::Refused(vec![error.to_string()]),
                },
                Err(reasons) => Admission::Refused(reasons),
            };
            if let Admission::Refused(reasons) = &admission {
                tracing::warn!(%digest, reasons = reasons.join("; "), "the module is refused");
            }
            let checked_ms = Some(started.elapsed().as_millis() as u64);
            registry.lock().remember(ModuleRecord { digest, bytes, admission, checked_ms, findings });
        };
        let thread = std::thread::Builder::new().name("admission".to_owned()).stack_size(8 << 20);
        match thread.spawn(check) {
            Ok(_) => Ok(digest),
            Err(error) => {
                self.lock().admissions.remove(&digest);
                Err(RegistryError::Refused(vec![format!("cannot start a thread: {error}")]))
            }
        }
    }

    /// Loads what came and tries out what every module promises.
    fn admit_content(&self, content: &[u8]) -> (Result<Module, Vec<String>>, Vec<Finding>) {
        let module = match self.load(content) {
            Ok(module) => module,
            Err(reasons) => return (Err(reasons), Vec::new()),
        };
        let report = contract::check_unconfigured(&module);
        let admitted = if report.is_sound() { Ok(module) } else { Err(report.mistakes()) };
        (admitted, report.findings)
    }

    fn load(&self, content: &[u8]) -> Result<Module, Vec<String>> {
        self.host.load(content).map_err(|error| match error {
            LoadError::Description(mistakes) | LoadError::WrongWorld(mistakes) => mistakes,
            error => vec![error.to_string()],
        })
    }

    /// Keeps the module of a metric of the job's file.
    pub fn keep(&self, module: &Module) -> Result<(), ModuleStoreError> {
        self.store.put(module.bytes())?;
        self.lock().hold(module.clone());
        Ok(())
    }

    /// A module, loaded.
    pub fn module(&self, digest: Digest) -> Result<Module, RegistryError> {
        {
            let state = self.lock();
            if let Some(module) = state.held.get(&digest) {
                return Ok(module.clone());
            }
            if state.admissions.get(&digest).is_some_and(|record| record.admission == Admission::Checking) {
                return Err(RegistryError::Checking(digest));
            }
        }
        let content = self.store.get(digest)?;
        let module = self.load(&content).map_err(RegistryError::Refused)?;
        self.lock().hold(module.clone());
        Ok(module)
    }

    /// What is known of a module; `None`: nothing.
    pub fn show(&self, digest: Digest) -> Result<Option<ModuleRecord>, ModuleStoreError> {
        let known = self.lock().admissions.get(&digest).cloned();
        match known {
            Some(record) => Ok(Some(record)),
            None => Ok(self.list()?.into_iter().find(|record| record.digest == digest)),
        }
    }

    /// Every module that is kept, being checked, or was refused lately.
    pub fn list(&self) -> Result<Vec<ModuleRecord>, ModuleStoreError> {
        let kept = self.store.list()?.into_iter().map(|stored| ModuleRecord {
            digest: stored.digest,
            bytes: stored.bytes,
            admission: Admission::Admitted,
            checked_ms: None,
            findings: Vec::new(),
        });
        let mut all: BTreeMap<Digest, ModuleRecord> = kept.map(|record| (record.digest, record)).collect();
        all.extend(self.lock().admissions.iter().map(|(digest, record)| (*digest, record.clone())));
        Ok(all.into_values().collect())
    }

    /// Removes a module. Whether a metric runs it is the caller's to know.
    pub fn remove(&self, digest: Digest) -> Result<(), ModuleStoreError> {
        let refused = self.lock().admissions.remove(&digest);
        self.lock().held.remove(&digest);
        match self.store.remove(digest) {
            Err(ModuleStoreError::Missing(_)) if refused.is_some() => Ok(()),
            result => result,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hold(&mut self, module: Module) {
        if self.held.len() >= HELD {
            self.held.clear();
        }
        self.held.insert(module.digest(), module);
    }

    fn remember(&mut self, record: ModuleRecord) {
        if self.admissions.len() >= REMEMBERED {
            self.admissions.retain(|_, record| record.admission == Admission::Checking);
        }
        self.admissions.insert(record.digest, record);
    }
}
