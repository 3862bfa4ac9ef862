//! Rows that were written, derived again from the archive: bit for bit the same, late rows, joins, keys, swaps, kills and
//! other numbers of workers included, wherever the events came from.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::job::{Job, TIDEMARK, metrics_folder};
use support::kafka::{Bench, by_orchestrator};
use support::live::{disguised, sql};
use support::{text, tidemark};
use test_kafka::outside::fresh;

fn count(report: &str, what: &str) -> u64 {
    let line =
        report.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap_or_else(|| panic!("{what} in {report}"));
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{what} in {report}"))
}

#[test]
fn every_row_that_can_be_derived_is_as_it_was() {
    let job = Job::new();
    let data = job.fresh_data("verified");
    for kill_at in ["engine.epoch.logged:3", "sink.finalise.partial:2"] {
        job.run(&data, Some(kill_at));
    }
    let run = job.run(&data, None);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (config, data) = (job.config(), data.to_str().expect("UTF-8").to_owned());
    let config = config.to_str().expect("UTF-8");
    let mut equal = 0;
    for metric in ["startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"] {
        let verified = tidemark(&["verify", config, "--data", &data, "--metric", metric]).fine().stdout;
        for none in ["different", "missing", "not derived"] {
            assert_eq!(count(&verified, none), 0, "{verified}");
        }
        equal += count(&verified, "equal");
    }
    assert!(equal > 100, "{equal} rows can be derived");
}

const METRICS: [&str; 5] =
    ["prompt-to-first-frame", "startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"];

/// Derives all rows of a metric again, and expects each to be as it was. Returns how many there are.
#[track_caller]
fn assert_whole(config: &Path, data: &Path, metric: &str) -> u64 {
    let verified =
        tidemark(&["verify", text(config), "--data", text(data), "--metric", metric, "--whole"]).fine().stdout;
    for none in ["different", "missing", "not derived", "not derivable"] {
        assert_eq!(count(&verified, none), 0, "{verified}");
    }
    let view = metric.replace('-', "_");
    let rows = sql(data, &format!("SELECT count(*) AS rows FROM {view}"))[0]["rows"].as_u64();
    assert_eq!(Some(count(&verified, "equal")), rows, "{verified}");
    count(&verified, "equal")
}

/// A configuration like that of `job`, without checkpoints, and with an allowed lateness; with another module if wanted.
fn configuration(job: &Job, module: Option<&Path>) -> PathBuf {
    let original = fs::read_to_string(job.config()).expect("readable");
    let own = metrics_folder().join("jitter-coefficient.wasm");
    let own = format!("module = \"{}\"\n", own.display());
    let module = module.map_or_else(|| own.clone(), |module| format!("module = {module:?}\n"));
    let changed = original
        .replace("[checkpoint]\nevery = 2\n", "[checkpoint]\nevery = 1000000\n")
        // A merged file would keep the job from going back to a savepoint within it.
        .replace("compaction = { files = 3,", "compaction = { files = 256,")
        .replace(&own, &format!("{module}allowed_lateness_ms = 3600000\n"));
    assert!(changed.contains("allowed_lateness_ms") && changed.contains("1000000"), "{changed}");
    let file = job.config().with_file_name(fresh("whole") + ".toml");
    fs::write(&file, changed).expect("written");
    file
}

fn run(config: &Path, data: &Path, workers: &str, kill_at: Option<&str>) -> Output {
    let mut command = Command::new(TIDEMARK);
    command
        .arg("run")
        .arg(config)
        .arg("--data")
        .arg(data)
        .env_remove("TIDEMARK_KILL_AT")
        .env("TIDEMARK_WORKERS", workers);
    kill_at.map(|point| command.env("TIDEMARK_KILL_AT", point));
    let output = command.output().expect("starts");
    let killed = output.status.code().is_none();
    assert_eq!(killed, kill_at.is_some(), "{kill_at:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Late rows, windows that fire again, a swap, kills, and other numbers of workers: after a restart, and after going back to a
/// savepoint.
#[test]
fn the_whole_of_an_eventful_run_is_as_it_was() {
    let job = Job::new();
    for seed in ["1", "2"] {
        let file = job.config().with_file_name("input").join(format!("{seed}.ndjson"));
        fs::remove_file(&file).expect("it was there");
        let arguments = ["generate", "--events", "20000", "--streams", "40", "--late-share", "0.03", "--seed", seed];
        tidemark(&[&arguments[..], &["--out", text(&file)]].concat()).fine();
    }
    let data = job.fresh_data("whole");
    let other = job.config().with_file_name("other.wasm");
    let module = fs::read(metrics_folder().join("jitter-coefficient.wasm")).expect("a module");
    fs::write(&other, disguised(&module, 7)).expect("written");
    let (before, swapped) = (configuration(&job, None), configuration(&job, Some(&other)));
    run(&before, &data, "1", Some("engine.epoch.finalised:3"));
    tidemark(&["savepoint", "create", "here", text(&before), "--data", text(&data)]).fine();
    run(&before, &data, "2", Some("engine.epoch.logged:2"));
    run(&before, &data, "2", Some("engine.epoch.committed:2"));
    tidemark(&["savepoint", "restore", "here", text(&before), "--data", text(&data)]).fine();
    run(&before, &data, "3", Some("sink.finalise.partial:2"));
    run(&swapped, &data, "2", Some("engine.epoch.prepared:3"));
    run(&swapped, &data, "1", None);

    let number = |query: &str| sql(&data, query)[0]["n"].as_u64().expect("a number");
    assert!(number("SELECT count(*) AS n FROM dead_letters WHERE reason = 'late'") > 0, "rows come late");
    assert!(number("SELECT count(*) - count(DISTINCT row_id) AS n FROM jitter_coefficient") > 0, "windows fire again");
    assert_eq!(number("SELECT count(DISTINCT digest) AS n FROM jitter_coefficient"), 2, "the module was swapped");
    let equal: u64 = METRICS.iter().map(|metric| assert_whole(&swapped, &data, metric)).sum();
    assert!(equal > 500, "{equal} rows");
}

/// A job of metrics alone has neither what lookup tables added nor how far event time has come from the events: its archive
/// and its tick log have both.
#[test]
fn rows_of_cleansed_events_are_as_they_were() {
    let Some(broker) = test_kafka::shared("verify::rows_of_cleansed_events_are_as_they_were") else { return };
    let bench = Bench::new(broker.address());
    let input = bench.input("6000", &[]);
    let by_table = by_orchestrator();
    let between = fresh("verified");
    let cleansing = format!(
        "[job]\nname = \"{between}\"\njobs = [\"cleanse\"]\n[epoch]\nrecords = 2000\n{}{}\
         events = {{ topic = \"{between}\", key = \"data.stream_id\" }}\n{by_table}",
        bench.source(&[&input.topic]),
        bench.bare_sink()
    );
    bench.run(&bench.config(&cleansing, &METRICS), &bench.data(), None).fine();
    let metrics = format!(
        "[job]\nname = \"{}\"\njobs = [\"metrics\"]\n[epoch]\nrecords = 2000\n[checkpoint]\nevery = 1000000\n\
         [archive]\nenabled = true\n[sink.parquet]\n{}{by_table}",
        fresh("metrics"),
        bench.source(&[&between]),
    );
    let (config, data) = (bench.config(&metrics, &METRICS), bench.data());
    run(&config, &data, "1", Some("engine.epoch.logged:3"));
    run(&config, &data, "2", None);
    for metric in METRICS.into_iter().chain(["by-orchestrator"]) {
        let equal = assert_whole(&config, &data, metric);
        assert!(equal > 10, "{metric}: {equal} rows");
    }
}
