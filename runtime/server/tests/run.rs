//! `tidemark run` and `tidemark generate`: how runs begin, end and go on.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{Run, get, text, tidemark, tidemark_in};

const ARCHIVE: &str = "[job]\nname = \"archive\"\n[source]\nkind = \"file\"\npath = \"events.ndjson\"\n\
                       [tick]\nrecords = 100\n[epoch]\nrecords = 1000\n[checkpoint]\nevery = 2\n";

/// A folder with `job.toml` and `events.ndjson`.
fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("job.toml"), config).expect("written");
    generate(&folder.path().join("events.ndjson"), "3500");
    folder
}

fn generate(file: &Path, events: &str) {
    tidemark(&["generate", "--events", events, "--streams", "20", "--seed", "7", "--out", text(file)]).fine();
}

fn count(folder: &Path, table: &str) -> u64 {
    let run = tidemark_in(folder, &["sql", "--format", "csv", &format!("SELECT count(*) AS n FROM {table}")]).fine();
    run.stdout.lines().nth(1).and_then(|line| line.parse().ok()).expect("a number")
}

/// The binary, running in `folder` with JSON logs.
struct Running {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidemark"))
            .args(arguments)
            .args(["--log-format", "json"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, log }
    }

    /// Reads the log up to the record with this message.
    fn until(&mut self, message: &str) -> serde_json::Value {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).expect("the log is readable");
            assert!(read > 0, "the log ended before \"{message}\":\n{seen}");
            let record: serde_json::Value = serde_json::from_str(&line).expect("every line of the log is JSON");
            if record["message"] == message {
                return record;
            }
            seen.push_str(&line);
        }
    }

    fn signal(&self) {
        let process = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: a system call on numbers; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(process, libc::SIGTERM) }, 0);
    }

    /// Waits for the end.
    fn end(mut self) -> Run {
        let mut stderr = String::new();
        self.log.read_to_string(&mut stderr).expect("the log is readable");
        let code = self.child.wait().expect("it ends").code();
        Run { code, stdout: String::new(), stderr }
    }
}

#[test]
fn the_same_seed_makes_the_same_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    generate(&file("one"), "500");
    generate(&file("two"), "500");
    let bytes = |name: &str| std::fs::read(file(name)).expect("written");
    assert_eq!(bytes("one"), bytes("two"));
    assert_eq!(bytes("one").iter().filter(|byte| **byte == b'\n').count(), 500);
    let printed =
        tidemark(&["generate", "--events", "500", "--streams", "20", "--seed", "8", "--malformed-share", "0"]);
    assert_ne!(printed.fine().stdout.into_bytes(), bytes("one"));
    let wrong = tidemark(&["generate", "--events", "1", "--late-share", "2"]);
    assert_eq!(wrong.code, Some(2), "{wrong:#?}");
}

#[test]
fn a_finished_run_has_nothing_new() {
    let folder = folder(ARCHIVE);
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let (events, dead) = (count(folder.path(), "events"), count(folder.path(), "dead_letters"));
    assert!(events > 3_000 && events + dead <= 3_500, "{events} events, {dead} dead letters");
    let again = tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    assert!(again.stdout.contains("nothing new"), "{again:#?}");
    assert_eq!(count(folder.path(), "events"), events);
}

#[test]
fn another_source_or_another_number_of_key_groups_is_refused() {
    let folder = folder(ARCHIVE);
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let events = count(folder.path(), "events");
    generate(&folder.path().join("other.ndjson"), "100");
    let other = tidemark_in(folder.path(), &["run", "job.toml", "--input", "other.ndjson"]);
    assert_eq!(other.code, Some(1), "{other:#?}");
    assert!(other.stderr.contains("events.ndjson") || other.stderr.contains("other.ndjson"), "{other:#?}");
    std::fs::write(folder.path().join("job.toml"), ARCHIVE.replace("[source]", "key_groups = 8\n[source]"))
        .expect("written");
    let groups = tidemark_in(folder.path(), &["run", "job.toml"]);
    assert_eq!(groups.code, Some(1), "{groups:#?}");
    assert!(groups.stderr.contains("key groups"), "{groups:#?}");
    assert_eq!(count(folder.path(), "events"), events, "nothing may be lost by a refusal");
}

#[test]
fn a_wrong_configuration_creates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("job.toml"), ARCHIVE.replace("records = 100\n", "records = 0\n"))
        .expect("written");
    let run = tidemark_in(folder.path(), &["run", "job.toml"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains("tick.records") && run.stderr.contains("events.ndjson does not exist"), "{run:#?}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn rows_without_a_state_are_never_started_over() {
    let folder = folder(ARCHIVE);
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let events = count(folder.path(), "events");
    for part in ["state", "checkpoints", "ticks"] {
        std::fs::remove_dir_all(folder.path().join("data").join(part)).expect("it was there");
    }
    let run = tidemark_in(folder.path(), &["run", "job.toml"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("rows of an earlier run"), "{run:#?}");
    assert_eq!(count(folder.path(), "events"), events);
}

#[test]
fn an_unknown_fail_point_is_a_mistake() {
    let folder = folder(ARCHIVE);
    let output = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .args(["run", "job.toml"])
        .current_dir(folder.path())
        .env("TIDEMARK_KILL_AT", "engine.epoch.comitted")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_live_job_serves_its_health_and_ends_on_a_signal() {
    let live = "[job]\nname = \"live\"\n[source]\nkind = \"generate\"\npaced_per_second = 2000\n\
                [epoch]\ninterval_ms = 50\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("job.toml"), live).expect("written");
    let mut running = Running::start(folder.path(), &["run", "job.toml"]);
    let address = running.until("serving the API")["address"].as_str().expect("an address").to_owned();
    running.until("running");
    assert!(get(&address, "/healthz").ends_with("ok\n"));
    assert!(get(&address, "/readyz").ends_with("ready\n"));
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("tidemark_source_records_total ") && metrics.contains("tidemark_info{"), "{metrics}");
    let health = |more: &str| tidemark(&["health", "--listen", &address, more]).code;
    assert_eq!((health("--timeout-ms=5000"), health("--ready")), (Some(0), Some(0)));
    running.signal();
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(health("--ready"), Some(1), "nobody is there any more");
    let before = count(folder.path(), "events");
    // It goes on behind what it committed.
    let mut again = Running::start(folder.path(), &["run", "job.toml"]);
    let record = again.until("running");
    assert!(before == 0 || record["epoch"].as_str().is_some_and(|epoch| epoch != "0"), "{record}");
    again.signal();
    assert_eq!(again.end().code, Some(0));
    assert!(count(folder.path(), "events") >= before);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_input_and_the_next_one_goes_on() {
    let folder = folder(ARCHIVE);
    let undisturbed = folder.path().join("undisturbed");
    let events = std::fs::read(folder.path().join("events.ndjson")).expect("written");
    let arguments = ["run", "job.toml", "--input", "-"];
    let whole = run_with_input(folder.path(), &["run", "job.toml", "--input", "-", "--data", "undisturbed"], &events);
    assert_eq!(whole.code, Some(0), "{whole:#?}");

    let mut running = Running::start(folder.path(), &arguments);
    running.until("running");
    let part: usize = events.split_inclusive(|byte| *byte == b'\n').take(1_500).map(<[u8]>::len).sum();
    let mut input = running.child.stdin.take().expect("it is piped");
    input.write_all(&events[..part]).expect("taken");
    running.signal();
    let stopped = running.end();
    assert_eq!(stopped.code, Some(0), "{stopped:#?}");
    drop(input);

    let end = run_with_input(folder.path(), &arguments, &events);
    assert_eq!(end.code, Some(0), "{end:#?}");
    let rows = |data: &PathBuf| {
        let query = "SELECT \"offset\", epoch FROM events ORDER BY 1";
        tidemark(&["sql", "--data", text(data), "--format", "csv", query]).fine().stdout
    };
    assert_eq!(rows(&folder.path().join("data")), rows(&undisturbed));
}

fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut running = Running::start(folder, arguments);
    let mut stdin = running.child.stdin.take().expect("it is piped");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    running.end()
}
