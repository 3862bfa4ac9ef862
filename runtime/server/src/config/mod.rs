//! The configuration: one TOML file, a few environment variables and options above it, checked whole.
//!
//! Reading it opens no socket and creates nothing. Either every field is sound and a [`Config`] comes out, or a
//! [`Report`] names every mistake with its line. What needs the modules themselves, such as a metric's configuration
//! against its schema, is checked by [`crate::catalogue`] with the positions kept in [`Draft::document`].

pub mod document;
pub mod report;
pub mod section;

pub mod cleanse;
pub mod cluster;
pub mod http;
pub mod job;
mod kafka;
pub mod lineage;
pub mod log;
pub mod metric;
pub mod modules;
pub mod overrides;
pub mod paths;
pub mod schema;
pub mod settings;
pub mod sink;
pub mod source;
pub mod statement;
pub mod suggest;
pub mod window;

use cluster::ClusterSettings;
use document::Document;
use http::HttpSettings;
use job::{CheckpointSettings, DataSettings, EpochSettings, JobSettings, TickSettings, WatermarkSettings};
use lineage::LineageSettings;
use log::LogSettings;
use metric::MetricSettings;
use modules::ModuleSettings;
use overrides::Overrides;
use report::{Mistake, Place, Report};
use section::Reader;
use sink::{ArchiveSettings, SinkSettings};
use source::SourceSettings;
use std::path::{Path, PathBuf};
use tidemark_connectors::cleanse::CleanseSettings;
use tidemark_connectors::sink::clickhouse;
use tidemark_connectors::sink::kafka::KafkaSinkSettings;
use tidemark_engine::DedupSettings;
use tidemark_state::StateSettings;

/// A configuration file larger than this is refused, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Everything that a job needs to know, in the order of the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// What runs.
    pub job: JobSettings,
    /// How several nodes run it together; `None`: one process does.
    pub cluster: Option<ClusterSettings>,
    /// Of a piece of such a job: what it writes for others, and that its tick log decides. Never read from a file.
    pub piece: Option<Piece>,
    /// Where data is kept.
    pub data: DataSettings,
    /// Where events come from.
    pub source: SourceSettings,
    /// How records become events.
    pub cleanse: CleanseSettings,
    /// How repeated events are recognised; `None`: they are kept.
    pub dedup: Option<DedupSettings>,
    /// How far out of order events may be.
    pub watermark: WatermarkSettings,
    /// Which modules may come in.
    pub modules: ModuleSettings,
    /// The metrics.
    pub metrics: Vec<MetricSettings>,
    /// Where rows go.
    pub sinks: SinkSettings,
    /// Whether events are kept.
    pub archive: ArchiveSettings,
    /// The size of ticks.
    pub tick: TickSettings,
    /// The size of epochs.
    pub epoch: EpochSettings,
    /// The distance of checkpoints.
    pub checkpoint: CheckpointSettings,
    /// Memory of state.
    pub state: StateSettings,
    /// Telemetry and health.
    pub http: HttpSettings,
    /// Whom the job tells where its rows come from; `None`: nobody.
    pub lineage: Option<LineageSettings>,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// A piece of a job that several nodes run: its tick log decides between nodes that believe to own it.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// What it writes for other pieces; `None`: nothing.
    pub exchange: Option<KafkaSinkSettings>,
    /// How often the job was taken back to a savepoint: what a node has of its state from before is of a time undone.
    pub taken_back: u64,
}

impl Config {
    /// Refuses what `command` cannot do for a job that several nodes run.
    ///
    /// # Errors
    /// The job has `[cluster]`.
    pub fn refuse_cluster(&self, command: &str) -> Result<(), String> {
        match self.cluster {
            None => Ok(()),
            Some(_) => Err(format!(
                "{command} is about jobs that one process runs, and this one has [cluster]: its pieces have checkpoints of their \
                 own; to compute its rows once more, run the same metrics without [cluster] and under another name"
            )),
        }
    }

    /// Where checkpoints are kept.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.kept_apart().join("checkpoints")
    }

    /// Where the tick log is kept.
    #[must_use]
    pub fn ticks(&self) -> PathBuf {
        self.kept_apart().join("ticks")
    }

    /// Modules by digest, with the checkpoints: whoever restores one finds the modules that its states are of.
    #[must_use]
    pub fn module_store(&self) -> PathBuf {
        self.checkpoints().join("modules")
    }

    /// The folder below which checkpoints and tick log are kept, if not in an object store.
    #[must_use]
    pub fn kept_apart(&self) -> &Path {
        self.checkpoint.dir.as_ref().unwrap_or(&self.data.dir)
    }
}

/// A configuration that was read, together with what is wrong with it. The configuration must not be used before
/// [`Draft::into_config`] gave it out.
#[derive(Debug)]
pub struct Draft {
    config: Config,
    document: Document,
    mistakes: Vec<Mistake>,
}

impl Draft {
    /// Reads `file`, then `environment` and `options` above it. An error means that the file could not be read at all.
    pub fn read(
        file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        options: &Overrides,
    ) -> Result<Self, Report> {
        let text = read_text(file).map_err(|message| {
            let place = Place::File { file: file.to_owned(), line: 1, column: 1 };
            Report::new(vec![Mistake { place, path: String::new(), message }])
        })?;
        Ok(Self::parse(file, &text, environment, options))
    }

    /// The same for a text that was read from `file`.
    #[must_use]
    pub fn parse(file: &Path, text: &str, environment: &dyn Fn(&str) -> Option<String>, options: &Overrides) -> Self {
        let (mut document, mut mistakes) = Document::parse(file, text);
        let syntax_is_sound = mistakes.is_empty();
        overrides::set_fields(&mut document, &options.fields, &mut mistakes);
        let reader = Reader::new(&document, mistakes);
        let mut config = read_sections(&reader, environment);
        let mut mistakes = reader.finish();
        overrides::apply_environment(&mut config, environment, &mut mistakes);
        overrides::apply_options(&mut config, options);
        mistakes.extend(contradictions(&config, &document));
        if !syntax_is_sound {
            // What is missing may only be unreadable: absences are worth telling once the rest can be read.
            mistakes.retain(|mistake| !mistake.message.starts_with("missing: "));
        }
        Self { config, document, mistakes }
    }

    /// The configuration as far as it could be read: for further checks, not for use.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file's values and their positions.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Whether no mistake was found so far.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Adds mistakes found by further checks.
    pub fn add(&mut self, mistakes: impl IntoIterator<Item = Mistake>) {
        self.mistakes.extend(mistakes);
    }

    /// The configuration, if nothing is wrong with it.
    pub fn into_config(self) -> Result<Config, Report> {
        if self.mistakes.is_empty() { Ok(self.config) } else { Err(Report::new(self.mistakes)) }
    }
}

fn read_text(file: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("cannot read the file: {error}");
    let metadata = std::fs::metadata(file).map_err(told)?;
    if !metadata.is_file() {
        return Err("this is not a file: name the TOML file itself".to_owned());
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("the file has {} bytes, more than the {MAX_BYTES} of any configuration", metadata.len()));
    }
    let bytes = std::fs::read(file).map_err(told)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        format!("the file is not UTF-8: look at line {line}")
    })
}

fn read_sections(reader: &Reader<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Config {
    let mut root = reader.root();
    let (dedup, cleanse) = cleanse::read(root.section("cleanse"), reader.file());
    let config_file = reader.file();
    let job = JobSettings::read(root.section("job"));
    let config = Config {
        cluster: ClusterSettings::read(root.section("cluster"), job.key_groups),
        piece: None,
        data: DataSettings::read(root.section("data")),
        source: SourceSettings::read(root.section("source"), config_file, environment),
        cleanse,
        dedup,
        watermark: WatermarkSettings::read(root.section("watermark")),
        modules: ModuleSettings::read(root.section("modules"), environment),
        metrics: MetricSettings::read_all(root.sections("metric"), config_file),
        sinks: SinkSettings::read(root.section("sink"), config_file, environment),
        archive: ArchiveSettings::read(root.section("archive"), job.cleanse),
        tick: TickSettings::read(root.section("tick")),
        epoch: EpochSettings::read(root.section("epoch")),
        checkpoint: CheckpointSettings::read(root.section("checkpoint"), config_file),
        state: job::read_state(root.section("state")),
        http: HttpSettings::read(root.section("http"), environment),
        lineage: LineageSettings::read(root.section("lineage"), environment),
        log: LogSettings::read(root.section("log")),
        job,
    };
    root.finish();
    config
}

/// What no section can see alone.
fn contradictions(config: &Config, document: &Document) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut check = |holds: bool, path: &str, message: &str| {
        if !holds {
            mistakes.push(document.mistake(path, message));
        }
    };
    check(
        !config.http.is_unprotected(),
        "http.listen",
        "is open to other machines without a token: listen on 127.0.0.1, or add `token_env` or `token_file`",
    );
    check(
        !config.archive.enabled || config.sinks.keep_events(),
        "archive.enabled",
        "the archive is kept by the parquet sink, which is turned off, or by a clickhouse sink with `events = true`: \
         write false here, or turn one on",
    );
    let hot = config.sinks.clickhouse.as_ref();
    check(
        hot.is_none_or(|settings| settings.cold.is_none()) || config.sinks.parquet.is_some(),
        "sink.clickhouse.cold",
        "is about the files of the parquet sink, which is turned off: leave it out, or turn that on",
    );
    check(
        config.source.has_input(),
        "source.path",
        "missing: write for example `path = \"events.ndjson\"`, or run with --input PATH",
    );
    kafka::contradictions(config, &mut check);
    cluster::contradictions(config, &mut check);
    for metric in &config.metrics {
        for sink in metric.sinks.iter().flatten() {
            let known = sink::SINKS.contains(&sink.as_str());
            let message = format!("the sink \"{sink}\" is turned off: add `[sink.{sink}]`, or leave it out here");
            check(!known || config.sinks.is_enabled(sink), &format!("{}.sinks", metric.path), &message);
        }
        let goes_there = metric.sinks.as_ref().is_none_or(|sinks| sinks.iter().any(|sink| sink == "clickhouse"));
        if hot.is_some() && goes_there {
            let message = clickhouse::refused_metric_name(&metric.name);
            check(message.is_none(), &format!("{}.name", metric.path), message.as_deref().unwrap_or_default());
        }
    }
    mistakes
}

#[cfg(test)]
mod tests;
