//! A job that several nodes run, between topics of a real broker: rows are those of one process, each once, whoever owns
//! what. Nodes that are killed at drawn moments: `chaos`.

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use support::get;
use support::kafka::{Bench, Input, Running, assert_alike, assert_ordered, by_orchestrator, comparable, sorted};
use support::tidemark;
use test_kafka::outside::{LONG, fresh};
use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};

/// All that the shipped configuration computes of rows of others is in here, too.
const METRICS: [&str; 5] =
    ["prompt-to-first-frame", "startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"];

/// The broker of this test, or an end of it where there can be none.
macro_rules! bench {
    ($test:literal) => {
        match test_kafka::shared(concat!("nodes::", $test)) {
            Some(broker) => Bench::new(broker.address()),
            None => return,
        }
    };
}

/// A job and its nodes.
struct Job<'a> {
    bench: &'a Bench,
    name: String,
    /// Sections beside those of source, sink and cluster.
    sections: String,
    metrics: &'a [&'a str],
    topic: &'a str,
    /// Where checkpoints, rows and events are kept, if not in a folder that all nodes see, and nowhere.
    store: Option<&'a S3Server>,
}

struct Node {
    running: Running,
    address: String,
    data: PathBuf,
}

impl Job<'_> {
    fn config(&self, node: &str) -> PathBuf {
        let Self { bench, name, sections, metrics, topic, store } = self;
        let apart = bench.folder.path().join("apart").join(name);
        let config = format!(
            "[job]\nname = \"{name}\"\n[cluster]\nnode = \"{node}\"\npartitions = 4\nreplication = 1\nsession_ms = 6000\n\
             cleanse = \"whole\"\n[checkpoint]\nevery = 5\ndir = {apart:?}\n[epoch]\ninterval_ms = 100\n[http]\n\
             listen = \"127.0.0.1:0\"\n{}{}{sections}",
            bench.live_source(&[topic]),
            bench.sink(name)
        );
        let config = match store {
            None => config,
            Some(store) => {
                let keys = bench.folder.path().join("keys");
                let text = format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n");
                std::fs::write(&keys, text).expect("written");
                let place = |folder: &str| {
                    format!(
                        "url = \"s3://bucket/{folder}\"\noptions = {{ endpoint = \"{}\", allow_http = true }}\n\
                         credentials_file = {keys:?}\n",
                        store.endpoint()
                    )
                };
                let nowhere = "enabled = false\n[archive]\nenabled = false\n";
                config.replace(&format!("dir = {apart:?}\n"), &place("state")).replace(nowhere, &place("rows"))
            }
        };
        bench.config(&config, metrics)
    }

    fn start(&self, node: &str) -> Node {
        self.start_in(node, self.bench.data())
    }

    fn start_in(&self, node: &str, data: PathBuf) -> Node {
        Self::start_of(&self.config(node), data)
    }

    fn start_of(config: &Path, data: PathBuf) -> Node {
        let mut running = Running::start(config, &data);
        let address = running.until("serving")["address"].as_str().expect("an address").to_owned();
        Node { running, address, data }
    }

    fn rows(&self, metrics: &[&str]) -> Vec<String> {
        sorted(metrics.iter().flat_map(|metric| self.bench.rows(&self.name, metric)))
    }

    /// Waits until so many rows are there.
    fn complete(&self, metrics: &[&str], expected: usize) {
        let deadline = Instant::now() + LONG;
        loop {
            let rows = |metric: &&&str| self.bench.outside.read(&format!("{}.{metric}", self.name)).len();
            let found: Vec<(&&str, usize)> = metrics.iter().map(|metric| (metric, rows(&metric))).collect();
            let count: usize = found.iter().map(|(_, count)| count).sum();
            if count >= expected {
                return;
            }
            assert!(Instant::now() < deadline, "{count} of {expected} rows: {found:?}");
        }
    }
}

impl Node {
    /// The nodes of the job by name, with what each owns.
    fn nodes(&self) -> Vec<(String, Vec<String>)> {
        let answer = get(&self.address, "/api/v1/nodes");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        if !answer.starts_with("HTTP/1.1 200") {
            // The group is being made.
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            return Vec::new();
        }
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        let texts = |pieces: &Value| {
            let pieces = pieces.as_array().expect("a list").iter();
            pieces.map(|piece| piece.as_str().expect("a text").to_owned()).collect()
        };
        let nodes = body["nodes"].as_array().expect("a list").iter();
        nodes.map(|node| (node["name"].as_str().expect("a name").to_owned(), texts(&node["pieces"]))).collect()
    }

    /// Waits until the nodes are as `wanted`.
    fn until(&self, what: &str, wanted: impl Fn(&[(String, Vec<String>)]) -> bool) {
        let deadline = Instant::now() + LONG;
        loop {
            let nodes = self.nodes();
            if wanted(&nodes) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {nodes:?}");
        }
    }

    /// The pieces that run on this node, with the last epoch that each has committed.
    fn epochs(&self) -> BTreeMap<String, u64> {
        let answer = get(&self.address, "/metrics");
        let samples = answer.lines().filter_map(|line| line.strip_prefix("tidemark_piece_epoch{piece=\""));
        let parsed = samples.map(|sample| {
            let (piece, epoch) = sample.split_once("\"} ").expect("a sample");
            (piece.to_owned(), epoch.parse().expect("a number"))
        });
        parsed.collect()
    }

    /// Does something again and again until each of these pieces has committed some more epochs here.
    fn until_more(&self, what: &str, pieces: &BTreeSet<String>, mut meanwhile: impl FnMut()) {
        let (deadline, before) = (Instant::now() + LONG, self.epochs());
        loop {
            meanwhile();
            let now = self.epochs();
            if pieces.iter().all(|piece| now.get(piece) > before.get(piece).map(|epoch| epoch + 2).as_ref()) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {before:?}, then {now:?}");
        }
    }

    /// Leaves, and tells its log since the last record that was waited for.
    fn leave(self) -> String {
        self.running.signal(libc::SIGTERM);
        let (code, log) = self.running.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

/// What the node `name` owns.
fn owned(nodes: &[(String, Vec<String>)], name: &str) -> BTreeSet<String> {
    nodes.iter().filter(|(node, _)| node == name).flat_map(|(_, pieces)| pieces.iter().cloned()).collect()
}

/// Behind every window and bound: an event that no metric wants, on each partition.
fn finish(bench: &Bench, input: &Input) {
    let time = 1_000 * 60 * 60 * 24 * 2 + newest(input);
    let event = format!(r#"{{"type":"end_of_test","timestamp":"{time}","data":{{"timestamp":{time}}}}}"#);
    for partition in 0..2 {
        bench.outside.put(&input.topic, partition, &[&event]);
    }
}

/// The newest envelope of the generator.
fn newest(input: &Input) -> i64 {
    let text =
        |partition: i32| std::fs::read_to_string(input.folder.join(format!("{partition}.ndjson"))).expect("readable");
    let stamp = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        event["timestamp"].as_str()?.parse::<i64>().ok()
    };
    (0..2).flat_map(|partition| text(partition).lines().filter_map(stamp).collect::<Vec<_>>()).max().expect("an event")
}

/// What one process makes of the same input.
fn of_one_process(bench: &Bench, input: &Input, sections: &str, metrics: &[&str]) -> Vec<String> {
    let file = format!("[source]\nkind = \"file\"\npath = {:?}\n[sink.console]\n", input.folder);
    let run = bench.run(&bench.config(&(file + sections), metrics), &bench.data(), None).fine();
    sorted(run.stdout.lines().map(comparable))
}

#[test]
fn rows_of_nodes_are_those_of_one_process() {
    let bench = bench!("rows_of_nodes_are_those_of_one_process");
    let input = bench.input("6000", &["--late-share", "0", "--malformed-share", "0"]);
    let sections = by_orchestrator();
    let expected = of_one_process(&bench, &input, &sections, &METRICS);
    let all = [&METRICS[..], &["by-orchestrator"]].concat();
    let job =
        Job { bench: &bench, name: fresh("shared"), sections, metrics: &METRICS, topic: &input.topic, store: None };
    let one = job.start("one");
    one.until("one has everything", |nodes| matches!(nodes, [(name, pieces)] if name == "one" && !pieces.is_empty()));
    let pieces = one.nodes()[0].1.len();
    let two = job.start("two");
    one.until("they share alike", |nodes| {
        let counts: Vec<usize> = nodes.iter().map(|(_, pieces)| pieces.len()).collect();
        counts.len() == 2 && counts.iter().sum::<usize>() == pieces && counts[0].abs_diff(counts[1]) <= 1
    });
    assert_eq!(one.nodes(), two.nodes());
    finish(&bench, &input);
    job.complete(&all, expected.len());
    two.leave();
    one.leave();
    assert_alike(&job.rows(&all), &expected);
}

#[test]
fn a_node_that_slept_loses_its_work_and_writes_nothing_twice() {
    let bench = bench!("a_node_that_slept_loses_its_work_and_writes_nothing_twice");
    let input = bench.input("6000", &["--late-share", "0", "--malformed-share", "0"]);
    let metrics = ["jitter-coefficient", "prompt-to-first-frame"];
    let expected = of_one_process(&bench, &input, "", &metrics);
    let job = Job {
        bench: &bench,
        name: fresh("slept"),
        sections: String::new(),
        metrics: &metrics,
        topic: &input.topic,
        store: None,
    };
    let sleeper = job.start("sleeper");
    let other = job.start("other");
    other.until("both have something", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| !pieces.is_empty()));
    // Whatever it does at this moment, it does not finish until others have taken its place.
    sleeper.running.signal(libc::SIGSTOP);
    other.until("the other has everything", |nodes| matches!(nodes, [(name, _)] if name == "other"));
    finish(&bench, &input);
    job.complete(&metrics, expected.len());
    sleeper.running.signal(libc::SIGCONT);
    // It comes back, hears that it has lost what it had, and gets its share anew.
    other.until("it is back", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| !pieces.is_empty()));
    sleeper.leave();
    other.leave();
    assert_alike(&job.rows(&metrics), &expected);
}

#[test]
fn pieces_that_do_not_move_go_on() {
    let bench = bench!("pieces_that_do_not_move_go_on");
    // Of six pieces at most three move at a time: one that cleanses always stays, and those behind it hear of it.
    let topic = bench.outside.topic("raw", 4);
    let metrics = ["jitter-coefficient"];
    let job = Job {
        bench: &bench,
        name: fresh("stays"),
        sections: String::new(),
        metrics: &metrics,
        topic: &topic,
        store: None,
    };
    let config = |node: &str, session_ms: u32| {
        let text = std::fs::read_to_string(job.config(node)).expect("readable");
        let text = text.replace("cleanse = \"whole\"", "cleanse = \"partitions\"");
        let text = text.replace("partitions = 4", "partitions = 2");
        let file = bench.folder.path().join(format!("{node}.toml"));
        std::fs::write(&file, text.replace("session_ms = 6000", &format!("session_ms = {session_ms}")))
            .expect("written");
        file
    };
    let start = |node: &str, session_ms: u32| Job::start_of(&config(node, session_ms), bench.data());
    let mut feed = Feed { bench: &bench, topic: &topic, number: 0 };
    let one = start("one", 6_000);
    one.until("one has everything", |nodes| owned(nodes, "one").len() == 6);
    // It sleeps for as long as the test wants, and counts as alive.
    let two = start("two", 120_000);
    one.until("they share alike", |nodes| owned(nodes, "one").len() == 3 && owned(nodes, "two").len() == 3);
    let stays = owned(&one.nodes(), "one");
    one.until_more("a second node has joined", &stays, || feed.put());
    two.running.signal(libc::SIGSTOP);
    // The job cannot be shared out among three before the second has answered.
    let three = start("three", 6_000);
    let being_shared_out = |nodes: &[(String, Vec<String>)]| nodes.len() == 3 && owned(nodes, "three").is_empty();
    one.until("a third node joins", being_shared_out);
    one.until_more("the job is being shared out", &stays, || feed.put());
    let nodes = one.nodes();
    assert!(being_shared_out(&nodes), "{nodes:?}");
    two.running.signal(libc::SIGCONT);
    one.until("all have something", |nodes| nodes.len() == 3 && nodes.iter().all(|(_, pieces)| pieces.len() == 2));
    let stays: BTreeSet<String> = stays.intersection(&owned(&one.nodes(), "one")).cloned().collect();
    assert_eq!(stays.len(), 2, "one gives up what it must");
    // It dies. Until the others have heard of that, and when they take its pieces, the rest goes on.
    three.running.signal(libc::SIGKILL);
    one.until_more("a node is dead", &stays, || feed.put());
    one.until("what it had is taken", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| pieces.len() == 3));
    one.until_more("what it had is taken", &stays, || feed.put());
    assert!(stays.is_subset(&owned(&one.nodes(), "one")));
    two.leave();
    let log = one.leave();
    for piece in &stays {
        let told = |message: &str| {
            let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            records.filter(|record| record["message"] == message && record["piece"] == **piece).count()
        };
        let counts = ["a piece runs here", "a piece is opened again", "a piece is given up"].map(told);
        assert_eq!(counts, [1, 0, 1], "{piece}: {log}");
    }
}

/// Events for each partition of a topic, bit by bit.
struct Feed<'a> {
    bench: &'a Bench,
    topic: &'a str,
    number: i64,
}

impl Feed<'_> {
    fn put(&mut self) {
        self.number += 1;
        let time = 1_767_830_400_000_i64 + self.number * 100;
        for partition in 0..4 {
            let event = format!(
                r#"{{"type":"ai_stream_status","timestamp":"{time}","data":{{"timestamp":{time},"stream_id":"s{partition}","inference_status":{{"fps":30.0}}}}}}"#
            );
            self.bench.outside.put(self.topic, partition, &[&event]);
        }
    }
}

#[test]
fn a_node_comes_back_to_what_it_had() {
    let bench = bench!("a_node_comes_back_to_what_it_had");
    let input = bench.input("4000", &["--late-share", "0", "--malformed-share", "0"]);
    let metrics = ["jitter-coefficient"];
    let expected = of_one_process(&bench, &input, "", &metrics);
    let job = Job {
        bench: &bench,
        name: fresh("back"),
        sections: String::new(),
        metrics: &metrics,
        topic: &input.topic,
        store: None,
    };
    let node = job.start("node");
    node.until("it has everything", |nodes| matches!(nodes, [(_, pieces)] if pieces.len() == 5));
    let data = node.data.clone();
    node.leave();
    // Its own copy is as new as the checkpoint: that is not fetched.
    let mut node = job.start_in("node", data);
    for _ in 0..5 {
        let mut record = node.running.until(" ");
        while record["message"] != "a piece runs here" {
            assert!(!record["message"].as_str().expect("a text").contains("restored"), "{record}");
            record = node.running.until(" ");
        }
    }
    finish(&bench, &input);
    job.complete(&metrics, expected.len());
    node.leave();
    assert_eq!(job.rows(&metrics), expected);
}

#[test]
fn what_cannot_be_shared_out_is_refused() {
    let Some(broker) = test_kafka::shared("nodes::what_cannot_be_shared_out_is_refused") else { return };
    let bench = Bench::new(broker.address());
    let config = format!(
        "[cluster]\npartitions = 4\n[source]\nkind = \"file\"\npath = \"x\"\n[sink.console]\n{}",
        by_orchestrator()
    );
    let file = bench.config(&config, &[]);
    let run = tidemark(&["validate", file.to_str().expect("a path")]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    for expected in ["topics of Kafka", "cluster.cleanse", "checkpoint", "sink.console", "sink.parquet"] {
        assert!(run.stderr.contains(expected) || run.stdout.contains(expected), "{expected}: {run:#?}");
    }
    // Another number of pieces would lead keys astray.
    let input = bench.input("100", &[]);
    let metrics = ["jitter-coefficient"];
    let job = Job {
        bench: &bench,
        name: fresh("fixed"),
        sections: String::new(),
        metrics: &metrics,
        topic: &input.topic,
        store: None,
    };
    job.start("node").leave();
    let text =
        std::fs::read_to_string(job.config("node")).expect("readable").replace("partitions = 4\n", "partitions = 5\n");
    let file = bench.folder.path().join("other.toml");
    std::fs::write(&file, text).expect("written");
    let run = bench.run(&file, &bench.data(), None);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("has 4 partitions") && run.stderr.contains("another name"), "{run:#?}");
}

#[test]
fn rows_keep_their_order_when_nodes_come_and_go() {
    let bench = bench!("rows_keep_their_order_when_nodes_come_and_go");
    let input = bench.input("4000", &["--late-share", "0", "--malformed-share", "0"]);
    let metrics = ["jitter-coefficient"];
    let store = S3Server::start(tempfile::tempdir().expect("a folder"), "bucket");
    let expected = of_one_process(&bench, &input, "", &metrics);
    let job = Job {
        bench: &bench,
        name: fresh("order"),
        sections: String::new(),
        metrics: &metrics,
        topic: &input.topic,
        store: Some(&store),
    };
    let first = job.start("first");
    let second = job.start("second");
    second.until("both are there", |nodes| nodes.len() == 2);
    first.leave();
    finish(&bench, &input);
    job.complete(&metrics, expected.len());
    second.leave();
    assert_ordered(&bench.outside.read(&format!("{}.jitter-coefficient", job.name)));
    assert_eq!(job.rows(&metrics), expected);
    // Each piece has rows and events of its own in the store; whoever asks sees all of them.
    let config = job.config("nobody");
    let ask = |query: &str| {
        let run = tidemark(&["sql", "--format", "csv", "--config", config.to_str().expect("a path"), query]).fine();
        run.stdout.lines().nth(1).expect("a row").to_owned()
    };
    assert_eq!(ask("SELECT count(*) AS n FROM jitter_coefficient"), expected.len().to_string());
    assert_eq!(ask("SELECT count(DISTINCT partition) AS n FROM events"), "2");
}
