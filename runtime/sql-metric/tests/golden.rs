//! Golden cases: every folder of `tests/golden` has statements (`config.toml`), what comes in (`input.ndjson`) and what
//! must come out (`expected.ndjson`, written by hand).
//!
//! Each line of the input makes one tick, so `tick` in the expectations is the number of the line that brought the row
//! out; one more tick ends the input.

mod common;
#[path = "../../engine/tests/support/mod.rs"]
mod support;

use common::{definition, metric};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::World;
use support::script::{Line, ScriptSource, parse};
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::memory::Row;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::output::TableKind;
use tidemark_engine::{Engine, Step};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// How far events may come behind the newest of their partition.
    #[serde(default)]
    bound_ms: i64,
    metrics: Vec<CaseMetric>,
    /// The metrics after a restart, if others.
    restarted: Option<Vec<CaseMetric>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseMetric {
    name: String,
    sql: String,
    #[serde(default)]
    columns: BTreeMap<String, CaseColumn>,
    #[serde(default)]
    allowed_lateness_ms: i64,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseColumn {
    path: String,
    #[serde(rename = "type")]
    kind: Option<ColumnType>,
}

/// Each may read those above it.
fn specs(metrics: &[CaseMetric]) -> Vec<MetricSpec> {
    let mut known = BTreeMap::new();
    let mut specs = Vec::new();
    for case in metrics {
        let columns: Vec<common::Column<'_>> =
            case.columns.iter().map(|(name, column)| (name.as_str(), column.path.as_str(), column.kind)).collect();
        let mut spec = metric(&definition(&case.name, &case.sql, &columns), &known, case.allowed_lateness_ms);
        if let Some(key) = &case.key {
            spec.key.clone_from(key);
        }
        known.insert(case.name.clone(), spec.output.clone());
        specs.push(spec);
    }
    specs
}

impl Case {
    /// Plays the input; a line `{"restart": true}` kills the engine and opens another one.
    fn play(&self, lines: &[Value]) -> Vec<Value> {
        let world = World::new(Vec::new());
        let runs: Vec<&[Value]> = lines.split(|line| line["restart"] == json!(true)).collect();
        let mut script: Vec<Line> = Vec::new();
        for (number, lines) in runs.iter().enumerate() {
            let (from, last) = (script.len(), number + 1 == runs.len());
            script.extend(lines.iter().map(parse));
            let metrics = if number == 0 { &self.metrics } else { self.restarted.as_ref().unwrap_or(&self.metrics) };
            let mut parts = world.parts(specs(metrics), no_hook(), &Arc::default());
            parts.source = Box::new(ScriptSource::new(1, script.clone(), from, last));
            parts.settings.tick.records = 1;
            parts.settings.tick.interval = Duration::ZERO;
            parts.settings.tick.idle_after = None;
            parts.settings.epoch_interval = Duration::ZERO;
            parts.settings.watermark_bound_ms = self.bound_ms;
            parts.settings.archive = false;
            parts.settings.dedup = None;
            let mut engine = Engine::open(parts).expect("opens");
            while engine.step().expect("steps") == Step::Ticked {}
        }
        world.sink.rows().iter().map(shown).collect()
    }
}

/// A row without what is the same in every case, and without its nulls.
fn shown((kind, row): &Row) -> Value {
    let mut out = Map::new();
    // Every tick is an epoch of its own.
    out.insert("tick".to_owned(), row["epoch"].clone());
    if *kind == TableKind::DeadLetters {
        for name in ["reason", "detail", "metric", "key"] {
            out.insert(name.to_owned(), row[name].clone());
        }
        return Value::Object(out);
    }
    if let TableKind::Metric(name) = kind {
        out.insert("of".to_owned(), json!(name));
    }
    let common = ["epoch", "row_id", "module", "version", "digest", "config_digest", "event_time"];
    for (name, value) in row.as_object().into_iter().flatten() {
        if !common.contains(&name.as_str()) && !value.is_null() {
            out.insert(name.clone(), value.clone());
        }
    }
    Value::Object(out)
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}: {error}: {line}"))).collect()
}

/// Rows as they are compared: an expected detail is the beginning of the real one.
fn differs(expected: &[Value], rows: &[Value]) -> bool {
    let same = |expected: &Value, row: &Value| {
        let (mut expected, mut row) = (expected.clone(), row.clone());
        let detail = |value: &mut Value| value.as_object_mut().and_then(|row| row.remove("detail"));
        let (begin, whole) = (detail(&mut expected), detail(&mut row));
        let begin = begin.as_ref().and_then(Value::as_str).unwrap_or_default();
        expected == row && whole.as_ref().and_then(Value::as_str).unwrap_or_default().starts_with(begin)
    };
    expected.len() != rows.len() || !expected.iter().zip(rows).all(|(expected, row)| same(expected, row))
}

fn check(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("config.toml")).expect("a configuration");
    let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let rows = case.play(&read_lines(&folder.join("input.ndjson")));
    let expected = read_lines(&folder.join("expected.ndjson"));
    let show = |rows: &[Value]| rows.iter().map(|row| format!("    {row}\n")).collect::<String>();
    differs(&expected, &rows).then(|| format!("expected\n{}  but got\n{}", show(&expected), show(&rows)))
}

#[test]
fn every_golden_case_gives_its_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folders = std::fs::read_dir(&root).expect("the folder of golden cases");
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.expect("a folder").path()).collect();
    folders.sort();
    assert!(folders.len() >= 14, "only {} cases", folders.len());
    let name = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failures: Vec<String> =
        folders.iter().filter_map(|folder| Some(format!("{}: {}", name(folder), check(folder)?))).collect();
    assert!(failures.is_empty(), "{} cases differ\n\n{}", failures.len(), failures.join("\n\n"));
}
