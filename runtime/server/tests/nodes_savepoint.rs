//! A job that several nodes run comes back to a savepoint, over a real broker and a real S3 protocol: its rows are those of
//! one process, each once, whoever ran it and however often.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;
use support::job::fail_points;
use support::kafka::{Bench, Input, assert_alike};
use support::nodes::{Job, Node, finish};
use support::{Run, text, tidemark, tidemark_dies};
use test_kafka::outside::{LONG, fresh};
use test_s3::S3Server;

const METRICS: [&str; 1] = ["jitter-coefficient"];

/// Rows as they would be whoever wrote them: the epoch and the id depend on where events were read.
const ROWS: &str = "SELECT * EXCLUDE (epoch, row_id) FROM jitter_coefficient ORDER BY key, event_time";

/// A job with rows in an object store alone.
struct Kept<'a> {
    job: Job<'a>,
    config: PathBuf,
}

impl<'a> Kept<'a> {
    fn new(job: Job<'a>) -> Self {
        let config = without_kafka(&job.config("nobody"));
        Self { job, config }
    }

    fn start_in(&self, node: &str, data: PathBuf) -> Node {
        let config = without_kafka(&self.job.config(node));
        Job::start_of(&config, data)
    }

    fn start(&self, node: &str) -> Node {
        self.start_in(node, self.job.bench.data())
    }

    fn savepoint(&self, arguments: &[&str]) -> Run {
        tidemark(&[&["savepoint"], arguments, &[text(&self.config)]].concat())
    }

    /// Dies at each step of coming back to a savepoint, at some of them with the second piece.
    fn die_restoring(&self, name: &str) {
        let steps: Vec<String> =
            fail_points().into_iter().filter(|point| point.starts_with("savepoint.nodes.")).collect();
        assert_eq!(steps.len(), 5);
        let seconds = steps.iter().filter(|step| step.ends_with("piece") || step.ends_with("markers"));
        for step in steps.iter().cloned().chain(seconds.map(|step| format!("{step}:2"))) {
            let arguments = ["savepoint", "restore", name, text(&self.config)];
            tidemark_dies(Path::new("."), &arguments, &step);
            if !step.ends_with("done") {
                assert_refused(&self.savepoint(&["create", "between"]), &["is being taken back", name]);
            }
        }
    }

    /// Takes a savepoint. Where the group has thought a node dead that was slow, one has to tidy up first, as it says.
    fn create(&self, name: &str) -> Run {
        for _ in 0..3 {
            let run = self.savepoint(&["create", name]);
            if !run.stderr.contains("start a node and stop it") {
                return run.fine();
            }
            let node = self.start("tidying");
            until_running(&[&node]);
            node.leave();
        }
        self.savepoint(&["create", name]).fine()
    }

    fn rows(&self) -> Run {
        tidemark(&["sql", "--format", "json", "--config", text(&self.config), ROWS])
    }

    /// Waits until so many rows are there.
    fn until_rows(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + LONG;
        loop {
            let run = self.rows();
            // There may be none to ask for yet, and while some are taken back a file may go under the query.
            let rows = if run.code == Some(0) { rows_of(&run) } else { Vec::new() };
            if rows.len() >= count {
                return rows;
            }
            assert!(Instant::now() < deadline, "{} of {count} rows: {run:#?}", rows.len());
        }
    }
}

/// Waits until all pieces run on these nodes: behind the savepoint that they came back to.
fn until_running(nodes: &[&Node]) {
    let deadline = Instant::now() + LONG;
    loop {
        let epochs: Vec<u64> = nodes.iter().flat_map(|node| node.epochs().into_values()).collect();
        if epochs.len() == 5 && epochs.iter().all(|epoch| *epoch > 0) {
            return;
        }
        assert!(Instant::now() < deadline, "{epochs:?}");
    }
}

fn rows_of(run: &Run) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"));
    rows.iter().map(Value::to_string).collect()
}

/// The configuration without its sink for Kafka: what is published stays.
fn without_kafka(config: &Path) -> PathBuf {
    let text = std::fs::read_to_string(config).expect("readable");
    let (before, sink) = text.split_once("[sink.kafka]\n").expect("there is one");
    let end = sink.find("\n[").map_or(sink.len(), |end| end + 1);
    let file = config.with_extension("kept.toml");
    std::fs::write(&file, format!("{before}{}", &sink[end..])).expect("written");
    file
}

#[track_caller]
fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(words.iter().all(|word| run.stderr.contains(word)), "{run:#?}");
}

/// What one process makes of the same input.
fn of_one_process(bench: &Bench, input: &Input) -> Vec<String> {
    let data = bench.data();
    let file = format!("[source]\nkind = \"file\"\npath = {:?}\n", input.folder);
    bench.run(&bench.config(&file, &METRICS), &data, None).fine();
    rows_of(&tidemark(&["sql", "--format", "json", "--data", text(&data), ROWS]).fine())
}

#[test]
fn a_job_of_nodes_comes_back_to_a_savepoint() {
    let Some(broker) = test_kafka::shared("nodes_savepoint::a_job_of_nodes_comes_back_to_a_savepoint") else { return };
    let bench = Bench::new(broker.address());
    let input = bench.input_to_come("4000", &["--late-share", "0", "--malformed-share", "0"]);
    let expected = of_one_process(&bench, &input);
    let store = S3Server::start(tempfile::tempdir().expect("a folder"), "bucket");
    let kept = Kept::new(Job {
        bench: &bench,
        name: fresh("kept"),
        sections: String::new(),
        metrics: &METRICS,
        topic: &input.topic,
        store: Some(&store),
    });
    let put =
        |lines: std::ops::Range<usize>| (0..2).for_each(|partition| bench.put_lines(&input, partition, lines.clone()));
    assert_refused(&kept.savepoint(&["create", "early"]), &["nothing to keep"]);
    put(0..2_000);
    let (one, two) = (kept.start("one"), kept.start("two"));
    one.until("both have something", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| !pieces.is_empty()));
    kept.until_rows(1);
    assert_refused(&kept.savepoint(&["create", "before"]), &["nodes run the job: one, two", "SIGTERM"]);
    let (first, second) = (one.data.clone(), two.data.clone());
    two.leave();
    one.leave();
    assert!(kept.create("before").stdout.contains("5 pieces"));
    assert_refused(&kept.savepoint(&["create", "before"]), &["already", "another name"]);
    assert_refused(&kept.savepoint(&["create", "again"]), &["has not run since savepoint before"]);
    assert_refused(&kept.savepoint(&["restore", "never"]), &["there are before"]);
    let rows_before = rows_of(&kept.rows().fine()).len();

    // What comes now is undone: some of it when it is on its way between pieces, all of it in the end.
    put(2_000..3_000);
    let (one, two) = (kept.start_in("one", first.clone()), kept.start_in("two", second));
    kept.until_rows(rows_before + 1);
    two.leave();
    assert_refused(&kept.savepoint(&["restore", "before"]), &["nodes run the job: one"]);
    one.leave();
    kept.create("later");
    assert_refused(&kept.savepoint(&["restore", "before"]), &["later came later"]);
    kept.savepoint(&["remove", "later"]).fine();
    for (times, data) in [(1, first.clone()), (2, bench.data())] {
        if times == 2 {
            kept.die_restoring("before");
        }
        assert!(kept.savepoint(&["restore", "before"]).fine().stdout.contains("5 pieces"));
        if times == 1 {
            put(3_000..usize::MAX);
            finish(&bench, &input);
        }
        // One node, which has a state of the time that is undone; then two that have none.
        let other = (times == 2).then(|| kept.start("other"));
        let node = kept.start_in("node", data);
        let nodes: Vec<&Node> = other.iter().chain([&node]).collect();
        until_running(&nodes);
        kept.until_rows(expected.len());
        drop(other.map(Node::leave));
        node.leave();
        assert_alike(&rows_of(&kept.rows().fine()), &expected);
    }
    assert!(kept.savepoint(&["list"]).fine().stdout.starts_with("before"));
    kept.savepoint(&["remove", "before"]).fine();
    assert_eq!(kept.savepoint(&["list"]).fine().stdout, "");
}
