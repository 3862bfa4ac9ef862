//! `tidemark test FILE.wasm`: a shipped metric on events, without a server.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use support::job::{TIDEMARK, metrics_folder};
use support::{Run, text, tidemark};
use tempfile::TempDir;

/// A minute in November 2023.
const MINUTE: i64 = 1_700_000_040_000;

/// Events and expectations in a folder of their own.
struct Case(TempDir);

impl Case {
    fn new(events: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("events.ndjson"), events).expect("written");
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn test(&self, more: &[&str]) -> Run {
        let (module, events) = (metrics_folder().join("jitter-coefficient.wasm"), self.file("events.ndjson"));
        tidemark(&[&["test", text(&module), "--input", text(&events)], more].concat())
    }

    fn expecting(&self, more: &[&str]) -> Run {
        self.test(&[&["--expect", text(&self.file("rows.ndjson"))], more].concat())
    }
}

fn status(after_ms: i64, stream: &str, fps: &str) -> String {
    format!(
        "{{\"type\": \"ai_stream_status\", \"timestamp\": {}, \"data\": {{\"stream_id\": \"{stream}\", \
         \"inference_status\": {{\"fps\": {fps}}}}}}}\n",
        MINUTE + after_ms
    )
}

/// Two streams in one minute, and one of them in the next.
fn events() -> String {
    [status(0, "a", "20"), status(1_000, "a", "30"), status(2_000, "b", "24"), status(61_000, "a", "25")].concat()
}

#[test]
fn rows_are_printed_where_none_are_expected() {
    let run = Case::new(&events()).test(&[]).fine();
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{run:#?}");
    let end = MINUTE + 60_000;
    let common = format!("\"window_start\":{MINUTE},\"window_end\":{end},\"event_time\":{}", end - 1);
    let own =
        "\"samples\":2,\"zero_samples\":0,\"mean_fps\":25.0,\"jitter\":0.2,\"orchestrator\":null,\"pipeline\":null";
    assert_eq!(rows[0], format!("{{\"key\":\"a\",{common},{own}}}"));
    for part in ["4 events, 4 of them for the metric", "ok       a fresh instance", "ok       merging is associative"] {
        assert!(run.stderr.contains(part), "{part} in {run:#?}");
    }
}

#[test]
fn golden_rows_are_kept_compared_and_told_apart() {
    let case = Case::new(&events());
    let absent = case.expecting(&[]);
    assert_eq!(absent.code, Some(1), "{absent:#?}");
    assert!(absent.stderr.contains("--update keeps them there"), "{absent:#?}");
    case.expecting(&["--update"]).fine();
    let same = case.expecting(&[]).fine();
    assert!(same.stderr.contains("3 rows, as in"), "{same:#?}");

    let rows = fs::read_to_string(case.file("rows.ndjson")).expect("written");
    fs::write(case.file("rows.ndjson"), rows.replacen("\"samples\":2", "\"samples\":3", 1)).expect("written");
    let other = case.expecting(&[]);
    assert_eq!(other.code, Some(1), "{other:#?}");
    for part in ["line 1 (key \"a\"):", "`samples`: expected 3, got 2", "events of this key and window: lines 1, 2"] {
        assert!(other.stderr.contains(part), "{part} in {other:#?}");
    }
}

#[test]
fn watermark_lines_say_when_time_passes() {
    let end = MINUTE + 60_000;
    let late = format!(
        "{}{{\"watermark\": {end}}}\n{}{}",
        status(0, "a", "20"),
        status(1_000, "a", "30"),
        status(61_000, "a", "25")
    );
    let run = Case::new(&late).test(&[]).fine();
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert!(rows[0].contains("\"samples\":1"), "{run:#?}");
    assert!(rows[1].starts_with("{\"dead_letter\":\"late\",\"line\":3,"), "{run:#?}");
    assert_eq!(rows.len(), 3, "{run:#?}");

    let run = Case::new(&late).test(&["--lateness-ms", "60000"]).fine();
    let samples: Vec<bool> = run.stdout.lines().map(|row| row.contains("\"samples\":2")).collect();
    assert_eq!(samples, [false, true, false], "it fires again for the late row: {run:#?}");
}

#[test]
fn a_field_that_does_not_read_as_its_type_is_named_with_its_line() {
    let run = Case::new(&[status(0, "a", "20"), status(1_000, "a", "\"fast\"")].concat()).test(&[]).fine();
    let note = "note: line 2: `data.inference_status.fps` is \"fast\", which is no number: read as null";
    assert!(run.stderr.contains(note), "{run:#?}");
}

#[test]
fn a_filter_that_nothing_passes_is_told() {
    let run =
        Case::new("{\"type\": \"ai_stream_stats\", \"timestamp\": 1700000040000, \"data\": {}}\n").test(&[]).fine();
    for part in ["1 event, 0 of them for the metric", "no event passes the filter", "ai_stream_stats (1)"] {
        assert!(run.stderr.contains(part), "{part} in {run:#?}");
    }
}

#[test]
fn a_broken_line_is_a_dead_letter_with_its_number() {
    let run = Case::new(&format!("{}\n{{\"type\": \n", events())).test(&[]).fine();
    assert!(run.stdout.contains("{\"dead_letter\":\"broken_json\",\"line\":6"), "{run:#?}");
}

#[test]
fn fuel_is_the_same_each_time() {
    let fuel = || {
        let run = Case::new(&events()).test(&["--measure"]).fine();
        let line = run.stderr.lines().find(|line| line.contains(" fuel, ")).expect("it is told").to_owned();
        assert!(run.stderr.contains("ns a row"), "{run:#?}");
        line
    };
    assert_eq!(fuel(), fuel());
}

#[test]
fn a_configuration_that_a_module_refuses_is_told_in_its_words() {
    let run = Case::new(&events()).test(&["--config", "{\"no_such\": 1}"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("refuses its configuration"), "{run:#?}");
}

/// A process that is ended with the test, also when that fails.
struct Watching(std::process::Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watching_tests_again_on_a_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("jitter-coefficient.wasm");
    fs::copy(metrics_folder().join("jitter-coefficient.wasm"), &module).expect("copied");
    let golden = folder.path().join("golden");
    fs::create_dir(&golden).expect("a folder");
    fs::write(golden.join("events.ndjson"), events()).expect("written");
    fs::write(golden.join("rows.ndjson"), "").expect("written");
    let mut child = Command::new(TIDEMARK)
        .args(["test", text(&module), "--watch"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let _watching = Watching(child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    // Generous: it only ends a test that would never end.
    let wait_for = |part: &str| loop {
        let line = receiver.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| panic!("no line with `{part}`"));
        if line.contains(part) {
            break;
        }
    };
    wait_for("not expected: ");
    wait_for("watching");
    keep_rows(&module);
    wait_for("3 rows, as in");
    wait_for("passed");
}

fn keep_rows(module: &Path) {
    tidemark(&["test", text(module), "--update"]).fine();
}
