//! Golden cases: every folder of `tests/golden` is a job (`config.toml`), what comes in (`input.ndjson`) and what must
//! come out (`expected.ndjson`).
//!
//! Each line of the input makes one tick, so `tick` in the expectations is the number of the line that brought the row
//! out; one more tick ends the input. `UPDATE_GOLDEN=1` writes what comes out as the expectation: read the difference.

mod support;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::natives::{CountV1, CountV2, Gather, Program};
use support::script::{Line, ScriptSource, parse};
use support::{Pairs, World, metric_of};
use tidemark_engine::descriptor::{ColumnType, Descriptor, Filter, WindowSpec};
use tidemark_engine::enrichment::TableSpec;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::memory::{NativeMetric, Row};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::output::TableKind;
use tidemark_engine::{DedupSettings, Engine, EngineError, Step};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// How far events may come behind the newest of their partition.
    #[serde(default)]
    bound_ms: i64,
    #[serde(default = "one")]
    partitions: u32,
    dedup: Option<CaseDedup>,
    table: Option<CaseTable>,
    metrics: Vec<CaseMetric>,
    /// The metrics after a restart, if others.
    restarted: Option<Vec<CaseMetric>>,
    /// What the refusal says, for a job that must be refused.
    refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseDedup {
    window_ms: i64,
    max_ids: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTable {
    name: String,
    keys: Vec<String>,
    fields: Vec<String>,
    max_age_ms: Option<i64>,
    #[serde(default)]
    max_ahead_ms: i64,
    #[serde(default)]
    lower_case: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseMetric {
    name: String,
    #[serde(default = "gather")]
    native: String,
    /// What `gather` reads.
    #[serde(default = "value_path")]
    path: String,
    #[serde(default = "integer")]
    kind: ColumnType,
    #[serde(default)]
    filter: Filter,
    #[serde(default = "key_path")]
    key: String,
    window: WindowSpec,
    #[serde(default)]
    allowed_lateness_ms: i64,
    error_budget: Option<u32>,
    #[serde(default)]
    reset_state: bool,
}

fn one() -> u32 {
    1
}

fn gather() -> String {
    "gather".to_owned()
}

fn value_path() -> String {
    "data.value".to_owned()
}

fn key_path() -> String {
    "data.key".to_owned()
}

fn integer() -> ColumnType {
    ColumnType::Integer
}

impl CaseMetric {
    fn spec(&self) -> MetricSpec {
        let native: Arc<dyn NativeMetric> = match self.native.as_str() {
            "gather" => Arc::new(Gather { path: self.path.clone(), kind: self.kind }),
            "pairs" => Arc::new(Pairs),
            "program" => Arc::new(Program),
            "count-v1" => Arc::new(CountV1),
            "count-v2" => Arc::new(CountV2),
            other => panic!("no native metric {other}"),
        };
        let descriptor = Descriptor {
            filter: self.filter.clone(),
            key: self.key.clone(),
            state_version: if self.native == "count-v2" { 2 } else { 1 },
            ..support::descriptor(&self.name, &*native, self.window.clone())
        };
        let overrides = Overrides {
            allowed_lateness_ms: Some(self.allowed_lateness_ms),
            error_budget: self.error_budget,
            ..Overrides::default()
        };
        MetricSpec { may_reset_state: self.reset_state, ..metric_of(&descriptor, native, overrides) }
    }
}

impl Case {
    fn open(&self, world: &World, metrics: &[CaseMetric], source: ScriptSource) -> Result<Engine, EngineError> {
        let mut parts = world.parts(metrics.iter().map(CaseMetric::spec).collect(), no_hook(), &Arc::default());
        parts.source = Box::new(source);
        parts.settings.tick.records = 1;
        parts.settings.tick.interval = Duration::ZERO;
        parts.settings.tick.idle_after = None;
        parts.settings.epoch_interval = Duration::ZERO;
        parts.settings.watermark_bound_ms = self.bound_ms;
        parts.settings.archive = false;
        parts.settings.dedup =
            self.dedup.as_ref().map(|dedup| DedupSettings { window_ms: dedup.window_ms, max_ids: dedup.max_ids });
        parts.tables = self.table.iter().map(CaseTable::spec).collect();
        Engine::open(parts)
    }

    /// Plays the input; a line `{"restart": true}` kills the engine and opens another one.
    fn play(&self, lines: &[Value]) -> Result<Vec<Value>, EngineError> {
        let world = World::new(Vec::new());
        let runs: Vec<&[Value]> = lines.split(|line| line["restart"] == json!(true)).collect();
        let mut script: Vec<Line> = Vec::new();
        for (number, lines) in runs.iter().enumerate() {
            let (from, last) = (script.len(), number + 1 == runs.len());
            script.extend(lines.iter().map(parse));
            let source = ScriptSource::new(self.partitions, script.clone(), from, last);
            let metrics = if number == 0 { &self.metrics } else { self.restarted.as_ref().unwrap_or(&self.metrics) };
            let mut engine = self.open(&world, metrics, source)?;
            while engine.step()? == Step::Ticked {}
        }
        Ok(world.sink.rows().iter().map(shown).collect())
    }
}

impl CaseTable {
    fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.clone(),
            event_keys: self.keys.clone(),
            lower_case: self.lower_case,
            fields: self.fields.clone(),
            max_age_ms: self.max_age_ms,
            max_ahead_ms: self.max_ahead_ms,
        }
    }
}

/// A row without what is the same in every case.
fn shown((kind, row): &Row) -> Value {
    let mut out = Map::new();
    // Every tick is an epoch of its own.
    out.insert("tick".to_owned(), row["epoch"].clone());
    let mut keep = |name: &str, value: &Value| {
        if !value.is_null() {
            out.insert(name.to_owned(), value.clone());
        }
    };
    match kind {
        TableKind::DeadLetters => {
            for name in ["reason", "metric", "key", "event_time", "window_start", "window_end"] {
                keep(name, &row[name]);
            }
            if row["state"].as_str().is_some_and(|state| !state.is_empty()) {
                keep("state", &row["state"]);
            }
            let records = row["payload"].as_str().unwrap_or_default().lines();
            let values = records.map(|record| {
                let record: Value = serde_json::from_str(record).unwrap_or_default();
                record.pointer("/data/value").cloned().unwrap_or(record)
            });
            keep("rows", &values.collect());
        }
        _ => {
            let common = ["epoch", "row_id", "module", "version", "digest", "config_digest"];
            for (name, value) in row.as_object().into_iter().flatten() {
                if common.contains(&name.as_str()) {
                    continue;
                }
                let json = value.as_str().filter(|text| text.starts_with('[')).map(serde_json::from_str);
                keep(name, &json.and_then(Result::ok).unwrap_or_else(|| value.clone()));
            }
            if let TableKind::Metric(name) = kind {
                keep("of", &json!(name));
            }
        }
    }
    Value::Object(out)
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"))).collect()
}

fn check(folder: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(folder.join("config.toml")).map_err(|error| error.to_string())?;
    let case: Case = toml::from_str(&text).map_err(|error| error.to_string())?;
    let result = case.play(&read_lines(&folder.join("input.ndjson")));
    let rows = match (result, &case.refused) {
        (Err(error), Some(refused)) if error.to_string().contains(refused.as_str()) => Vec::new(),
        (Err(error), _) => return Err(format!("the engine stops: {error}")),
        (Ok(_), Some(refused)) => return Err(format!("runs, but should be refused: {refused}")),
        (Ok(rows), None) => rows,
    };
    let path = folder.join("expected.ndjson");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        assert!(std::env::var_os("CI").is_none(), "expectations are never written where they are checked");
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        return std::fs::write(&path, lines).map_err(|error| error.to_string());
    }
    let expected = read_lines(&path);
    let show = |rows: &[Value]| rows.iter().map(|row| format!("    {row}\n")).collect::<String>();
    if rows == expected { Ok(()) } else { Err(format!("expected\n{}  but got\n{}", show(&expected), show(&rows))) }
}

#[test]
fn every_golden_case_gives_its_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("the folder of golden cases")
        .map(|entry| entry.expect("a folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 30, "only {} cases", folders.len());
    let name = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let wanted = std::env::var("GOLDEN").unwrap_or_default();
    let failures: Vec<String> = folders
        .iter()
        .filter(|folder| name(folder).contains(&wanted))
        .filter_map(|folder| Some(format!("{}: {}", name(folder), check(folder).err()?)))
        .collect();
    assert!(failures.is_empty(), "{} cases differ\n\n{}", failures.len(), failures.join("\n\n"));
}
