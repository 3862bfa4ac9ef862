//! What the suite holds: `metric.json`, and a folder for each case with `case.json` and `input.ndjson`. Knows nothing of
//! components.

use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tidemark_engine::descriptor::WindowSpec;
use tidemark_engine::memory::MemoryEvent;

/// One metric and its cases.
pub struct Suite {
    pub folder: PathBuf,
    pub metric: String,
    /// In which it is written.
    pub languages: Vec<String>,
    pub cases: Vec<Case>,
}

/// Events, and how they are played.
pub struct Case {
    pub folder: PathBuf,
    pub name: String,
    pub settings: Settings,
    pub events: Vec<MemoryEvent>,
}

/// `case.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the case shows; for who reads it.
    #[serde(rename = "about")]
    _about: String,
    /// Events of a tick.
    pub tick_records: usize,
    /// How far events may come behind the newest.
    #[serde(default)]
    pub bound_ms: i64,
    #[serde(default)]
    pub allowed_lateness_ms: i64,
    /// Instead of the metric's own.
    pub window: Option<WindowSpec>,
    /// The metric's settings.
    #[serde(default)]
    pub config: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Languages {
    languages: Vec<String>,
}

impl Suite {
    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/conformance");
        let suites: Vec<Self> = folders(&root).into_iter().map(Self::read).collect();
        assert!(suites.len() >= 6, "only {} suites", suites.len());
        suites
    }

    /// The one of `metric`.
    pub fn of(metric: &str) -> Self {
        Self::all().into_iter().find(|suite| suite.metric == metric).expect("there is such a suite")
    }

    fn read(folder: PathBuf) -> Self {
        let Languages { languages } = parse(&folder.join("metric.json"), &read(&folder.join("metric.json")));
        let cases: Vec<Case> = folders(&folder).into_iter().map(Case::read).collect();
        assert!(!cases.is_empty(), "{} has no case", folder.display());
        Self { metric: name(&folder), languages, cases, folder }
    }
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let settings = parse(&folder.join("case.json"), &read(&folder.join("case.json")));
        let path = folder.join("input.ndjson");
        let events = read(&path).lines().map(|line| event(parse(&path, line))).collect();
        Self { name: name(&folder), settings, events, folder }
    }
}

/// An event in wire form: its time is the payload's, or the envelope's, a number or a text of one.
fn event(event: Value) -> MemoryEvent {
    let read = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let time = read(&event["data"]["timestamp"]).or_else(|| read(&event["timestamp"]));
    MemoryEvent { time: time.unwrap_or_else(|| panic!("an event has no time: {event}")), event }
}

/// The text of a file; an expectation that is not there is empty.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}: {text}", path.display()))
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
