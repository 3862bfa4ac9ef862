//! Jobs of the real binary between topics of a real broker.

use super::job::{TIDEMARK, metrics_folder};
use super::{Run, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use tempfile::TempDir;
use test_kafka::outside::{Outside, Seen, fresh};

/// Longer records do not fit into a message as brokers take them by default.
const LONGEST: usize = 900_000;

/// The raw events of two gateways, as files and as the two partitions of a topic.
pub struct Input {
    pub folder: PathBuf,
    pub topic: String,
}

/// A folder with an input, and a broker.
pub struct Bench {
    pub folder: TempDir,
    pub outside: Outside,
}

impl Bench {
    pub fn new(address: String) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), outside: Outside::new(address) }
    }

    /// Events of the generator: as many for each of two partitions.
    pub fn input(&self, events: &str, options: &[&str]) -> Input {
        let input = self.input_to_come(events, options);
        (0..2).for_each(|partition| self.put_lines(&input, partition, 0..usize::MAX));
        input
    }

    /// Puts some of the lines of an input into its topic.
    pub fn put_lines(&self, input: &Input, partition: i32, which: Range<usize>) {
        let text = fs::read_to_string(input.folder.join(format!("{partition}.ndjson"))).expect("readable");
        let lines: Vec<&str> = text.lines().skip(which.start).take(which.len()).collect();
        self.outside.put(&input.topic, partition, &lines);
    }

    /// The same, with nothing in the topic yet.
    pub fn input_to_come(&self, events: &str, options: &[&str]) -> Input {
        let input = Input { folder: self.folder.path().join(fresh("input")), topic: self.outside.topic("raw", 2) };
        fs::create_dir(&input.folder).expect("a folder");
        for partition in 0..2 {
            let file = input.folder.join(format!("{partition}.ndjson"));
            let seed = (partition + 1).to_string();
            let mut arguments = vec!["generate", "--events", events, "--streams", "20", "--seed", &seed];
            arguments.extend(options);
            let made = super::tidemark(&arguments).fine().stdout;
            let lines: Vec<&str> = made.lines().filter(|line| line.len() < LONGEST).collect();
            fs::write(&file, lines.join("\n") + "\n").expect("written");
        }
        input
    }

    /// Writes a configuration with these sections and metrics, and returns its file. A job without a name gets one of its
    /// own: jobs of one name take each other's place.
    pub fn config(&self, sections: &str, metrics: &[&str]) -> PathBuf {
        let folder = metrics_folder();
        let metric =
            |name: &&str| format!("[[metric]]\nname = \"{name}\"\nmodule = \"{}/{name}.wasm\"\n", folder.display());
        let file = self.folder.path().join(format!("{}.toml", fresh("job")));
        let pace = "[tick]\nrecords = 500\n[watermark]\nbound_ms = 40000\n";
        let job =
            if sections.contains("[job]") { String::new() } else { format!("[job]\nname = \"{}\"\n", fresh("job")) };
        let metrics: String = metrics.iter().map(metric).collect();
        fs::write(&file, format!("{pace}{job}{sections}\n{metrics}")).expect("written");
        file
    }

    /// A data folder that is not there yet.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(fresh("data"))
    }

    /// `[source]`: topics up to what is their end at the start.
    pub fn source(&self, topics: &[&str]) -> String {
        format!("{}until = \"end\"\n", self.live_source(topics))
    }

    /// `[source]`: topics for ever.
    pub fn live_source(&self, topics: &[&str]) -> String {
        let brokers = &self.outside.address;
        format!("[source]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\ntopics = {topics:?}\ndiscover_ms = 100\n")
    }

    /// `[sink.kafka]`: metrics to topics that begin with `prefix`, dead letters to another.
    pub fn sink(&self, prefix: &str) -> String {
        format!(
            "{}metrics = {{ topic = \"{prefix}.{{metric}}\" }}\ndead_letters = {{ topic = \"{prefix}.dead\" }}\n",
            self.bare_sink()
        )
    }

    /// `[sink.kafka]` without anything to write.
    pub fn bare_sink(&self) -> String {
        format!(
            "[sink.parquet]\nenabled = false\n[archive]\nenabled = false\n[sink.kafka]\nbrokers = [\"{}\"]\n\
             create_topics = {{ partitions = 3, replication = 1 }}\n",
            self.outside.address
        )
    }

    /// The rows of a metric in its topic, as [`comparable`] makes them, sorted.
    pub fn rows(&self, prefix: &str, metric: &str) -> Vec<String> {
        let seen = self.outside.read(&format!("{prefix}.{metric}"));
        assert_ordered(&seen);
        sorted(seen.iter().map(|seen| comparable(&seen.value)))
    }

    pub fn run(&self, config: &Path, data: &Path, kill_at: Option<&str>) -> Run {
        let mut command = Command::new(TIDEMARK);
        command.args(["run", text(config), "--data", text(data)]).env_remove("TIDEMARK_KILL_AT");
        kill_at.map(|point| command.env("TIDEMARK_KILL_AT", point));
        let output = command.output().expect("the binary starts");
        Run::from(output)
    }
}

/// Rows of one key are in one partition, windows in their order.
#[track_caller]
pub fn assert_ordered(seen: &[Seen]) {
    let mut last: BTreeMap<&str, (i32, String)> = BTreeMap::new();
    for seen in seen {
        let row: Value = serde_json::from_str(&seen.value).expect("a row");
        let time = row["event_time"].as_str().expect("a time").to_owned();
        let now = (seen.partition, time);
        if let Some(before) = last.insert(seen.key.as_deref().expect("a key"), now.clone()) {
            assert!(before.0 == now.0 && before.1 <= now.1, "{:?}: {before:?} before {now:?}", seen.key);
        }
    }
}

/// A row without what depends on where its events were read: the epoch, and the id, which is made of positions.
pub fn comparable(row: &str) -> String {
    let mut row: Value = serde_json::from_str(row).expect("a row");
    let fields = row.as_object_mut().expect("an object");
    fields.remove("epoch");
    fields.remove("row_id");
    row.to_string()
}

pub fn sorted(rows: impl Iterator<Item = String>) -> Vec<String> {
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

/// The lookup table of the shipped configuration, and a metric by a key that it gives.
pub fn by_orchestrator() -> String {
    let module = metrics_folder().join("jitter-coefficient.wasm");
    format!(
        "{TABLE}[[metric]]\nname = \"by-orchestrator\"\nmodule = {module:?}\nkey = \"enrich.orchestrators.address\"\n"
    )
}

const TABLE: &str = r#"
[[cleanse.table]]
name = "orchestrators"
event = "network_capabilities"
event_keys = ["data.orchestrator_info.address", "data.orchestrator_info.url"]
row_keys = ["local_address", "orch_uri"]
lower_case = true
fields = { address = "address" }
max_age_ms = 600_000
max_ahead_ms = 30_000
"#;

/// The same rows. Events of one window meet in another order where a topic is between, and sums of floats then differ
/// in their last bits.
#[track_caller]
pub fn assert_alike(found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let [found, expected]: [Value; 2] = [found, expected].map(|row| serde_json::from_str(row).expect("a row"));
        let (found, expected) = (found.as_object().expect("a row"), expected.as_object().expect("a row"));
        for (name, value) in found {
            let close = match (value.as_f64(), expected[name].as_f64()) {
                (Some(found), Some(expected)) => (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                _ => *value == expected[name],
            };
            assert!(close, "{name}: {found:?}\nis not\n{expected:?}");
        }
    }
}

/// The binary, running with JSON logs.
pub struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    pub fn start(config: &Path, data: &Path) -> Self {
        let mut child = Command::new(TIDEMARK)
            .args(["run", text(config), "--data", text(data), "--log-format", "json"])
            .env_remove("TIDEMARK_KILL_AT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, log }
    }

    /// Reads the log up to the record with this message.
    pub fn until(&mut self, message: &str) -> Value {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).expect("the log is readable");
            assert!(read > 0, "the log ended before \"{message}\":\n{seen}");
            let record: Value = serde_json::from_str(&line).unwrap_or_default();
            if record["message"].as_str().is_some_and(|found| found.contains(message)) {
                return record;
            }
            seen.push_str(&line);
        }
    }

    pub fn signal(&self, signal: libc::c_int) {
        let process = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: a system call on numbers; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(process, signal) }, 0);
    }

    /// Waits for the end: the exit code, and the rest of the log.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.log, &mut rest).expect("the log is readable");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
