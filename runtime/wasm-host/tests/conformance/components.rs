//! The components that `cargo xtask metrics` has made, each loaded once.

use crate::cases::Suite;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tidemark_wasm_host::{Host, HostSettings, Limits, Module, ModuleFactory};

/// A metric in one language.
#[derive(Clone)]
pub struct Component {
    pub language: String,
    pub module: Module,
}

impl Component {
    /// Makes instances with these settings. No clock plays a part, however busy the machine is.
    pub fn factory(&self, config: &serde_json::Value) -> Result<Arc<ModuleFactory>, String> {
        let limits = Limits {
            memory_bytes: 256 << 20,
            call_time_ms: 60_000,
            start_time_ms: 60_000,
            verdict_fuel: 1 << 40,
            ..Limits::default()
        };
        let config = if config.is_null() { "{}".to_owned() } else { config.to_string() };
        self.module.factory(&config, limits).map_err(|error| error.to_string())
    }
}

/// The metric of `suite` in each language. Of one that is not there `test` is reported as not run; where `CI` is set,
/// that is a failure.
pub fn of(suite: &Suite, test: &str) -> Vec<Component> {
    let load = |language: &String| {
        let name = if language == "rust" { suite.metric.clone() } else { format!("{}-{language}", suite.metric) };
        let module = load(&name, test)?;
        Some(Component { language: language.clone(), module })
    };
    suite.languages.iter().filter_map(load).collect()
}

/// The component `name`, if it is there.
pub fn load(name: &str, test: &str) -> Option<Module> {
    static LOADED: LazyLock<Mutex<HashMap<String, Module>>> = LazyLock::new(Mutex::default);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(name) {
        return Some(module.clone());
    }
    let path = target().join("metrics").join(format!("{name}.wasm"));
    let Ok(bytes) = std::fs::read(&path) else {
        let missing = format!("{} is missing: run `cargo xtask metrics`", path.display());
        assert!(std::env::var_os("CI").is_none(), "{test}: {missing}");
        // Past the harness, which keeps what tests that pass say. A report that cannot be written changes nothing.
        let _ = writeln!(std::io::stdout(), "not run: {test} for {name}: {missing}");
        return None;
    };
    let module = host().load(&bytes).unwrap_or_else(|error| panic!("{name} is refused: {error}"));
    loaded.insert(name.to_owned(), module.clone());
    Some(module)
}

/// Python's components take ten seconds to compile: compiled code is kept.
fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        let cache = Some(target().join("compiled-metrics"));
        Host::new(HostSettings { instances: 64, cache, ..HostSettings::default() }).expect("the settings are sound")
    });
    &HOST
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}
