//! State that is lost or damaged, and crashes while it is being recovered: in the end the output is that of a run which
//! nobody disturbed.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::job::output_tree;
use support::{Run, text, tidemark};

const CONFIG: &str = "[source]\nkind = \"file\"\npath = \"events.ndjson\"\n[tick]\nrecords = 100\n\
                      [epoch]\nrecords = 1000\n[checkpoint]\nevery = 2\n";

/// An input, and the output of an undisturbed run over it.
struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let job = Self { folder: tempfile::tempdir().expect("a folder") };
        let events = job.folder.path().join("events.ndjson");
        tidemark(&["generate", "--events", "7500", "--streams", "20", "--out", text(&events)]).fine();
        fs::write(job.folder.path().join("job.toml"), CONFIG).expect("written");
        job.run("undisturbed", None).fine();
        job
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, data: &str, kill_at: Option<&str>) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command.args(["run", "job.toml", "--data", data]).current_dir(self.folder.path());
        command.env_remove("TIDEMARK_KILL_AT");
        kill_at.map(|point| command.env("TIDEMARK_KILL_AT", point));
        let output = command.output().expect("the binary starts");
        Run::from(output)
    }

    /// Runs until the step is reached, which ends the process.
    #[track_caller]
    fn crash(&self, data: &str, at: &str) {
        let run = self.run(data, Some(at));
        assert_eq!(run.code, None, "{at} must be reached: {run:#?}");
    }

    #[track_caller]
    fn assert_undisturbed(&self, data: &str) {
        let (found, expected) = (output_tree(&self.data(data)), output_tree(&self.data("undisturbed")));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let differing: Vec<_> = found.iter().filter(|(name, bytes)| expected[*name] != **bytes).collect();
        assert!(differing.is_empty(), "{:?}", differing.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert!(!self.data(data).join("RESTORING").exists());
    }
}

fn lose(path: &Path) {
    fs::remove_dir_all(path).expect("it was there");
}

#[test]
fn a_crash_while_epochs_are_run_again_loses_nothing() {
    let job = Job::new();
    for (name, again) in [("first", "engine.epoch.prepare:1"), ("second", "engine.epoch.committed:2")] {
        job.crash(name, "engine.epoch.finalised:5");
        lose(&job.data(name).join("state"));
        // The checkpoint is of epoch 4; epoch 5 was decided. Two more crashes on the way.
        job.crash(name, again);
        job.crash(name, "engine.epoch.logged:1");
        job.run(name, None).fine();
        job.assert_undisturbed(name);
    }
}

#[test]
fn a_state_lost_before_the_first_checkpoint_is_made_again_from_the_tick_log() {
    let job = Job::new();
    job.crash("data", "engine.epoch.finalised:1");
    lose(&job.data("data").join("state"));
    job.crash("data", "engine.epoch.prepared:1");
    job.run("data", None).fine();
    job.assert_undisturbed("data");
}

#[test]
fn a_state_lost_after_the_end_is_restored() {
    let job = Job::new();
    job.run("data", None).fine();
    lose(&job.data("data").join("state"));
    let run = job.run("data", None).fine();
    assert!(run.stdout.contains("nothing new"), "{run:#?}");
    job.assert_undisturbed("data");
}

#[test]
fn a_damaged_state_is_set_aside_and_restored() {
    let job = Job::new();
    job.crash("data", "engine.epoch.finalised:3");
    let state = job.data("data").join("state");
    let current = fs::read_to_string(state.join("CURRENT")).expect("RocksDB has one");
    fs::write(state.join(current.trim()), b"rubbish").expect("written");
    let run = job.run("data", None).fine();
    assert!(run.stderr.contains("moved aside"), "{run:#?}");
    assert!(job.data("data").join("state.damaged-1").is_dir());
    job.assert_undisturbed("data");
}

#[test]
fn checkpoints_of_which_none_is_whole_stop_the_job() {
    let job = Job::new();
    job.crash("data", "engine.epoch.finalised:5");
    let data = job.data("data");
    let before = output_tree(&data);
    lose(&data.join("state"));
    for object in fs::read_dir(data.join("checkpoints/objects")).expect("there are checkpoints") {
        fs::write(object.expect("readable").path(), b"rubbish").expect("written");
    }
    let run = job.run("data", None);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("checkpoints"), "{run:#?}");
    assert_eq!(output_tree(&data), before, "nothing was touched");
    let again = job.run("data", None);
    assert_eq!(again.code, Some(1), "nor does the second start begin afresh: {again:#?}");
}
