//! `[[metric]]`: a module or a SQL statement, and how it is deployed.

use super::paths::{beside, check_event_path, check_name};
use super::section::{Section, describe};
use super::sink::SINKS;
use super::statement;
use super::suggest::nearest;
use super::window;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tidemark_engine::descriptor::{Condition, Filter, WindowSpec};
use tidemark_engine::ids::Digest;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_sql_metric::Definition;
use tidemark_wasm_host::{HostSettings, Limits};

/// Names of tables and views that a metric's view must not take.
const RESERVED: [&str; 4] = ["events", "metrics", "dead-letters", "information-schema"];

const DAY_MS: i64 = 24 * 60 * 60_000;

/// Where a metric's component comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ModuleOrigin {
    /// A `.wasm` file.
    File(PathBuf),
    /// The registry, by its digest.
    Digest(Digest),
}

impl fmt::Display for ModuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Digest(digest) => write!(f, "{DIGEST}{digest}"),
        }
    }
}

/// What a digest begins with, where a file could stand.
const DIGEST: &str = "sha256:";

/// One `[[metric]]`. What is `None` comes from the module.
#[derive(Clone, Debug)]
pub struct MetricSettings {
    /// The path of its table in the document, for mistakes found later.
    pub path: String,
    /// Its name: rows are events of type `metric.<name>`.
    pub name: String,
    /// The component; an empty path for a statement.
    pub module: ModuleOrigin,
    /// The statement, for `kind = "sql"`. Filter, window and key are then its own.
    pub sql: Option<Definition>,
    /// Which rows it wants.
    pub filter: Option<Filter>,
    /// Path of its key.
    pub key: Option<String>,
    /// Its window.
    pub window: Option<WindowSpec>,
    /// How long after its end a window can still change, in milliseconds.
    pub allowed_lateness_ms: Option<i64>,
    /// How long the state of a silent key is kept, in milliseconds of event time. For key windows.
    pub state_ttl_ms: Option<i64>,
    /// The module's configuration; checked against the module's schema.
    pub config: Value,
    /// What the module may use.
    pub limits: Limits,
    /// The share of one core that its module may take, over ten seconds; `None`: whatever is there.
    pub cpu_budget: Option<f64>,
    /// Poison groups before quarantine.
    pub error_budget: Option<u32>,
    /// Whether it may begin without the state that it had, where a change makes that unusable.
    pub reset_state: bool,
    /// Names of the sinks for its rows; `None`: every enabled one.
    pub sinks: Option<Vec<String>>,
}

impl MetricSettings {
    /// Reads every one.
    #[must_use]
    pub fn read_all(sections: Vec<Section<'_>>, config_file: &Path) -> Vec<Self> {
        let mut metrics: Vec<Self> = Vec::with_capacity(sections.len());
        for section in sections {
            if metrics.len() == ExtractionPlan::MAX_CONSUMERS {
                let most = ExtractionPlan::MAX_CONSUMERS;
                section.mistake("name", format!("a job has at most {most} metrics: move this one into another job"));
            }
            let taken: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
            metrics.push(Self::read(section, config_file, &taken));
        }
        metrics
    }

    fn read(mut section: Section<'_>, config_file: &Path, taken: &[String]) -> Self {
        let name = section.required_text("name", "\"jitter-coefficient\"");
        if !name.is_empty() {
            if let Err(message) = check_name(&name) {
                section.mistake("name", message);
            }
            if RESERVED.contains(&name.as_str()) {
                section.mistake("name", format!("\"{name}\" is the name of a built-in table: choose another"));
            }
            if taken.contains(&name) {
                section.mistake("name", format!("a metric \"{name}\" stands above already: choose another name"));
            }
        }
        let sql = statement::read(&mut section, &name);
        let module = match &sql {
            Some(_) => ModuleOrigin::File(PathBuf::new()),
            None => read_module(&mut section, config_file),
        };
        let settings = Self {
            path: section.path().to_owned(),
            module,
            sql,
            filter: read_filter(&mut section, "filter"),
            key: section.text("key").inspect(|key| {
                check_event_path(key).unwrap_or_else(|message| section.mistake("key", message));
            }),
            window: window::read(section.section("window")),
            allowed_lateness_ms: section.integer("allowed_lateness_ms", 0..=30 * DAY_MS),
            state_ttl_ms: section.integer("state_ttl_ms", 1..=3_650 * DAY_MS),
            config: read_config(&mut section),
            limits: read_limits(section.section("limits")),
            cpu_budget: section.number("cpu_budget", 0.001..=256.0),
            error_budget: section.integer("error_budget", 0..=1_000_000_000).and_then(|budget| budget.try_into().ok()),
            reset_state: section.boolean("reset_state").unwrap_or(false),
            sinks: read_sinks(&mut section),
            name,
        };
        if settings.state_ttl_ms.is_some() && settings.window.as_ref().is_some_and(|window| !is_key(window)) {
            let message = "is for key windows, whose state has no end of its own; this window ends by itself";
            section.mistake("state_ttl_ms", format!("{message}: leave it out"));
        }
        section.finish();
        settings
    }
}

/// The sandbox's limits, with its defaults for what is absent.
fn read_limits(mut section: Section<'_>) -> Limits {
    let is_judged_by_default = !section.has("verdict_fuel");
    let mut limits: Limits = section.rest();
    if is_judged_by_default {
        limits = limits.with_enough_fuel();
    }
    section.mistakes(limits.mistakes(&HostSettings::default()));
    limits
}

fn is_key(window: &WindowSpec) -> bool {
    matches!(window, WindowSpec::Key { .. })
}

/// A `.wasm` file, or the digest of a module that is pushed.
fn read_module(section: &mut Section<'_>, config_file: &Path) -> ModuleOrigin {
    let module = section.required_text("module", "\"modules/jitter-coefficient.wasm\"");
    match module.strip_prefix(DIGEST).map(str::parse::<Digest>) {
        Some(digest) => ModuleOrigin::Digest(digest.unwrap_or_else(|message| {
            section.mistake("module", message);
            Digest([0; 32])
        })),
        None => {
            if !module.is_empty() && !module.ends_with(".wasm") {
                section.mistake("module", format!("\"{module}\" is not a `.wasm` file: only components are accepted"));
            }
            ModuleOrigin::File(beside(config_file, &module))
        }
    }
}

/// A table of conditions by event path. `data.type = [...]` may be written with or without quotes around the path: an
/// inner table is more of the path.
pub(super) fn read_filter(section: &mut Section<'_>, name: &'static str) -> Option<Filter> {
    let Value::Object(fields) = section.value(name)? else {
        let message = "must be a table of conditions: write for example { type = [\"stream_trace\"] }";
        section.mistake(name, message);
        return None;
    };
    let mut conditions = BTreeMap::new();
    read_conditions(section, name, "", fields, &mut conditions);
    Some(Filter(conditions))
}

fn read_conditions(
    section: &Section<'_>,
    name: &str,
    outer: &str,
    fields: &Map<String, Value>,
    conditions: &mut BTreeMap<String, Condition>,
) {
    for (field, value) in fields {
        let path = if outer.is_empty() { field.clone() } else { format!("{outer}.{field}") };
        let place = format!("{name}.{path}");
        let condition = match value {
            Value::Object(inner) => {
                read_conditions(section, name, &path, inner, conditions);
                continue;
            }
            Value::Bool(present) => Some(Condition::Present(*present)),
            Value::String(text) => Some(Condition::OneOf(vec![text.clone()])),
            Value::Array(texts) if !texts.is_empty() => {
                let texts: Option<Vec<String>> = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
                texts.map(Condition::OneOf)
            }
            _ => None,
        };
        if let Err(message) = check_event_path(&path) {
            section.mistake(&place, message);
        }
        match condition {
            Some(condition) => {
                conditions.insert(path, condition);
            }
            None => {
                let message = "a condition is a text, a list of texts, true (present) or false (absent), not";
                section.mistake(&place, format!("{message} {}", describe(value)));
            }
        }
    }
}

fn read_config(section: &mut Section<'_>) -> Value {
    match section.value("config") {
        None => Value::Null,
        Some(Value::Object(fields)) => Value::Object(fields.clone()),
        Some(other) => {
            section.mistake("config", format!("must be a table, not {}", describe(other)));
            Value::Null
        }
    }
}

fn read_sinks(section: &mut Section<'_>) -> Option<Vec<String>> {
    let sinks = section.texts("sinks")?;
    for sink in sinks.iter().filter(|sink| !SINKS.contains(&sink.as_str())) {
        let hint = match nearest(sink, SINKS) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("the sinks are {}", SINKS.join(" and ")),
        };
        section.mistake("sinks", format!("there is no sink \"{sink}\"; {hint}"));
    }
    Some(sinks)
}
