//! Configurations with mistakes, and the lines that the report has for them.

use super::metric::ModuleOrigin;
use super::*;

const SOUND: &str = r#"
[job]
name = "test"
[source]
kind = "file"
path = "events.ndjson"
"#;

fn draft(text: &str) -> Draft {
    Draft::parse(Path::new("folder/job.toml"), text, &|_| None, &Overrides::default())
}

fn mistakes(text: &str) -> Vec<String> {
    match draft(text).into_config() {
        Ok(_) => Vec::new(),
        Err(report) => report.mistakes().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_small_configuration_is_enough() {
    let config = draft(SOUND).into_config().expect("sound");
    assert_eq!(config.job.key_groups.count(), 64);
    assert_eq!(config.data.dir, Path::new("./data"));
    assert!(config.archive.enabled && config.sinks.parquet.is_some() && config.sinks.console.is_none());
    assert!(config.http.listen.is_none(), "nothing listens unless asked");
}

#[test]
fn a_call_may_be_given_more_time_without_a_word_of_fuel() {
    let metric =
        |limits: &str| format!("{SOUND}[[metric]]\nname = \"a\"\nmodule = \"a.wasm\"\nlimits = {{ {limits} }}\n");
    assert_eq!(mistakes(&metric("call_time_ms = 2_000")), Vec::<String>::new());
    assert_eq!(mistakes(&metric("call_time_ms = 2_000, verdict_fuel = 1_000")).len(), 1);
}

#[test]
fn every_mistake_has_its_line() {
    let text = r#"
[job]
name = "Test"
key_gruops = 64
workers = 0
[source]
kind = "fiel"
[watermark]
bound_ms = "5 s"
[cleanse]
event_tiem = ["timestamp"]
[cleanse.dedup]
max_ids = -1
[[metric]]
name = "a"
module = "a.wasm"
window = { kind = "tumbling", size_ms = 0 }
key = "fps"
[[metric]]
name = "a"
sinks = ["parket"]
[http]
listen = "0.0.0.0:9464"
"#;
    assert_eq!(
        mistakes(text),
        [
            "folder/job.toml:3:1: job.name: \"Test\" is not a name: use lower-case letters, digits and hyphens, starting \
             with a letter, at most 64 of them",
            "folder/job.toml:4:1: job.key_gruops: unknown field; did you mean `key_groups`?",
            "folder/job.toml:5:1: job.workers: must be from 1 to 256, not 0",
            "folder/job.toml:7:1: source.kind: must be one of \"file\", \"stdin\", \"generate\", \"kafka\", not \"fiel\"; \
             did you mean \"file\"?",
            "folder/job.toml:9:1: watermark.bound_ms: must be a whole number from 0 to 604800000, not \"5 s\"",
            "folder/job.toml:11:1: cleanse.event_tiem: unknown field; did you mean `event_time`?",
            "folder/job.toml:13:1: cleanse.dedup.max_ids: must be from 1 to 4294967296, not -1",
            "folder/job.toml:17:31: metric[0].window.size_ms: must be from 1 to 315360000000, not 0",
            "folder/job.toml:18:1: metric[0].key: \"fps\" is not an event path: it must start with one of id, type, \
             timestamp, gateway, data, enrich, as in \"data.fps\"",
            "folder/job.toml:19:1: metric[1].module: missing: write for example `module = \
             \"modules/jitter-coefficient.wasm\"`",
            "folder/job.toml:20:1: metric[1].name: a metric \"a\" stands above already: choose another name",
            "folder/job.toml:21:1: metric[1].sinks: there is no sink \"parket\"; did you mean \"parquet\"?",
            "folder/job.toml:23:1: http.listen: is open to other machines without a token: listen on 127.0.0.1, or add \
             `token_env` or `token_file`",
        ]
    );
}

#[test]
fn filters_may_be_written_with_and_without_quotes() {
    let text = format!(
        "{SOUND}\n[[metric]]\nname = \"m\"\nmodule = \"m.wasm\"\n[metric.filter]\ntype = \"a\"\ndata.type = [\"b\", \"c\"]\n\
         \"data.stream_id\" = true\n"
    );
    let config = draft(&text).into_config().expect("sound");
    let filter = config.metrics[0].filter.as_ref().expect("a filter");
    let paths: Vec<&str> = filter.0.keys().map(String::as_str).collect();
    assert_eq!(paths, ["data.stream_id", "data.type", "type"]);
    assert_eq!(config.metrics[0].module, ModuleOrigin::File("folder/m.wasm".into()), "beside the configuration");
}

#[test]
fn environment_and_options_stand_above_the_file() {
    let environment = |name: &str| match name {
        "TIDEMARK_DATA_DIR" => Some("from-environment".to_owned()),
        "TIDEMARK_WORKERS" => Some("many".to_owned()),
        "TIDEMARK_LOG_LEVEL" => Some("debug".to_owned()),
        _ => None,
    };
    let options = Overrides { data: Some("from-option".into()), ..Overrides::default() };
    let draft = Draft::parse(Path::new("job.toml"), SOUND, &environment, &options);
    assert_eq!(draft.config().data.dir, Path::new("from-option"));
    assert_eq!(draft.config().log.level, "debug");
    let report = draft.into_config().expect_err("a wrong variable").to_string();
    assert!(report.contains("environment variable TIDEMARK_WORKERS: job.workers: must be a whole number"), "{report}");
}

#[test]
fn any_field_can_be_set_by_a_variable_that_spells_its_path() {
    let variables = [
        ("TIDEMARK__DATA__DIR", "from-field"),
        ("TIDEMARK__EPOCH__INTERVAL_MS", "250"),
        ("TIDEMARK__ARCHIVE__ENABLED", "false"),
        ("TIDEMARK__CLEANSE__EVENT_TIME", "[\"data.timestamp\"]"),
        ("TIDEMARK__SOURCE__PATH", "events = here.ndjson"),
        ("TIDEMARK__JOB__NAME", ""),
        ("TIDEMARK_LOG_LEVEL", "debug"),
    ];
    let options = Overrides::default().with_fields(variables.map(|(name, value)| (name.into(), value.into())));
    let config =
        Draft::parse(Path::new("job.toml"), SOUND, &|_| None, &options).into_config().expect("sound with them");
    assert_eq!(config.data.dir, Path::new("from-field"));
    assert_eq!(config.epoch.interval_ms, 250);
    assert!(!config.archive.enabled);
    assert_eq!(config.source.to_string(), "file events = here.ndjson");
    assert_eq!(config.job.name, "test", "an empty variable sets nothing");

    // The short names stand above them.
    let environment = |name: &str| (name == "TIDEMARK_DATA_DIR").then(|| "from-short-name".to_owned());
    let draft = Draft::parse(Path::new("job.toml"), SOUND, &environment, &options);
    assert_eq!(draft.config().data.dir, Path::new("from-short-name"));
}

#[test]
fn a_wrong_variable_is_named_in_the_report() {
    let variables = [
        ("TIDEMARK__JOB__WORKERS", "none"),
        ("TIDEMARK__HTTP__LITSEN", "127.0.0.1:1"),
        ("TIDEMARK__METRIC__WINDOW", "1"),
        ("TIDEMARK__JOB____NAME", "x"),
    ];
    let options = Overrides::default().with_fields(variables.map(|(name, value)| (name.into(), value.into())));
    let text = format!("{SOUND}\n[[metric]]\nname = \"a\"\nmodule = \"a.wasm\"\n");
    let report = Draft::parse(Path::new("job.toml"), &text, &|_| None, &options).into_config().expect_err("mistakes");
    let lines: Vec<String> = report.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "environment variable TIDEMARK__HTTP__LITSEN: http.litsen: unknown field; did you mean `listen`?",
            "environment variable TIDEMARK__JOB__WORKERS: job.workers: must be a whole number from 1 to 256, not \"none\"",
            "environment variable TIDEMARK__JOB____NAME: job..name: the name spells no path: write for example \
             TIDEMARK__HTTP__LISTEN",
            "environment variable TIDEMARK__METRIC__WINDOW: metric.window: `metric` is no table: only fields of tables \
             can be set by a variable",
        ]
    );
}

#[test]
fn a_token_opens_other_addresses_and_is_never_shown() {
    let text = format!("{SOUND}[http]\nlisten = \"0.0.0.0:1\"\ntoken_env = \"T\"\n");
    let with = |token: &'static str| {
        let environment = move |name: &str| (name == "T").then(|| token.to_owned());
        Draft::parse(Path::new("job.toml"), &text, &environment, &Overrides::default()).into_config()
    };
    let config = with("a-secret-of-some-length").expect("sound");
    assert!(!format!("{config:?}").contains("secret-of"));
    let report = with("tiny").expect_err("too short").to_string();
    assert!(report.contains("http.token_env") && !report.contains("tiny"), "{report}");
}

#[test]
fn a_mistake_of_syntax_does_not_hide_the_others() {
    let found = mistakes("[job]\nname = \nkey_gruops = 1\n[source]\nkind = \"stdin\"\n");
    assert!(found.iter().any(|line| line.contains(":2:") && line.contains("not TOML")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("key_gruops")), "{found:?}");
}

#[track_caller]
fn assert_mistakes(text: &str, expected: &[&str]) {
    let found = mistakes(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, expected) in found.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould start with\n{expected}");
    }
}

#[test]
fn every_mistake_about_kafka_has_its_line() {
    let text = r#"
[source]
kind = "kafka"
topics = ["events", "a b"]
start = "committed"
until = "tomorrow"
discover_ms = 5
[source.properties]
group.id = "g"
"sasl.password_env" = "NOT_SET"
ssl.ca.location = ["a"]
[epoch]
interval_ms = 70_000
[sink.kafka]
brokers = ["localhost:9092"]
transaction_timeout_ms = 120_000
[sink.kafka.metrics]
topic = "rows of {metric}"
[sink.kafka.properties]
acks = 1
"ssl.key.password_file" = "not-there"
"#;
    assert_mistakes(
        text,
        &[
            "folder/job.toml:2:2: source: brokers: name at least one",
            "folder/job.toml:4:1: source.topics: \"a b\" is no name of a topic",
            "folder/job.toml:5:1: source.start: \"committed\" needs `group`",
            "folder/job.toml:6:1: source.until: \"tomorrow\" is not one of the words for it",
            "folder/job.toml:7:1: source.discover_ms: ",
            "folder/job.toml:9:7: source.properties.group.id: set `group` instead",
            "folder/job.toml:10:1: source.properties.sasl.password_env: the environment has no variable NOT_SET",
            "folder/job.toml:11:1: source.properties.ssl: must be a text",
            "folder/job.toml:16:1: sink.kafka.transaction_timeout_ms: ",
            "folder/job.toml:18:1: sink.kafka.metrics.topic: \"rows of x\" is no name of a topic",
            "folder/job.toml:20:1: sink.kafka.properties.acks: ",
            "folder/job.toml:21:1: sink.kafka.properties.ssl.key.password_file: cannot read folder/not-there",
        ],
    );
}

#[test]
fn jobs_fit_what_they_read_and_write() {
    let kafka = "[source]\nkind = \"kafka\"\nbrokers = [\"a:1\"]\ntopics = [\"t\"]\n";
    let config = draft(&format!("[job]\njobs = [\"metrics\"]\n{kafka}")).into_config().expect("sound");
    assert!(!config.job.cleanse && config.job.metrics && !config.archive.enabled);
    assert!(draft(&format!("[job]\njobs = [\"cleanse\"]\n{kafka}")).into_config().expect("sound").archive.enabled);
    assert_mistakes(
        &format!("[job]\njobs = [\"metrics\"]\n{}", SOUND.replace("[job]\nname = \"test\"\n", "")),
        &["folder/job.toml:2:1: job.jobs: metrics alone read the topic"],
    );
    assert_mistakes(
        &format!("[job]\njobs = [\"cleanse\"]\n{kafka}[archive]\nenabled = false\n"),
        &["folder/job.toml:2:1: job.jobs: cleansing alone would write nothing"],
    );
    assert_mistakes(
        &format!("{kafka}[sink.kafka]\nbrokers = [\"a:1\"]\nevents = {{ topic = \"t\" }}\n"),
        &["folder/job.toml:7:12: sink.kafka.events.topic: is what the source reads"],
    );
}
