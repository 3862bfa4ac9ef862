//! `[sink.*]` and `[archive]`: where rows go.

use super::paths::beside;
use super::section::{Section, describe};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tidemark_connectors::object_storage::ObjectStoreSettings;
use tidemark_connectors::sink::clickhouse::ClickHouseSettings;
use tidemark_connectors::sink::console::ConsoleSettings;
use tidemark_connectors::sink::kafka::KafkaSinkSettings;
use tidemark_connectors::sink::parquet::ParquetSettings;

/// `[archive]`: whether cleansed events are kept.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// Whether they are.
    pub enabled: bool,
}

impl ArchiveSettings {
    /// `default` is whether they are if nothing is said.
    pub(super) fn read(mut section: Section<'_>, default: bool) -> Self {
        let enabled = section.boolean("enabled").unwrap_or(default);
        section.finish();
        Self { enabled }
    }
}

/// The names of sinks, as `[sink.<name>]` and a metric's `sinks` write them.
pub const SINKS: [&str; 4] = ["parquet", "clickhouse", "console", "kafka"];

/// `[sink]`.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Parquet files; `None`: turned off.
    pub parquet: Option<ParquetSettings>,
    /// Where those files lie, if not below the data folder.
    pub store: Option<ObjectStoreSettings>,
    /// Rows in a ClickHouse database; `None` unless the table is there.
    pub clickhouse: Option<ClickHouseSettings>,
    /// Rows on standard output, one JSON object per line; `None` unless the table is there.
    pub console: Option<ConsoleSettings>,
    /// Records in topics of a Kafka cluster; `None` unless the table is there.
    pub kafka: Option<KafkaSinkSettings>,
}

impl SinkSettings {
    /// `environment` looks variables up that secrets come from; files with secrets are beside `config_file`.
    pub(super) fn read(
        mut section: Section<'_>,
        config_file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let (parquet, store) = read_parquet(section.section("parquet"), config_file);
        let clickhouse = read_clickhouse(section.section("clickhouse"), config_file, environment);
        let console = read_console(section.section("console"));
        let kafka = read_kafka(section.section("kafka"), config_file, environment);
        section.finish();
        Self { parquet, store, clickhouse, console, kafka }
    }

    /// Whether the sink of this name is used.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        match name {
            "parquet" => self.parquet.is_some(),
            "clickhouse" => self.clickhouse.is_some(),
            "console" => self.console.is_some(),
            "kafka" => self.kafka.is_some(),
            _ => false,
        }
    }

    /// One line for each that is used.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let place = self.store.as_ref().map_or_else(String::new, |store| format!(" in {}", store.url));
        let parquet = self.parquet.iter().map(|_| format!("parquet{place}"));
        let clickhouse = self.clickhouse.iter();
        let clickhouse = clickhouse.map(|hot| format!("clickhouse at {}, database {}", hot.url, hot.database));
        let console = self.console.iter().map(|_| "console".to_owned());
        parquet.chain(clickhouse).chain(console).collect()
    }

    /// Whether events of the archive have somewhere to go.
    #[must_use]
    pub fn keep_events(&self) -> bool {
        self.parquet.is_some() || self.clickhouse.as_ref().is_some_and(|clickhouse| clickhouse.events)
    }
}

fn read_parquet(
    mut section: Section<'_>,
    config_file: &Path,
) -> (Option<ParquetSettings>, Option<ObjectStoreSettings>) {
    let enabled = section.boolean("enabled").unwrap_or(true);
    let mut store = read_store(&mut section, config_file);
    let patience = section.integer("keep_replaced_s", 0..=7 * 86_400);
    match (patience, &mut store) {
        (Some(seconds), Some(store)) => store.keep_replaced_s = seconds.unsigned_abs(),
        (Some(_), None) => section.mistake("keep_replaced_s", "is about an object store: add its `url`"),
        (None, _) => {}
    }
    let settings: ParquetSettings = section.rest();
    section.mistakes(settings.mistakes());
    if enabled { (Some(settings), store) } else { (None, None) }
}

/// `url` and what belongs to it: a place in an object store. `None` without a URL.
pub(super) fn read_store(section: &mut Section<'_>, config_file: &Path) -> Option<ObjectStoreSettings> {
    let settings = ObjectStoreSettings {
        url: section.text("url").unwrap_or_default(),
        options: read_options(section),
        credentials_file: section.text("credentials_file").map(|file| beside(config_file, file)),
        ..ObjectStoreSettings::default()
    };
    if !section.has("url") {
        for name in ["options", "credentials_file"] {
            if section.has(name) {
                section.mistake(name, "is about an object store: add its `url`, as in `url = \"s3://bucket/prefix\"`");
            }
        }
    }
    if settings.url.is_empty() {
        return None;
    }
    let mistakes = settings.mistakes();
    if mistakes.is_empty() {
        // Unknown options, credentials that cannot be read: nothing is connected yet.
        section.mistakes(settings.check().err().map(|error| format!("url: {error}")));
    }
    section.mistakes(mistakes);
    Some(settings)
}

/// Options of the store by their own names. Numbers and truth values are texts to it.
fn read_options(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    match section.value("options") {
        None => {}
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) => options.insert(name.clone(), text.clone()),
                    Value::Bool(_) | Value::Number(_) => options.insert(name.clone(), value.to_string()),
                    other => {
                        let message = format!("must be a text, not {}", describe(other));
                        section.mistake(&format!("options.{name}"), message);
                        None
                    }
                };
            }
        }
        Some(other) => section.mistake("options", format!("must be a table, not {}", describe(other))),
    }
    options
}

fn read_clickhouse(
    mut section: Section<'_>,
    config_file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<ClickHouseSettings> {
    // The table alone turns it on.
    let enabled = section.boolean("enabled").unwrap_or(section.present());
    if section.value("password").is_some() {
        let message = "a password has no place in this file: name its origin, `password_file` or `password_env`";
        section.mistake("password", message);
    }
    let mut settings: ClickHouseSettings = section.rest();
    section.mistakes(settings.mistakes());
    if section.has("password_file") && section.has("password_env") {
        section.mistake("password_file", "the password has two origins: keep either `password_file` or `password_env`");
    }
    if section.has("password_env") && environment(&settings.password_env).is_none() {
        let name = &settings.password_env;
        section.mistake("password_env", format!("the environment has no variable {name}: set it to the password"));
    }
    if let Some(file) = &mut settings.password_file {
        *file = beside(config_file, &*file);
        check_readable(&section, "password_file", file);
    }
    enabled.then_some(settings)
}

fn check_readable(section: &Section<'_>, name: &str, file: &Path) {
    if let Err(error) = std::fs::File::open(file) {
        section.mistake(name, format!("cannot read {}: {error}", file.display()));
    }
}

fn read_console(mut section: Section<'_>) -> Option<ConsoleSettings> {
    // The table alone turns it on: who writes `[sink.console]` wants to see rows.
    let enabled = section.boolean("enabled").unwrap_or(section.present());
    let settings = section.rest();
    enabled.then_some(settings)
}

fn read_kafka(
    mut section: Section<'_>,
    config_file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<KafkaSinkSettings> {
    if !section.boolean("enabled").unwrap_or(section.present()) {
        return None;
    }
    let mut settings: KafkaSinkSettings = section.rest();
    settings.properties.files_beside(&beside(config_file, ""));
    section.mistakes(settings.mistakes());
    section.mistakes(settings.properties.missing("properties", environment));
    Some(settings)
}

#[cfg(test)]
mod tests {
    use crate::config::Draft;
    use crate::config::overrides::Overrides;
    use std::path::Path;

    const JOB: &str = "[job]\nname = \"test\"\n[source]\nkind = \"stdin\"\n";

    fn mistakes(folder: &Path, sinks: &str) -> Vec<String> {
        let environment = |name: &str| (name == "HOT").then(|| "open sesame".to_owned());
        let draft =
            Draft::parse(&folder.join("job.toml"), &format!("{JOB}{sinks}"), &environment, &Overrides::default());
        let Err(report) = draft.into_config() else { return Vec::new() };
        let place = format!("{}/", folder.display());
        report.mistakes().iter().map(|mistake| mistake.to_string().replace(&place, "")).collect()
    }

    #[test]
    fn both_stores_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("keys"), "access_key_id = me\nsecret_access_key = sesame\n")
            .expect("written");
        let sinks = "[sink.clickhouse]\nurl = \"http://hot:8123\"\npassword_env = \"HOT\"\nttl_days = 30\n\
                     roll_ups = { enabled = false }\n[sink.clickhouse.cold]\nnamed_collection = \"cold\"\n\
                     [sink.parquet]\nurl = \"s3://cold/job\"\ncredentials_file = \"keys\"\nzstd_level = 3\n\
                     options = { endpoint = \"http://minio:9000\", allow_http = true }\n\
                     [checkpoint]\nurl = \"s3://cold/checkpoints\"\ncredentials_file = \"keys\"\n";
        assert_eq!(mistakes(folder.path(), sinks), Vec::<String>::new());
        let text = format!("{JOB}{sinks}");
        let environment = |name: &str| (name == "HOT").then(|| "open sesame".to_owned());
        let draft = Draft::parse(&folder.path().join("job.toml"), &text, &environment, &Overrides::default());
        let config = draft.into_config().expect("sound");
        assert_eq!(
            config.sinks.describe(),
            ["parquet in s3://cold/job", "clickhouse at http://hot:8123, database tidemark"]
        );
        assert!(!format!("{config:?}").contains("sesame"));
        assert_eq!(config.checkpoint.store.expect("it has a URL").url, "s3://cold/checkpoints");
    }

    #[test]
    fn every_mistake_about_a_store_has_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let sinks = "[sink.clickhouse]\nurl = \"http://me:sesame@hot\"\npassword = \"sesame\"\n\
                     password_env = \"COLD\"\ntll_days = 3\n[sink.clickhouse.cold]\n\
                     [sink.parquet]\nurl = \"s4://cold\"\n\
                     options = { secret_access_key = \"sesame\", region = [] }\n\
                     [checkpoint]\ncredentials_file = \"keys\"\nevery = 0\n\
                     [[metric]]\nname = \"a--b\"\nmodule = \"a.wasm\"\n";
        let found = mistakes(folder.path(), sinks);
        let expected = [
            "job.toml:6:1: sink.clickhouse.url: must hold no credentials",
            "job.toml:7:1: sink.clickhouse.password: a password has no place in this file",
            "job.toml:8:1: sink.clickhouse.password_env: the environment has no variable COLD",
            "job.toml:9:1: sink.clickhouse.tll_days: unknown field; did you mean `ttl_days`?",
            "job.toml:10:18: sink.clickhouse.cold: needs either url or named_collection",
            "job.toml:12:1: sink.parquet.url: ",
            "job.toml:13:13: sink.parquet.options.secret_access_key: is a credential",
            "job.toml:13:43: sink.parquet.options.region: must be a text, not a list",
            "job.toml:15:1: checkpoint.credentials_file: is about an object store",
            "job.toml:16:1: checkpoint.every: must be from 1",
            "job.toml:18:1: metric[0].name: the metric a--b cannot have a table in ClickHouse",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nshould start with\n{expected}");
            assert!(!found.contains("sesame"), "{found}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_read_are_told_before_anything_starts() {
        let folder = tempfile::tempdir().expect("a folder");
        let sinks = "[sink.clickhouse]\npassword_file = \"none\"\n[sink.parquet]\nurl = \"s3://cold\"\n\
                     credentials_file = \"none\"\n[archive]\nenabled = true\n";
        let found = mistakes(folder.path(), sinks);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("job.toml:6:1: sink.clickhouse.password_file: cannot read none"), "{found:#?}");
        assert!(found[1].starts_with("job.toml:8:1: sink.parquet.url: cannot read the secret in none"), "{found:#?}");
        let only_hot = "[sink.clickhouse]\nevents = false\n[sink.parquet]\nenabled = false\n";
        assert!(mistakes(folder.path(), only_hot)[0].contains("archive.enabled"));
        assert!(mistakes(folder.path(), &only_hot.replace("events = false", "events = true")).is_empty());
    }
}
