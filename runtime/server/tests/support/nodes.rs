//! Jobs of the real binary that several nodes run, between topics of a real broker.

use super::get;
use super::kafka::{Bench, Input, Running, comparable, sorted};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use test_kafka::outside::LONG;
use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};

/// A job and its nodes.
pub struct Job<'a> {
    pub bench: &'a Bench,
    pub name: String,
    /// Sections beside those of source, sink and cluster.
    pub sections: String,
    pub metrics: &'a [&'a str],
    pub topic: &'a str,
    /// Where checkpoints, rows and events are kept, if not in a folder that all nodes see, and nowhere.
    pub store: Option<&'a S3Server>,
}

pub struct Node {
    pub running: Running,
    pub address: String,
    pub data: PathBuf,
}

impl Job<'_> {
    pub fn config(&self, node: &str) -> PathBuf {
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

    pub fn start(&self, node: &str) -> Node {
        self.start_in(node, self.bench.data())
    }

    pub fn start_in(&self, node: &str, data: PathBuf) -> Node {
        Self::start_of(&self.config(node), data)
    }

    pub fn start_of(config: &Path, data: PathBuf) -> Node {
        let mut running = Running::start(config, &data);
        let address = running.until("serving")["address"].as_str().expect("an address").to_owned();
        Node { running, address, data }
    }

    pub fn rows(&self, metrics: &[&str]) -> Vec<String> {
        sorted(metrics.iter().flat_map(|metric| self.bench.rows(&self.name, metric)))
    }

    /// Waits until so many rows are there.
    pub fn complete(&self, metrics: &[&str], expected: usize) {
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
    pub fn nodes(&self) -> Vec<(String, Vec<String>)> {
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
    pub fn until(&self, what: &str, wanted: impl Fn(&[(String, Vec<String>)]) -> bool) {
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
    pub fn epochs(&self) -> BTreeMap<String, u64> {
        let answer = get(&self.address, "/metrics");
        let samples = answer.lines().filter_map(|line| line.strip_prefix("tidemark_piece_epoch{piece=\""));
        let parsed = samples.map(|sample| {
            let (piece, epoch) = sample.split_once("\"} ").expect("a sample");
            (piece.to_owned(), epoch.parse().expect("a number"))
        });
        parsed.collect()
    }

    /// Does something again and again until each of these pieces has committed some more epochs here.
    pub fn until_more(&self, what: &str, pieces: &BTreeSet<String>, mut meanwhile: impl FnMut()) {
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
    pub fn leave(self) -> String {
        self.running.signal(libc::SIGTERM);
        let (code, log) = self.running.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

/// What the node `name` owns.
pub fn owned(nodes: &[(String, Vec<String>)], name: &str) -> BTreeSet<String> {
    nodes.iter().filter(|(node, _)| node == name).flat_map(|(_, pieces)| pieces.iter().cloned()).collect()
}

/// Behind every window and bound: an event that no metric wants, on each partition.
pub fn finish(bench: &Bench, input: &Input) {
    let time = 1_000 * 60 * 60 * 24 * 2 + newest(input);
    let event = format!(r#"{{"type":"end_of_test","timestamp":"{time}","data":{{"timestamp":{time}}}}}"#);
    for partition in 0..2 {
        bench.outside.put(&input.topic, partition, &[&event]);
    }
}

/// The newest envelope of the generator.
pub fn newest(input: &Input) -> i64 {
    let text =
        |partition: i32| std::fs::read_to_string(input.folder.join(format!("{partition}.ndjson"))).expect("readable");
    let stamp = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        event["timestamp"].as_str()?.parse::<i64>().ok()
    };
    (0..2).flat_map(|partition| text(partition).lines().filter_map(stamp).collect::<Vec<_>>()).max().expect("an event")
}

/// What one process makes of the same input.
pub fn of_one_process(bench: &Bench, input: &Input, sections: &str, metrics: &[&str]) -> Vec<String> {
    let file = format!("[source]\nkind = \"file\"\npath = {:?}\n[sink.console]\n", input.folder);
    let run = bench.run(&bench.config(&(file + sections), metrics), &bench.data(), None).fine();
    sorted(run.stdout.lines().map(comparable))
}
