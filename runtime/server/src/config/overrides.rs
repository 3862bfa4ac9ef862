//! What environment and command line set instead of the file.
//!
//! Any field of a table can be set by a variable that spells its path: `TIDEMARK__SINK__CLICKHOUSE__URL` is
//! `sink.clickhouse.url`. It is put into the document before that is read, so every check of the file holds for it. The
//! few short names of [`VARIABLES`] stand above that, and options of the command line above everything.

use super::document::Document;
use super::http::parse_listen;
use super::job::MAX_WORKERS;
use super::log::{LEVELS, LogFormat};
use super::report::{Mistake, Place};
use super::{Config, suggest::nearest};
use std::ffi::OsString;
use std::path::PathBuf;

/// How the name of a variable begins that spells the path of a field. Two underscores lead one table deeper.
const FIELD: &str = "TIDEMARK__";

/// The environment variables, each with what it replaces.
pub const VARIABLES: [(&str, &str); 6] = [
    ("TIDEMARK_DATA_DIR", "data.dir"),
    ("TIDEMARK_INPUT", "source.path"),
    ("TIDEMARK_WORKERS", "job.workers"),
    ("TIDEMARK_HTTP_LISTEN", "http.listen"),
    ("TIDEMARK_LOG_LEVEL", "log.level"),
    ("TIDEMARK_LOG_FORMAT", "log.format"),
];

/// Options of the command line; they win over the environment, which wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--input`.
    pub input: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--workers`.
    pub workers: Option<usize>,
    /// `--log-level`.
    pub log_level: Option<&'static str>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// Variables of the environment that spell the path of a field, with their values.
    pub fields: Vec<(String, String)>,
}

impl Overrides {
    /// With those variables of the environment that spell the path of a field. An empty one sets nothing.
    #[must_use]
    pub fn with_fields(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let texts = variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let texts = texts.filter(|(name, value)| name.starts_with(FIELD) && !value.is_empty());
        self.fields = texts.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect();
        self.fields.sort();
        self
    }
}

/// Puts the fields that variables spell into the document.
pub(super) fn set_fields(document: &mut Document, fields: &[(String, String)], mistakes: &mut Vec<Mistake>) {
    for (variable, value) in fields {
        let path = variable.strip_prefix(FIELD).unwrap_or(variable).to_ascii_lowercase();
        let segments: Vec<&str> = path.split("__").collect();
        if let Err(message) = document.set(&segments, value, variable) {
            let place = Place::Environment(variable.clone().into());
            mistakes.push(Mistake { place, path: segments.join("."), message });
        }
    }
}

/// Applies the environment to `config`.
pub(super) fn apply_environment(
    config: &mut Config,
    environment: &dyn Fn(&str) -> Option<String>,
    mistakes: &mut Vec<Mistake>,
) {
    for (variable, path) in VARIABLES {
        let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { continue };
        if let Err(message) = set(config, path, &value) {
            mistakes.push(Mistake { place: Place::Environment(variable.into()), path: path.to_owned(), message });
        }
    }
}

/// Applies the command line to `config`.
pub(super) fn apply_options(config: &mut Config, options: &Overrides) {
    if let Some(input) = &options.input {
        config.source.read_from(input.clone());
    }
    if let Some(data) = &options.data {
        config.data.dir.clone_from(data);
    }
    if let Some(workers) = options.workers {
        config.job.workers = workers;
    }
    if let Some(level) = options.log_level {
        config.log.level = level;
    }
    if let Some(format) = options.log_format {
        config.log.format = format;
    }
}

fn set(config: &mut Config, path: &str, value: &str) -> Result<(), String> {
    match path {
        "data.dir" => config.data.dir = PathBuf::from(value),
        "source.path" => config.source.read_from(PathBuf::from(value)),
        "job.workers" => config.job.workers = parse_workers(value)?,
        "http.listen" => config.http.listen = Some(parse_listen(value)?),
        "log.level" => config.log.level = parse_level(value)?,
        _ => config.log.format = parse_format(value)?,
    }
    Ok(())
}

/// A number of workers.
pub fn parse_workers(value: &str) -> Result<usize, String> {
    let workers = value.parse().ok().filter(|workers| (1..=MAX_WORKERS as usize).contains(workers));
    workers.ok_or_else(|| format!("must be a whole number from 1 to {MAX_WORKERS}, not \"{value}\""))
}

/// One of [`LEVELS`].
pub fn parse_level(value: &str) -> Result<&'static str, String> {
    let known = LEVELS.into_iter().find(|level| *level == value);
    known.ok_or_else(|| one_of(value, &LEVELS))
}

/// A form of log lines.
pub fn parse_format(value: &str) -> Result<LogFormat, String> {
    let known = LogFormat::NAMES.into_iter().find(|(name, _)| *name == value);
    known.map(|(_, format)| format).ok_or_else(|| one_of(value, &LogFormat::NAMES.map(|(name, _)| name)))
}

fn one_of(value: &str, words: &[&'static str]) -> String {
    let hint =
        nearest(value, words.iter().copied()).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    format!("must be one of {}, not \"{value}\"{hint}", words.join(", "))
}
