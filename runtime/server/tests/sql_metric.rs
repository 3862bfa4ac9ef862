//! Metrics of `kind = "sql"`, through the real binary: their rows are those of the Wasm metric, their mistakes are told
//! before anything starts, and the documentation's examples run.

mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::{Run, text, tidemark, tidemark_in, workspace};

/// The issue's statement, and one that is null where the Wasm metric is.
const JITTER: &str = r#"
[[metric]]
name = "plain-jitter"
kind = "sql"
sql = """
SELECT stream_id, STDDEV_POP(fps) / AVG(fps) AS jitter
FROM events
WHERE type = 'ai_stream_status'
GROUP BY stream_id, TUMBLE(event_time, INTERVAL '1 minute')
"""
[metric.columns]
stream_id = "data.stream_id"
fps = "data.inference_status.fps"

[[metric]]
name = "even-jitter"
kind = "sql"
version = "2.3.4"
sql = """
SELECT COUNT(fps) AS samples, COUNT(fps) FILTER (WHERE fps = 0) AS zero_samples, AVG(fps) AS mean_fps,
       CASE WHEN COUNT(fps) >= 2 THEN STDDEV_POP(fps) / NULLIF(AVG(fps), 0) END AS jitter
FROM events
WHERE type = 'ai_stream_status'
GROUP BY data.stream_id, TUMBLE(event_time, INTERVAL '1' MINUTE)
"""
columns = { fps = "data.inference_status.fps" }
"#;

/// Both statements beside the Wasm metric.
fn beside_wasm(bound_ms: u32) -> String {
    let module = support::job::metrics_folder().join("jitter-coefficient.wasm");
    format!(
        "[source]\nkind = \"file\"\npath = \"events.ndjson\"\n[watermark]\nbound_ms = {bound_ms}\n\
         [tick]\nrecords = 1000\n[archive]\nenabled = false\n\
         [[metric]]\nname = \"jitter-coefficient\"\nmodule = \"{}\"\n{JITTER}",
        module.display()
    )
}

fn rows(folder: &Path, query: &str) -> Vec<Value> {
    let run = tidemark_in(folder, &["sql", "--format", "json", query]).fine();
    serde_json::from_str(&run.stdout).expect("an array of rows")
}

fn number(folder: &Path, query: &str) -> i64 {
    rows(folder, query)[0]["n"].as_i64().expect("a number")
}

/// The cells of a table of windows, by key and window. Floats are written with the fewest digits that mean them alone:
/// two texts are equal if and only if every bit is.
fn windows(folder: &Path, table: &str, columns: &str) -> Vec<Vec<String>> {
    let query = format!("SELECT key, to_unixtime(window_start) AS start, {columns} FROM {table} ORDER BY key, start");
    let run = tidemark_in(folder, &["sql", "--format", "csv", &query]).fine();
    run.stdout.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Compares both statements with the module, bit for bit; how many windows there are, and how many of them have a
/// jitter.
fn compare(folder: &Path) -> (usize, usize) {
    let columns = "samples, zero_samples, mean_fps, jitter";
    let wasm = windows(folder, "jitter_coefficient", columns);
    assert_eq!(wasm, windows(folder, "even_jitter", columns));
    let plain = windows(folder, "plain_jitter", "stream_id, jitter");
    assert_eq!(plain.len(), wasm.len());
    let mut compared = 0;
    for (wasm, plain) in wasm.iter().zip(&plain) {
        assert_eq!((&plain[..2], &plain[2]), (&wasm[..2], &wasm[0]));
        // Where the module has none, for one sample or a mean of zero, the plain statement has 0 or NaN.
        if !wasm[5].is_empty() {
            assert_eq!(plain[3], wasm[5], "{wasm:?}");
            compared += 1;
        }
    }
    (wasm.len(), compared)
}

#[test]
fn rows_equal_those_of_the_module_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = folder.path().join("events.ndjson");
    // Disorder, duplicates and malformed records are the generator's; the bound is too small for some of its late rows.
    let arguments = ["generate", "--events", "150000", "--streams", "60", "--seed", "11", "--late-share", "0.02"];
    tidemark(&[&arguments[..], &["--out", text(&events)]].concat()).fine();
    std::fs::write(folder.path().join("job.toml"), beside_wasm(5_000)).expect("written");
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let late = |metric: &str| {
        let query = format!("SELECT count(*) AS n FROM dead_letters WHERE reason = 'late' AND metric = '{metric}'");
        number(folder.path(), &query)
    };
    assert!(late("jitter-coefficient") > 0, "some rows come too late");
    assert_eq!(late("even-jitter"), late("jitter-coefficient"));
    assert_eq!(late("plain-jitter"), late("jitter-coefficient"));
    let (windows, compared) = compare(folder.path());
    assert!(windows > 1_000 && compared > 1_000, "{windows} windows, {compared} with jitter");
}

#[test]
fn the_known_answers_of_a_real_session() {
    let capture = workspace().join("../shared/data/livepeer/session_db936fab.jsonl");
    if !capture.is_file() {
        eprintln!("SKIPPED: the captures are not here: {} does not exist", capture.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("job.toml"), beside_wasm(40_000)).expect("written");
    tidemark_in(folder.path(), &["run", "job.toml", "--input", text(&capture)]).fine();
    assert_eq!(compare(folder.path()), (3, 3));
    let windows = rows(
        folder.path(),
        "SELECT to_unixtime(window_start) * 1000 AS start, samples, mean_fps, jitter FROM even_jitter ORDER BY 1",
    );
    let expected = [
        (1_767_908_940_000_i64, 5, 0.003_851_967_805_226_269_3),
        (1_767_909_000_000, 6, 0.036_713_806_186_002_01),
        (1_767_909_060_000, 6, 0.166_461_441_819_055_3),
    ];
    for (window, (start, samples, jitter)) in windows.iter().zip(expected) {
        assert_eq!((&window["start"], &window["samples"]), (&json!(start), &json!(samples)));
        let found = window["jitter"].as_f64().expect("a number");
        assert!((found - jitter).abs() <= 1e-12 * jitter, "{found} is not {jitter}");
    }
    let mean = windows[0]["mean_fps"].as_f64().expect("a number");
    assert!((mean - 17.189_625_700_588_834).abs() <= 1e-11, "{mean}");
}

#[test]
fn rows_say_what_made_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = folder.path().join("events.ndjson");
    tidemark(&["generate", "--events", "3000", "--streams", "10", "--seed", "3", "--out", text(&events)]).fine();
    let config = format!("[source]\nkind = \"file\"\npath = \"events.ndjson\"\n{JITTER}");
    std::fs::write(folder.path().join("job.toml"), config).expect("written");
    let shown = tidemark_in(folder.path(), &["module", "inspect", "job.toml"]).fine().stdout;
    let digests: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("digest    sha256:")).collect();
    assert_eq!(digests.len(), 2, "{shown}");
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let provenance =
        |table: &str| rows(folder.path(), &format!("SELECT DISTINCT module, version, digest FROM {table}"));
    let row = |module, version, digest| json!({ "module": module, "version": version, "digest": digest });
    assert_eq!(provenance("plain_jitter"), [row("plain-jitter", "1.0.0", digests[0])]);
    assert_eq!(provenance("even_jitter"), [row("even-jitter", "2.3.4", digests[1])]);
    for line in [
        "metric    plain-jitter 1.0.0",
        "key       data.stream_id",
        "window    tumbling, 1 min",
        "filter    type is ai_stream_status",
        "  keep  count, mean and squares of data.inference_status.fps:DOUBLE",
        "  emit  jitter = (STDDEV_POP(data.inference_status.fps:DOUBLE) / AVG(data.inference_status.fps:DOUBLE))",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nis not in\n{shown}");
    }
}

/// The examples of the documentation, one configuration.
fn documented() -> String {
    let text = std::fs::read_to_string(workspace().join("docs/sql-metrics.md")).expect("the documentation");
    let blocks = text.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    format!("[source]\nkind = \"file\"\npath = \"events.ndjson\"\n{}", blocks.collect::<String>())
}

#[test]
fn the_examples_of_the_documentation_and_the_shipped_one_give_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = folder.path().join("events.ndjson");
    tidemark(&["generate", "--events", "60000", "--streams", "40", "--seed", "5", "--out", text(&events)]).fine();
    std::fs::write(folder.path().join("documented.toml"), documented()).expect("written");
    let shipped = workspace().join("examples/livepeer/sql-metrics.toml");
    for (config, metrics) in [
        (
            "documented.toml",
            &["stream_jitter", "even_jitter", "degraded_share", "request_traces", "swaps", "worst_jitter"][..],
        ),
        (text(&shipped), &["stream_jitter", "worst_jitter", "degraded_share", "request_traces", "swaps"]),
    ] {
        let data = folder.path().join(if config == "documented.toml" { "one" } else { "two" });
        tidemark_in(folder.path(), &["validate", config]).fine();
        tidemark_in(folder.path(), &["run", config, "--data", text(&data)]).fine();
        for metric in metrics {
            let query = format!("SELECT count(*) AS n FROM {metric}");
            let run = tidemark(&["sql", "--data", text(&data), "--format", "json", &query]).fine();
            let found: Vec<Value> = serde_json::from_str(&run.stdout).expect("rows");
            assert!(found[0]["n"].as_i64() > Some(0), "{config}: {metric} has no rows");
        }
    }
}

fn refused(config: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("job.toml"), config).expect("written");
    let Run { code, stderr, .. } = tidemark_in(folder.path(), &["validate", "job.toml"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing was started");
    stderr.lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn every_mistake_is_told_with_both_of_its_places() {
    let config = r#"[source]
kind = "file"
path = "events.ndjson"
[[metric]]
name = "one"
kind = "sql"
window = { kind = "tumbling", size_ms = 60_000 }
sql = """
SELECT LN(fps) AS a,
       MEDIAN(fps) AS b
FROM events ORDER BY 1
"""
[[metric]]
name = "two"
kind = "sql"
version = "new"
sql = """
SELECT fps / 2 AS half,
       nothing AS other
FROM events WHERE type = 'metric.thre' GROUP BY stream_id, TUMBLE(event_time, INTERVAL '1' MINUTE)
"""
[metric.columns]
fps = { path = "data.fps", type = "double" }
stream_id = "stream_id"
unknown = 5
[[metric]]
name = "three"
kind = "sql"
sql = "SELECT MAX(x) AS x FROM four GROUP BY key, TUMBLE(event_time, INTERVAL '1' HOUR)"
[[metric]]
name = "four"
kind = "sql"
key = "data.x"
sql = "SELECT MAX(x) AS x FROM three GROUP BY key, TUMBLE(event_time, INTERVAL '1' HOUR)"
[[metric]]
name = "five"
kind = "sql"
[[metric]]
name = "six"
sql = "SELECT id FROM events"
[[metric]]
name = "seven"
kind = "sql"
key = "data.x"
sql = "SELECT COUNT(*) AS n FROM events WHERE enrich.fees.x > 1 GROUP BY id, TUMBLE(event_time, INTERVAL '1' HOUR)"
"#;
    let expected = [
        "job.toml:7:1: metric[0].window: does not go with `kind = \"sql\"`: GROUP BY names its window; leave it out",
        "job.toml:8:1: metric[0].sql: line 3, column 22: ORDER BY is not supported",
        "job.toml:16:1: metric[1].version: \"new\" is not a version",
        "job.toml:17:1: metric[1].sql: line 1, column 8: fps is neither grouped by nor aggregated",
        "job.toml:17:1: metric[1].sql: line 2, column 8: there is no column nothing",
        "job.toml:23:28: metric[1].columns.fps.type: must be one of boolean, integer, float, text, json",
        "job.toml:24:1: metric[1].columns.stream_id: \"stream_id\" is not an event path",
        "job.toml:25:1: metric[1].columns.unknown: must be a path in quotes",
        "job.toml:29:1: metric[2].sql: reads its own rows, over three, four",
        "job.toml:34:1: metric[3].sql: reads its own rows, over four, three",
        "job.toml:35:1: metric[4].sql: missing: write for example",
        "job.toml:40:1: metric[5].sql: a metric with a statement has `kind = \"sql\"`",
        "job.toml:44:1: metric[6].key: GROUP BY names the key: leave it out",
        "job.toml:45:1: metric[6].sql: reads enrich.fees.x, but no lookup table is named fees",
    ];
    let lines = refused(config);
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould start with\n{expected}\n{lines:#?}");
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
}

#[test]
fn a_metric_that_is_not_there_cannot_be_read() {
    let config = "[source]\nkind = \"file\"\npath = \"e\"\n[[metric]]\nname = \"a\"\nkind = \"sql\"\n\
                  sql = \"SELECT COUNT(*) AS n FROM events WHERE type = 'metric.b' GROUP BY id, TUMBLE(event_time, INTERVAL '1' HOUR)\"\n";
    let lines = refused(config);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("job.toml:7:1: metric[0].sql: reads rows of a metric \"b\", which is not here"),
        "{lines:#?}"
    );
}

#[test]
fn a_kill_changes_no_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = folder.path().join("events.ndjson");
    tidemark(&["generate", "--events", "20000", "--streams", "30", "--seed", "9", "--out", text(&events)]).fine();
    let config = format!(
        "[source]\nkind = \"file\"\npath = \"events.ndjson\"\n[watermark]\nbound_ms = 40000\n[tick]\nrecords = 500\n\
         [epoch]\nrecords = 2000\n[checkpoint]\nevery = 2\n{}",
        documented().split_once("[[metric]]").map(|(_, metrics)| format!("[[metric]]{metrics}")).expect("metrics")
    );
    std::fs::write(folder.path().join("job.toml"), config).expect("written");
    let tables = ["stream_jitter", "even_jitter", "degraded_share", "request_traces", "swaps", "worst_jitter"];
    let all = |data: &str| {
        tables.map(|table| {
            let query = format!("SELECT * FROM {table} ORDER BY row_id");
            tidemark_in(folder.path(), &["sql", "--data", data, "--format", "json", &query]).fine().stdout
        })
    };
    tidemark_in(folder.path(), &["run", "job.toml", "--data", "calm"]).fine();
    for point in ["engine.epoch.prepared:2", "engine.epoch.committed:2", "engine.tick.done:7"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidemark"))
            .args(["run", "job.toml", "--data", "killed"])
            .current_dir(folder.path())
            .env("TIDEMARK_KILL_AT", point)
            .output()
            .expect("starts");
        assert!(!output.status.success(), "it was killed at {point}");
    }
    tidemark_in(folder.path(), &["run", "job.toml", "--data", "killed"]).fine();
    assert_eq!(all("killed"), all("calm"));
}
