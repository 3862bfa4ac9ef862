//! A job that several nodes run, between topics of a real broker: rows are those of one process, each once, whoever owns
//! what. Nodes that are killed at drawn moments: `chaos`.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::kafka::{Bench, assert_alike, assert_ordered, by_orchestrator};
use support::nodes::{Job, finish, of_one_process, owned};
use support::{text, tidemark};
use test_kafka::outside::fresh;
use test_s3::S3Server;

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
    sleep_and_wake(&bench, None);
}

#[test]
fn a_node_that_slept_for_long_has_lost_although_its_epochs_are_forgotten() {
    let bench = bench!("a_node_that_slept_for_long_has_lost_although_its_epochs_are_forgotten");
    let store = S3Server::start(tempfile::tempdir().expect("a folder"), "bucket");
    sleep_and_wake(&bench, Some(&store));
}

/// Of two nodes one sleeps until the other has done its work. With a store no record of the tick log is left then of the
/// epochs that the sleeper was about to decide, and the store has the rows, too.
fn sleep_and_wake(bench: &Bench, store: Option<&S3Server>) {
    let input = bench.input("6000", &["--late-share", "0", "--malformed-share", "0"]);
    let metrics = ["jitter-coefficient", "prompt-to-first-frame"];
    let expected = of_one_process(bench, &input, "", &metrics);
    let sections = String::new();
    let job = Job { bench, name: fresh("slept"), sections, metrics: &metrics, topic: &input.topic, store };
    let config = |node: &str| {
        let config = job.config(node);
        if store.is_some() {
            let text = std::fs::read_to_string(&config).expect("readable");
            std::fs::write(&config, text.replace("every = 5\n", "every = 1\nkeep = 1\n")).expect("written");
        }
        config
    };
    let start = |node: &str| Job::start_of(&config(node), bench.data());
    let (sleeper, other) = (start("sleeper"), start("other"));
    other.until("both have something", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| !pieces.is_empty()));
    // Whatever it does at this moment, it does not finish until others have taken its place.
    sleeper.running.signal(libc::SIGSTOP);
    other.until("the other has everything", |nodes| matches!(nodes, [(name, _)] if name == "other"));
    finish(bench, &input);
    job.complete(&metrics, expected.len());
    sleeper.running.signal(libc::SIGCONT);
    // It comes back, hears that it has lost what it had, and gets its share anew.
    other.until("it is back", |nodes| nodes.len() == 2 && nodes.iter().all(|(_, pieces)| !pieces.is_empty()));
    sleeper.leave();
    other.leave();
    assert_alike(&job.rows(&metrics), &expected);
    if store.is_some() {
        let count = "SELECT count(*) AS rows FROM metrics";
        let run = tidemark(&["sql", "--format", "csv", "--config", text(&config("nobody")), count]).fine();
        assert_eq!(run.stdout.split_whitespace().last(), Some(expected.len().to_string().as_str()), "{run:#?}");
    }
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
