//! The known answers of real captures, through the shipped configuration and the real binary.

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{text, tidemark, workspace};

/// The captures, where they are.
fn captures() -> Option<PathBuf> {
    let folder = workspace().join("../shared/data/livepeer");
    if !folder.is_dir() {
        eprintln!("SKIPPED: the captures are not here: {} does not exist", folder.display());
        return None;
    }
    Some(folder)
}

/// The data folder of a run over one capture.
struct Session(tempfile::TempDir);

impl Session {
    fn of(capture: &Path) -> Self {
        Self::with(&workspace().join("examples/livepeer/tidemark.toml"), capture)
    }

    fn with(config: &Path, capture: &Path) -> Self {
        support::job::metrics_folder();
        let folder = tempfile::tempdir().expect("a folder");
        tidemark(&["run", text(config), "--input", text(capture), "--data", text(folder.path())]).fine();
        Self(folder)
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        let run = tidemark(&["sql", "--data", text(self.0.path()), "--format", "json", query]).fine();
        serde_json::from_str(&run.stdout).expect("an array of rows")
    }
}

#[track_caller]
fn assert_close(value: &Value, expected: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
}

#[test]
fn a_whole_session() {
    let Some(captures) = captures() else { return };
    let session = Session::of(&captures.join("session_db936fab.jsonl"));
    let first_frame = session.rows("SELECT key, latency_ms, matched FROM prompt_to_first_frame");
    assert_eq!(first_frame, [json!({ "key": "db936fab", "latency_ms": 2655, "matched": true })]);
    let startup = session.rows(
        "SELECT startup_latency_ms, prompt_to_playable_ms, e2e_latency_ms FROM startup_latency WHERE key = 'db936fab'",
    );
    let expected = json!({ "startup_latency_ms": 4089, "prompt_to_playable_ms": 6744, "e2e_latency_ms": 105 });
    assert_eq!(startup, [expected]);
    let latency = session.rows("SELECT latency_ms, matched FROM e2e_latency WHERE key = 'db936fab'");
    assert_eq!(latency, [json!({ "latency_ms": 105, "matched": true })]);
    let outcome = session.rows("SELECT outcome, swaps FROM startup_outcome WHERE key = 'db936fab'");
    assert_eq!(outcome, [json!({ "outcome": "success", "swaps": 0 })]);
}

#[test]
fn payments_are_exact() {
    let Some(captures) = captures() else { return };
    let session = Session::of(&captures.join("session_db936fab.jsonl"));
    let payments = session.rows("SELECT payments, tickets, face_value_wei, tickets_value_wei FROM payments");
    let expected = json!({
        "payments": 6, "tickets": 7, "face_value_wei": "14404800000000000", "tickets_value_wei": "16807200000000000",
    });
    assert_eq!(payments, [expected]);
}

#[test]
fn the_jitter_of_a_session() {
    let Some(captures) = captures() else { return };
    let session = Session::of(&captures.join("session_db936fab.jsonl"));
    let windows = session.rows(
        "SELECT to_unixtime(window_start) * 1000 AS start, samples, mean_fps, jitter FROM jitter_coefficient ORDER BY 1",
    );
    let expected = [
        (1_767_908_940_000_i64, 5, Some(17.189_625_700_588_834), 0.003_851_967_805_226_269_3),
        (1_767_909_000_000, 6, None, 0.036_713_806_186_002_01),
        (1_767_909_060_000, 6, None, 0.166_461_441_819_055_3),
    ];
    assert_eq!(windows.len(), expected.len(), "{windows:?}");
    for (window, (start, samples, mean, jitter)) in windows.iter().zip(expected) {
        assert_eq!((&window["start"], &window["samples"]), (&json!(start), &json!(samples)));
        assert_close(&window["jitter"], jitter);
        mean.into_iter().for_each(|mean| assert_close(&window["mean_fps"], mean));
    }
}

#[test]
fn a_deployment_chooses_the_window() {
    let Some(captures) = captures() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hourly.toml");
    let module = support::job::metrics_folder().join("jitter-coefficient.wasm");
    let toml = format!(
        "[source]\nkind = \"file\"\n[[metric]]\nname = \"hourly-jitter\"\nmodule = \"{}\"\n\
         window = {{ kind = \"tumbling\", size_ms = 3_600_000 }}\n",
        module.display()
    );
    std::fs::write(&config, toml).expect("written");
    let session = Session::with(&config, &captures.join("session_db936fab.jsonl"));
    let windows = session.rows("SELECT samples, mean_fps, jitter, module FROM hourly_jitter");
    assert_eq!(windows.len(), 1, "{windows:?}");
    assert_eq!((&windows[0]["samples"], &windows[0]["module"]), (&json!(17), &json!("jitter-coefficient")));
    assert_close(&windows[0]["mean_fps"], 15.999_951_534_393_75);
    assert_close(&windows[0]["jitter"], 0.116_318_819_751_304_88);
}

#[test]
fn a_session_with_a_swap() {
    let Some(captures) = captures() else { return };
    let session = Session::of(&captures.join("session_bd1cd871_swap.jsonl"));
    let first_frame = session.rows("SELECT latency_ms, matched FROM prompt_to_first_frame WHERE key = 'bd1cd871'");
    assert_eq!(first_frame, [json!({ "latency_ms": 10777, "matched": true })]);
    let startup = session.rows("SELECT e2e_latency_ms, swapped FROM startup_latency WHERE key = 'bd1cd871'");
    assert_eq!(startup, [json!({ "e2e_latency_ms": null, "swapped": true })]);
    let latency = session.rows("SELECT latency_ms, matched FROM e2e_latency WHERE key = 'bd1cd871'");
    assert_eq!(latency, [json!({ "latency_ms": null, "matched": true })]);
    let outcome = session.rows("SELECT outcome, swaps FROM startup_outcome WHERE key = 'bd1cd871'");
    assert_eq!(outcome, [json!({ "outcome": "success", "swaps": 1 })]);
}

#[test]
fn a_request_that_nobody_took() {
    let Some(captures) = captures() else { return };
    let session = Session::of(&captures.join("session_a06463a9_no_orchestrator.jsonl"));
    let first_frame = session.rows("SELECT latency_ms, matched FROM prompt_to_first_frame WHERE key = 'a06463a9'");
    assert_eq!(first_frame, [json!({ "latency_ms": null, "matched": false })]);
    let startup = session.rows("SELECT requested, first_frame FROM startup_latency WHERE key = 'a06463a9'");
    assert_eq!(startup, [json!({ "requested": true, "first_frame": false })]);
    let outcome = session.rows("SELECT outcome FROM startup_outcome WHERE key = 'a06463a9'");
    assert_eq!(outcome, [json!({ "outcome": "no-orchestrator" })]);
    assert!(session.rows("SELECT key FROM e2e_latency WHERE key = 'a06463a9'").is_empty());
}
