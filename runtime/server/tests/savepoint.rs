//! Savepoints and replays with the real binary: a job goes back to a savepoint and comes to the same files, and rows that
//! are derived again into another folder are those that were written.

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::job::{TIDEMARK, fail_points, metrics_folder, output_tree};
use support::{Run, text, tidemark, tidemark_dies, tidemark_in};

/// A job of a few epochs, with an archive.
struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        Self::of("8000")
    }

    fn of(count: &str) -> Self {
        let job = Self { folder: tempfile::tempdir().expect("a folder") };
        let events = job.folder.path().join("events.ndjson");
        tidemark(&["generate", "--events", count, "--streams", "20", "--out", text(&events)]).fine();
        let metrics = metrics_folder();
        let metric = |name: &str| {
            format!("[[metric]]\nname = \"{name}\"\nmodule = {:?}\n", metrics.join(format!("{name}.wasm")))
        };
        let config = format!(
            "[source]\nkind = \"file\"\npath = \"events.ndjson\"\n[watermark]\nbound_ms = 40000\n[archive]\nenabled = true\n\
             [tick]\nrecords = 100\n[epoch]\nrecords = 1000\n[checkpoint]\nevery = 2\n{}",
            ["jitter-coefficient", "prompt-to-first-frame"].map(metric).concat()
        );
        fs::write(job.folder.path().join("job.toml"), config).expect("written");
        job.run("undisturbed", None, "1").fine();
        job
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, data: &str, kill_at: Option<&str>, workers: &str) -> Run {
        let mut command = Command::new(TIDEMARK);
        command.args(["run", "job.toml", "--data", data]).current_dir(self.folder.path());
        command.env("TIDEMARK_WORKERS", workers).env_remove("TIDEMARK_KILL_AT");
        kill_at.map(|point| command.env("TIDEMARK_KILL_AT", point));
        let output = command.output().expect("the binary starts");
        Run::from(output)
    }

    /// `tidemark savepoint` on the folder `data`.
    fn savepoint(&self, data: &str, arguments: &[&str]) -> Run {
        tidemark_in(self.folder.path(), &[&["savepoint"], arguments, &["job.toml", "--data", data]].concat())
    }

    /// The same job, with its input on standard input and an API: `fed.toml`.
    fn to_be_fed(&self) {
        let config = fs::read_to_string(self.data("job.toml")).expect("readable");
        let fed = config.replace("kind = \"file\"\npath = \"events.ndjson\"", "kind = \"stdin\"");
        // What is left of a merged file is no file of an undisturbed run.
        let more = "[http]\nlisten = \"127.0.0.1:0\"\n[sink.parquet]\ncompaction = { files = 0 }\n";
        fs::write(self.data("fed.toml"), format!("{more}{fed}")).expect("written");
    }

    fn fed(&self, data: &str, workers: &str) -> Command {
        let mut command = Command::new(TIDEMARK);
        command.args(["run", "fed.toml", "--data", data, "--log-format", "json"]).current_dir(self.folder.path());
        command.env("TIDEMARK_WORKERS", workers).env_remove("TIDEMARK_KILL_AT");
        command
    }

    fn feed_whole(&self, data: &str, workers: &str) -> Run {
        let events = File::open(self.data("events.ndjson")).expect("opens");
        Run::from(self.fed(data, workers).stdin(events).output().expect("the binary starts"))
    }

    #[track_caller]
    fn assert_undisturbed(&self, data: &str) {
        self.assert_same(data, "undisturbed");
    }

    #[track_caller]
    fn assert_same(&self, data: &str, other: &str) {
        let (found, expected) = (output_tree(&self.data(data)), output_tree(&self.data(other)));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected, "the files differ");
    }
}

#[track_caller]
fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(words.iter().all(|word| run.stderr.contains(word)), "{run:#?}");
}

#[test]
fn a_job_goes_back_to_a_savepoint_and_comes_to_the_same_files() {
    let job = Job::new();
    // Once behind an epoch with a checkpoint, once behind one without.
    for (data, killed_at) in [("with", "engine.epoch.finalised:4"), ("without", "engine.epoch.finalised:3")] {
        assert_eq!(job.run(data, Some(killed_at), "1").code, None);
        let made = job.savepoint(data, &["create", "before"]).fine();
        assert!(made.stdout.contains("epoch"), "{made:#?}");
        assert_refused(&job.savepoint(data, &["create", "before"]), &["already", "another name"]);
        job.run(data, None, "1").fine();
        job.assert_undisturbed(data);
        let listed = job.savepoint(data, &["list"]).fine();
        assert!(listed.stdout.starts_with("before"), "{listed:#?}");
        // Back, and on with another number of workers.
        job.savepoint(data, &["restore", "before"]).fine();
        job.run(data, None, "2").fine();
        job.assert_undisturbed(data);
        // And once more, dying on the way; the state is lost besides.
        job.savepoint(data, &["restore", "before"]).fine();
        assert_eq!(job.run(data, Some("engine.epoch.committed:2"), "1").code, None);
        fs::remove_dir_all(job.data(data).join("state")).expect("it was there");
        job.run(data, None, "1").fine();
        job.assert_undisturbed(data);
        job.savepoint(data, &["remove", "before"]).fine();
        assert_refused(&job.savepoint(data, &["restore", "before"]), &["there is no savepoint before"]);
    }
}

#[test]
fn whoever_dies_while_going_back_is_there_or_goes_on() {
    let job = Job::new();
    assert_eq!(job.run("data", Some("engine.epoch.finalised:4"), "1").code, None);
    job.savepoint("data", &["create", "before"]).fine();
    let steps: Vec<String> =
        fail_points().into_iter().filter(|point| point.starts_with("savepoint.restore.")).collect();
    assert_eq!(steps.len(), 3);
    for step in steps {
        for again in [true, false] {
            job.run("data", None, "1").fine();
            let restore = ["savepoint", "restore", "before", "job.toml", "--data", "data"];
            tidemark_dies(job.folder.path(), &restore, &step);
            if again {
                tidemark_in(job.folder.path(), &restore).fine();
            }
            // Where nobody goes on the job is as it was, or at the savepoint: either way it comes to the same.
            job.run("data", None, "2").fine();
            job.assert_undisturbed("data");
        }
    }
}

#[test]
fn a_savepoint_of_a_running_job_is_come_back_to() {
    let job = Job::of("30000");
    job.to_be_fed();
    job.feed_whole("whole", "1").fine();
    let mut running = job.fed("live", "1").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let url = format!("http://{}", address(&mut running));
    let ask =
        |arguments: &[&str]| tidemark_in(job.folder.path(), &[&["savepoint"], arguments, &["--url", &url]].concat());
    assert_refused(&ask(&["create", "No Name"]), &["is not a name"]);
    // It is taken while events flow: some more of them for as long as it is not kept.
    let events = fs::read(job.data("events.ndjson")).expect("readable");
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    let mut input = running.stdin.take().expect("piped");
    let mut chunks = lines[..29_000].chunks(250);
    let (kept, answer) = channel();
    let made = std::thread::scope(|scope| {
        scope.spawn(|| kept.send(ask(&["create", "meanwhile"])));
        loop {
            input.write_all(&chunks.next().expect("it is kept before the end").concat()).expect("it reads");
            if let Ok(made) = answer.recv_timeout(Duration::from_millis(50)) {
                return made.fine();
            }
        }
    });
    assert!(made.stdout.starts_with("savepoint meanwhile: the state of epoch "), "{made:#?}");
    assert!(ask(&["list"]).fine().stdout.starts_with("meanwhile"));
    assert_refused(&ask(&["create", "meanwhile"]), &["already", "another name"]);
    assert_refused(&ask(&["remove", "never"]), &["there are meanwhile"]);
    input.write_all(&chunks.flatten().copied().collect::<Vec<_>>().concat()).expect("it reads");
    assert_refused(
        &tidemark_in(job.folder.path(), &["savepoint", "restore", "meanwhile", "fed.toml", "--data", "live"]),
        &["a job that runs has it"],
    );
    // As a power cut would.
    running.kill().expect("it runs");
    running.wait().expect("a child");
    for workers in ["2", "1"] {
        tidemark_in(job.folder.path(), &["savepoint", "restore", "meanwhile", "fed.toml", "--data", "live"]).fine();
        job.feed_whole("live", workers).fine();
        job.assert_same("live", "whole");
    }
    // What it needs to be looked at is there, too: the ticks since.
    let verified =
        tidemark_in(job.folder.path(), &["verify", "fed.toml", "--metric", "jitter-coefficient", "--data", "live"]);
    assert_eq!(verified.code, Some(0), "{verified:#?}");
}

/// Where a job listens that logs to a pipe, which is read on from then on.
fn address(running: &mut Child) -> String {
    let mut log = BufReader::new(running.stderr.take().expect("piped"));
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("readable") > 0, "it ended before it listened");
        let record: Value = serde_json::from_str(&line).unwrap_or_default();
        if record["message"] == "serving the API" {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return record["address"].as_str().expect("an address").to_owned();
        }
    }
}

#[test]
fn what_cannot_be_kept_or_come_back_to_is_said() {
    let job = Job::new();
    assert_refused(&job.savepoint("never", &["create", "a"]), &["run the job first"]);
    assert_eq!(job.run("two", Some("engine.epoch.finalised:2"), "1").code, None);
    job.savepoint("two", &["create", "early"]).fine();
    assert_refused(&job.savepoint("two", &["create", "no name"]), &["name"]);
    job.run("two", None, "1").fine();
    job.savepoint("two", &["create", "late"]).fine();
    assert_refused(&job.savepoint("two", &["restore", "early"]), &["late came later", "remove"]);
    assert_refused(&job.savepoint("two", &["restore", "never"]), &["early, late"]);
    job.savepoint("two", &["restore", "late"]).fine();
    assert!(job.run("two", None, "1").fine().stdout.contains("nothing new"));
    job.assert_undisturbed("two");
}

#[test]
fn rows_that_are_derived_again_elsewhere_are_those_that_were_written() {
    let job = Job::new();
    let replay = |metric: &str, into: &str, more: &[&str]| {
        let all = [&["replay", "job.toml", "--data", "undisturbed", "--metric", metric, "--into", into], more].concat();
        tidemark_in(job.folder.path(), &all)
    };
    for (metric, view) in
        [("jitter-coefficient", "jitter_coefficient"), ("prompt-to-first-frame", "prompt_to_first_frame")]
    {
        let into = format!("replayed-{metric}");
        let told = replay(metric, &into, &[]).fine().stdout;
        let since: u64 = told
            .split("epochs after ")
            .nth(1)
            .and_then(|rest| rest.split(':').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{told}"));
        let rows = |data: &str| {
            let query = format!("SELECT * FROM {view} WHERE epoch > {since} ORDER BY epoch, row_id");
            tidemark_in(job.folder.path(), &["sql", "--data", data, "--format", "json", &query]).fine().stdout
        };
        let written = rows("undisturbed");
        assert!(written.lines().count() > 20, "{written}");
        assert_eq!(rows(&into), written);
    }
    assert_refused(&replay("jitter-coefficient", "replayed-jitter-coefficient", &[]), &["is there already"]);
    assert_refused(&replay("jitter", "nowhere", &[]), &["no metric jitter", "jitter-coefficient"]);
    let nobody = replay("jitter-coefficient", "nobody", &["--key", "nobody"]).fine();
    assert!(nobody.stdout.starts_with("0 rows"), "{nobody:#?}");
}
