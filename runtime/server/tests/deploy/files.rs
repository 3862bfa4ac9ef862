//! The files themselves.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use test_tools::{Tools, succeed};

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it exists")
}

/// A file's text.
pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML file.
pub fn yaml(tools: &Tools, path: &str) -> Vec<Value> {
    serde_json::from_str(&tools.yaml_to_json(&root().join(path))).expect("a list of documents")
}

/// The compose file as Docker Compose reads it, every profile included.
pub fn compose(tools: &Tools) -> Value {
    let mut compose = tools.docker_compose();
    compose.current_dir(root()).args(["--profile", "*", "config", "--format", "json"]);
    serde_json::from_str(&succeed(&mut compose)).expect("JSON")
}

/// A list of texts.
pub fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The dashboards, with the names of their files.
pub fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join("deploy/grafana/dashboards");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("it exists").map(|entry| entry.expect("reads").path()).collect();
    files.sort();
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), json(file))).collect()
}

/// The panels of a dashboard that ask something, each with its targets.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter(|panel| panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()))
}
