//! Savepoints and replays with the real binary: a job goes back to a savepoint and comes to the same files, and rows that
//! are derived again into another folder are those that were written.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use support::job::{TIDEMARK, metrics_folder, output_tree};
use support::{Run, text, tidemark, tidemark_in};

/// A job of a few epochs, with an archive.
struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let job = Self { folder: tempfile::tempdir().expect("a folder") };
        let events = job.folder.path().join("events.ndjson");
        tidemark(&["generate", "--events", "8000", "--streams", "20", "--out", text(&events)]).fine();
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

    #[track_caller]
    fn assert_undisturbed(&self, data: &str) {
        let (found, expected) = (output_tree(&self.data(data)), output_tree(&self.data("undisturbed")));
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
