//! `kill -9` at every step of an epoch between topics of a real broker, in the real binary: consumers of committed records
//! see each row once. The same with the disk lost, and with a process that was taken for dead. ARCHITECTURE.md has the
//! table that these tests walk through.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::job::fail_points;
use support::kafka::{Bench, Input, Running};
use test_kafka::outside::fresh;

const METRICS: [&str; 2] = ["jitter-coefficient", "prompt-to-first-frame"];

/// Jobs that run at one time.
const AT_A_TIME: usize = 3;

/// The broker of this test, or an end of it where there can be none.
macro_rules! bench {
    ($test:literal) => {
        match test_kafka::shared(concat!("kafka_kill::", $test)) {
            Some(broker) => Bench::new(broker.address()),
            None => return,
        }
    };
}

/// A job that has not run, on an input that others have, too.
struct Job<'b> {
    bench: &'b Bench,
    prefix: String,
    config: PathBuf,
    data: PathBuf,
}

impl<'b> Job<'b> {
    fn new(bench: &'b Bench, input: &Input) -> Self {
        let (prefix, apart) = (fresh("killed"), bench.data());
        let sections = format!(
            "[job]\nname = \"{prefix}\"\n[epoch]\nrecords = 500\n[checkpoint]\nevery = 2\ndir = {apart:?}\n{}{}",
            bench.source(&[&input.topic]),
            bench.sink(&prefix)
        );
        Self { bench, config: bench.config(&sections, &METRICS), data: bench.data(), prefix }
    }

    /// Runs until the step is reached, which ends the process.
    #[track_caller]
    fn crash(&self, at: &str) {
        let run = self.bench.run(&self.config, &self.data, Some(at));
        assert_eq!(run.code, None, "{at} must be reached: {run:#?}");
    }

    #[track_caller]
    fn finish(&self, what: &str) {
        let run = self.bench.run(&self.config, &self.data, None);
        assert_eq!(run.code, Some(0), "{what}: {run:#?}");
    }

    /// Everything that was on the disk of the node; checkpoints and tick log are elsewhere.
    fn lose_disk(&self) {
        fs::remove_dir_all(&self.data).expect("it was there");
    }

    fn rows(&self) -> Vec<Vec<String>> {
        METRICS.iter().map(|metric| self.bench.rows(&self.prefix, metric)).collect()
    }
}

/// The rows of a run that nobody disturbs.
fn undisturbed(bench: &Bench, input: &Input) -> Vec<Vec<String>> {
    let job = Job::new(bench, input);
    job.finish("undisturbed");
    let rows = job.rows();
    assert!(rows.iter().all(|rows| rows.len() > 20), "{rows:?}");
    rows
}

/// The steps that an epoch between topics reaches, in its order.
fn steps() -> Vec<String> {
    let passed = |step: &String| {
        ["engine.tick.", "engine.epoch.", "engine.checkpoint.", "kafka.", "checkpoint."]
            .iter()
            .any(|start| step.starts_with(start))
    };
    fail_points().into_iter().filter(passed).collect()
}

#[test]
fn killed_at_every_step_each_row_is_there_once() {
    let bench = bench!("killed_at_every_step_each_row_is_there_once");
    let input = bench.input("3000", &[]);
    let expected = undisturbed(&bench, &input);
    let steps = steps();
    assert!(steps.iter().filter(|step| step.starts_with("kafka.")).count() == 6, "{steps:?}");
    let cases: Vec<(&String, bool)> = steps.iter().flat_map(|step| [(step, false), (step, true)]).collect();
    let (next, bench, input, expected) = (AtomicUsize::new(0), &bench, &input, &expected);
    // A few at a time: a job mostly waits for its broker.
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((step, disk_is_lost)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Something is committed before, where the step is one of an epoch.
                    let nth = if step.starts_with("kafka.recover.") { 1 } else { 2 };
                    let what = format!("{step}:{nth}, disk lost: {disk_is_lost}");
                    let job = Job::new(bench, input);
                    job.crash(&format!("{step}:{nth}"));
                    if *disk_is_lost {
                        job.lose_disk();
                    }
                    job.finish(&what);
                    assert!(job.rows() == *expected, "{what}");
                }
            });
        }
    });
}

#[test]
fn killed_again_and_again_each_row_is_there_once() {
    let bench = bench!("killed_again_and_again_each_row_is_there_once");
    let input = bench.input("3000", &[]);
    let job = Job::new(&bench, &input);
    let mut kills = 0;
    for (number, step) in steps().iter().enumerate() {
        let run = bench.run(&job.config, &job.data, Some(&format!("{step}:1")));
        if run.code.is_some() {
            assert_eq!(run.code, Some(0), "{step}: {run:#?}");
            break;
        }
        kills += 1;
        if number % 4 == 3 {
            job.lose_disk();
        }
    }
    assert!(kills > 5, "only {kills} kills");
    job.finish("killed again and again");
    assert!(job.rows() == undisturbed(&bench, &input));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
    // Folders of compiled modules must stay private.
    fs::set_permissions(to, fs::metadata(from).expect("readable").permissions()).expect("its own folder");
}

#[test]
fn a_process_that_was_taken_for_dead_writes_nothing_more() {
    let bench = bench!("a_process_that_was_taken_for_dead_writes_nothing_more");
    let input = bench.input("3000", &["--late-share", "0"]);
    let later = bench.input("1000", &["--start-ms", "1767995340000"]);
    let prefix = fresh("zombie");
    let head = format!("[job]\nname = \"{prefix}\"\n[epoch]\ninterval_ms = 50\n[checkpoint]\nevery = 1000\n");
    let metric = ["jitter-coefficient"];
    let live = head.clone() + &bench.live_source(&[&input.topic]) + &bench.sink(&prefix);
    let bounded = head + &bench.source(&[&input.topic]) + &bench.sink(&prefix);
    let data = bench.data();
    let mut zombie = Running::start(&bench.config(&live, &metric), &data);
    zombie.until("running");
    let seen = || bench.outside.read(&format!("{prefix}.jitter-coefficient")).len();
    while seen() < 10 {}
    // Its machine stands still; somebody takes it for dead and starts the job on a copy of its disk.
    zombie.signal(libc::SIGSTOP);
    let heir = bench.data();
    copy(&data, &heir);
    let run = bench.run(&bench.config(&bounded, &metric), &heir, None);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let rows = bench.rows(&prefix, "jitter-coefficient");
    // It comes back, and has something to publish.
    zombie.signal(libc::SIGCONT);
    for partition in 0..2 {
        let more = fs::read_to_string(later.folder.join(format!("{partition}.ndjson"))).expect("readable");
        bench.outside.put(&input.topic, partition, &more.lines().collect::<Vec<_>>());
    }
    let (code, log) = zombie.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("two processes run this job"), "{log}");
    assert_eq!(bench.rows(&prefix, "jitter-coefficient"), rows);
    let expected = Job::new(&bench, &bench.input("3000", &["--late-share", "0"]));
    expected.finish("undisturbed");
    assert!(rows == bench.rows(&expected.prefix, "jitter-coefficient"));
}
