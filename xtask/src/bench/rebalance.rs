//! A job of several nodes whose whole state moves: how long until the first row comes from where it went.

use super::figures::verdict;
use super::keys;
use crate::{process, workspace};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use test_kafka::{Broker, Settings};

/// Seconds from the moment at which the node that has everything is told to leave to the first row of the other.
const MOST_SECONDS: f64 = 5.0;

/// Open requests: with these the state is of about a gigabyte.
const KEYS: u64 = 6_800_000;

/// How long filling may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let folder = workspace::root().join("target/bench/rebalance");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    super::job::empty(&folder)?;
    let input = keys::input(&workspace::root().join("target/bench"), KEYS)?;
    let broker = Broker::start(&Settings { heap_mib: 1024, ..Settings::default() })?;
    let brokers = broker.address();
    let into_topic = |name: &str, input: &Path| process::run(&mut fill(&folder, name, &brokers, input)?);
    into_topic("fill", &input)?;
    let config = config(&folder, &brokers)?;
    let one = Node::start(&config, &folder, "one")?;
    let all = KEYS * 2;
    one.until("it has read everything", |metrics| figure(metrics, "tidemark_source_records_total") >= all as f64)?;
    one.settle()?;
    let bytes = size(&folder.join("one/pieces"));
    let told = Instant::now();
    one.leave()?;
    let left = told.elapsed();
    let clock = folder.join("clock.ndjson");
    fs::write(&clock, later() + "\n")?;
    let two = Node::start(&config, &folder, "two")?;
    into_topic("clock", &clock)?;
    two.until("a row comes", |metrics| figure(metrics, "tidemark_metric_rows_out_total") > 0.0)?;
    let seconds = told.elapsed().as_secs_f64();
    two.leave()?;
    let text = format!(
        "{} open requests, 64 key groups in 8 pieces, {} MB of state on disk; checkpoints, as often as by default, in a folder \
         of the same disk. The node that has all of it is asked to leave, and another one with an empty folder starts when it has.\n\
         Command: `cargo xtask bench rebalance`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n\
         | from the word to the first row that comes out of the metric | ≤ {MOST_SECONDS:.0} s | {seconds:.1} s | {} |\n\n\
         Of these, {:.1} s until the first node had left. The row is published with its epoch, a second later at most.\n",
        KEYS,
        bytes / 1_000_000,
        verdict(seconds <= MOST_SECONDS),
        left.as_secs_f64()
    );
    println!("\n{text}");
    Ok(text)
}

/// An event that takes event time so far that the oldest requests, whose keys are in all pieces, are known to have no answer.
fn later() -> String {
    const BOUND_MS: u64 = 40_000;
    const LATEST_ANSWER_MS: u64 = 60_000;
    let time = keys::time_of(0) + BOUND_MS + LATEST_ANSWER_MS + 100;
    format!(r#"{{"type":"clock","timestamp":"{time}","data":{{"timestamp":{time}}}}}"#)
}

/// A job that puts the events of a file into the topic.
fn fill(folder: &Path, name: &str, brokers: &str, input: &Path) -> Result<Command> {
    let config = format!(
        "[job]\nname = \"{name}\"\njobs = [\"cleanse\"]\n[source]\nkind = \"file\"\n[cleanse.dedup]\nenabled = false\n\
         [archive]\nenabled = false\n[sink.parquet]\nenabled = false\n[sink.kafka]\nbrokers = [\"{brokers}\"]\n\
         create_topics = {{ partitions = 1, replication = 1 }}\nevents = {{ topic = \"events\", watermarks = false }}\n"
    );
    let mut command = Command::new(workspace::built("tidemark"));
    command.arg("run").arg(write(folder, name, &config)?).arg("--input").arg(input);
    command.arg("--data").arg(folder.join(name));
    Ok(command)
}

fn config(folder: &Path, brokers: &str) -> Result<PathBuf> {
    let module = workspace::root().join("target/metrics/prompt-to-first-frame.wasm");
    let (apart, compiled) = (folder.join("apart"), workspace::root().join("target/bench/compiled"));
    let config = format!(
        "[job]\nname = \"moving\"\n[data]\nmodules = {compiled:?}\n[cluster]\npartitions = 8\nreplication = 1\n\
         session_ms = 6000\n[checkpoint]\ndir = {apart:?}\n[source]\nkind = \"kafka\"\n\
         brokers = [\"{brokers}\"]\ntopics = [\"events\"]\n[watermark]\nbound_ms = 40_000\n[cleanse.dedup]\nenabled = false\n\
         [archive]\nenabled = false\n[sink.parquet]\nenabled = false\n[sink.kafka]\nbrokers = [\"{brokers}\"]\n\
         create_topics = {{ partitions = 1, replication = 1 }}\nmetrics = {{ topic = \"rows.{{metric}}\" }}\n[http]\n\
         listen = \"127.0.0.1:0\"\n[[metric]]\nname = \"prompt-to-first-frame\"\nmodule = {module:?}\n"
    );
    write(folder, "moving", &config)
}

fn write(folder: &Path, name: &str, config: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.toml"));
    fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A process.
struct Node {
    child: Child,
    log: PathBuf,
}

impl Node {
    fn start(config: &Path, folder: &Path, name: &str) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(workspace::built("tidemark"));
        command.arg("run").arg(config).arg("--data").arg(folder.join(name));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        Ok(Self { child: command.spawn().context("cannot start tidemark")?, log })
    }

    /// Waits until its counters are as `wanted`.
    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.metrics().is_ok_and(|metrics| wanted(&metrics)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("waited in vain until {what}: {}", fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Waits until no piece has anything left to commit: an epoch takes a second.
    fn settle(&self) -> Result<()> {
        let epochs = || -> Result<Vec<String>> {
            let metrics = self.metrics()?;
            Ok(metrics.lines().filter(|line| line.starts_with("tidemark_piece_epoch{")).map(str::to_owned).collect())
        };
        let mut before = epochs()?;
        loop {
            std::thread::sleep(Duration::from_secs(3));
            let now = epochs()?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
    }

    fn metrics(&self) -> Result<String> {
        let said = fs::read_to_string(&self.log)?;
        let address = said.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let mut stream = TcpStream::connect(address.context("it does not listen yet")?)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn leave(mut self) -> Result<()> {
        process::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        bail!("a node ended with {status}: {}", fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A counter, summed up.
fn figure(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Bytes of everything in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}
