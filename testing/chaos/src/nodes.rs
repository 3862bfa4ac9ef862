//! One run of a job of several nodes: one, two, three, one again, while events come bit by bit and nodes are killed.

use crate::checker::Verdict;
use crate::oracle;
use crate::random::Random;
use crate::run::{METRICS, Report, Setup, slice};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use test_kafka::outside::fresh;

/// How many nodes run, phase by phase.
const NODES: [usize; 4] = [1, 2, 3, 1];

/// How long rows may take to come once everything was put in: nodes that were killed are only missed after a while.
const COMPLETE_WITHIN: Duration = Duration::from_secs(90);

const SIGTERM: i32 = 15;

/// Behind every window and bound of the metrics.
const LATER_MS: i64 = 3_600_000;

impl Setup {
    /// The run of `seed` with several nodes.
    ///
    /// # Errors
    /// A node that ended by itself, or could not be started: what it said.
    pub fn run_nodes(&self, seed: u64) -> Result<Report, String> {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let name = fresh("nodes");
        let partitions = random.between(2, 4) as i32;
        let input = self.generate(&mut random, folder.path(), partitions)?;
        let topic = format!("{name}.in");
        self.outside.create(&topic, partitions, &[]);
        let (steps, config) = (self.steps()?, self.nodes_config(folder.path(), &name, &mut random)?);
        let mut report = Report::default();
        let mut nodes: Vec<Node> = Vec::new();
        let mut next = 0;
        for (phase, wanted) in (0..).zip(NODES) {
            for (partition, lines) in (0..).zip(&input) {
                self.outside.put(&topic, partition, slice(lines, phase, NODES.len() as u64));
            }
            while nodes.len() > wanted {
                let leaving = nodes.swap_remove(random.between(0, nodes.len() as u64 - 1) as usize);
                if random.one_in(2) { leaving.leave()? } else { report.kills += leaving.kill() }
            }
            while nodes.len() < wanted {
                // The last node must live.
                let step = (phase < 3 && random.one_in(2))
                    .then(|| format!("{}:{}", random.choose(&steps), random.between(1, 6)));
                let place = folder.path().join(format!("node-{next}"));
                nodes.push(Node::start(&self.tidemark, &config, place, step)?);
                next += 1;
            }
            std::thread::sleep(Duration::from_millis(random.between(300, 3_000)));
            if phase < 3 && random.one_in(2) {
                let place = random.between(0, nodes.len() as u64 - 1) as usize;
                let killed = nodes.swap_remove(place);
                let again = killed.place.clone();
                report.kills += killed.kill();
                if random.one_in(2) {
                    // Its disk goes with it.
                    let _ = fs::remove_dir_all(&again);
                    report.lost_disks += 1;
                }
                nodes.push(Node::start(&self.tidemark, &config, again, None)?);
            }
            for node in nodes.extract_if(.., |node| node.has_died()).collect::<Vec<_>>() {
                report.kills += 1;
                let place = node.place.clone();
                node.died()?;
                if phase < 3 || wanted == 1 {
                    nodes.push(Node::start(&self.tidemark, &config, place, None)?);
                }
            }
        }
        let newest = input.iter().flatten().filter_map(|line| oracle::time_of(line)).max().unwrap_or_default();
        for partition in 0..partitions {
            self.outside.put(&topic, partition, &[last_event(newest + LATER_MS)]);
        }
        let expected = oracle::expected(input.iter().flatten().map(String::as_str));
        let deadline = Instant::now() + COMPLETE_WITHIN;
        let verdict = || {
            let [jitter, first_frames] = METRICS.map(|metric| self.outside.read(&format!("{name}.{metric}")));
            Verdict::of(&expected, &jitter, &first_frames)
        };
        loop {
            if let Some(node) = nodes.iter_mut().position(Node::has_died) {
                // At a step that it came to only now.
                let died = nodes.swap_remove(node);
                let place = died.place.clone();
                died.died()?;
                report.kills += 1;
                nodes.push(Node::start(&self.tidemark, &config, place, None)?);
            }
            if verdict().lost == 0 || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        // What is written twice is written by who goes on.
        for node in nodes {
            node.leave()?;
        }
        report.verdict = verdict();
        if !report.verdict.is_good()
            && let Ok(kept) = std::env::var("TIDEMARK_TEST_KEEP")
        {
            let _ =
                Command::new("cp").arg("-r").arg(folder.path()).arg(Path::new(&kept).join(seed.to_string())).status();
        }
        Ok(report)
    }

    fn nodes_config(&self, folder: &Path, name: &str, random: &mut Random) -> Result<PathBuf, String> {
        let (brokers, apart) = (&self.outside.address, folder.join("apart"));
        let (pieces, cleanse) = (random.between(2, 4), random.choose(&["partitions", "whole"]).to_owned());
        let (epoch_ms, every, records) = (random.between(20, 200), random.between(1, 10), random.between(50, 2_000));
        let mut text = format!(
            "[job]\nname = \"{name}\"\n[cluster]\npartitions = {pieces}\nreplication = 1\nsession_ms = 6000\ncleanse = \"{cleanse}\"\n\
             [tick]\nrecords = {records}\n[watermark]\nbound_ms = 40000\n[epoch]\ninterval_ms = {epoch_ms}\n[checkpoint]\n\
             every = {every}\ndir = {apart:?}\n[archive]\nenabled = false\n[source]\nkind = \"kafka\"\n\
             brokers = [\"{brokers}\"]\ntopics = [\"{name}.in\"]\n[sink.parquet]\nenabled = false\n[sink.kafka]\n\
             brokers = [\"{brokers}\"]\ncreate_topics = {{ partitions = 3, replication = 1 }}\n\
             metrics = {{ topic = \"{name}.{{metric}}\" }}\n[http]\nlisten = \"127.0.0.1:0\"\n"
        );
        for metric in METRICS {
            let module = self.metrics.join(format!("{metric}.wasm"));
            let _ = write!(text, "[[metric]]\nname = \"{metric}\"\nmodule = {module:?}\n");
        }
        let file = folder.join("nodes.toml");
        fs::write(&file, text).map_err(|error| error.to_string())?;
        Ok(file)
    }
}

/// An event that no metric wants, and that says how late it is.
fn last_event(time_ms: i64) -> String {
    format!(r#"{{"type":"end_of_test","timestamp":"{time_ms}","data":{{"timestamp":{time_ms}}}}}"#)
}

/// A process.
struct Node {
    child: Child,
    place: PathBuf,
    /// Whether it was told to die at a step.
    is_doomed: bool,
}

impl Node {
    fn start(tidemark: &Path, config: &Path, place: PathBuf, kill_at: Option<String>) -> Result<Self, String> {
        let mut command = Command::new(tidemark);
        command.arg("run").arg(config).arg("--data").arg(place.join("data")).env_remove("TIDEMARK_KILL_AT");
        let is_doomed = kill_at.is_some();
        kill_at.map(|step| command.env("TIDEMARK_KILL_AT", step));
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let log =
            fs::File::options().create(true).append(true).open(log_of(&place)).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { child, place, is_doomed })
    }

    fn has_died(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// One that has died by itself: fine if it was told to.
    fn died(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if self.is_doomed && status.code().is_none() {
            return Ok(());
        }
        Err(format!("a node ended with {status}: {}", self.said()))
    }

    /// Kills it. Whether it was still alive.
    fn kill(mut self) -> usize {
        let lived = self.child.try_wait().is_ok_and(|status| status.is_none());
        let _ = self.child.kill();
        let _ = self.child.wait();
        usize::from(lived)
    }

    /// Asks it to leave, and waits.
    fn leave(mut self) -> Result<(), String> {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        asked.map_err(|error| format!("kill: {error}"))?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        // One that has only just started does not listen for signals yet.
        let too_soon = status.signal() == Some(SIGTERM);
        if status.success() || too_soon || self.is_doomed && status.code().is_none() {
            return Ok(());
        }
        Err(format!("a node that was asked to leave ended with {status}: {}", self.said()))
    }

    fn said(&self) -> String {
        fs::read_to_string(log_of(&self.place)).unwrap_or_default()
    }
}

fn log_of(place: &Path) -> PathBuf {
    place.with_extension("log")
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
