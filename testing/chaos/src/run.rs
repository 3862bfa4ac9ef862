//! One run: events that come bit by bit, a process that dies again and again, and at last one that comes to the end.

use crate::checker::Verdict;
use crate::life::Life;
use crate::oracle;
use crate::random::Random;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kafka::outside::{Outside, fresh};

pub(crate) const METRICS: [&str; 2] = ["jitter-coefficient", "prompt-to-first-frame"];

/// What a run needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary.
    pub tidemark: PathBuf,
    /// The folder of the metrics' modules.
    pub metrics: PathBuf,
    /// The broker.
    pub outside: Outside,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// How often the process was killed.
    pub kills: usize,
    /// How often its disk was lost.
    pub lost_disks: usize,
    /// What was found.
    pub verdict: Verdict,
}

impl Setup {
    /// The run of `seed`.
    ///
    /// # Errors
    /// A process that ended by itself, or could not be started: what it said.
    pub fn run(&self, seed: u64) -> Result<Report, String> {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (name, data) = (fresh("chaos"), folder.path().join("data"));
        let partitions = random.between(1, 3) as i32;
        let input = self.generate(&mut random, folder.path(), partitions)?;
        self.outside.create(&format!("{name}.in"), partitions, &[]);
        let steps = self.steps()?;
        let (lives, mut report) = (random.between(2, 5), Report::default());
        for life in 0..lives {
            for (partition, lines) in (0..).zip(&input) {
                let slice = slice(lines, life, lives);
                self.outside.put(&format!("{name}.in"), partition, slice);
            }
            let life = Life::draw(&mut random, &steps);
            let config = self.config(folder.path(), &name, &life, true)?;
            life.live(&self.tidemark, &config, &data).map_err(|error| format!("{life:?}: {error}"))?;
            report.kills += 1;
            report.lost_disks += usize::from(life.loses_disk);
        }
        let last = Life::draw(&mut random, &steps);
        let config = self.config(folder.path(), &name, &last, false)?;
        let mut command = Command::new(&self.tidemark);
        command.arg("run").arg(&config).arg("--data").arg(&data).env_remove("TIDEMARK_KILL_AT");
        output_of(&mut command)?;
        let expected = oracle::expected(input.iter().flatten().map(String::as_str));
        let [jitter, first_frames] = METRICS.map(|metric| self.outside.read(&format!("{name}.{metric}")));
        report.verdict = Verdict::of(&expected, &jitter, &first_frames);
        Ok(report)
    }

    /// Events for each partition, nothing late and nothing malformed.
    pub(crate) fn generate(
        &self,
        random: &mut Random,
        folder: &Path,
        partitions: i32,
    ) -> Result<Vec<Vec<String>>, String> {
        let (events, streams) = (random.between(2_000, 6_000).to_string(), random.between(3, 30).to_string());
        let mut input = Vec::new();
        for partition in 0..partitions {
            let (file, seed) = (folder.join(format!("{partition}.ndjson")), random.between(1, 1 << 30).to_string());
            let mut command = Command::new(&self.tidemark);
            command.args(["generate", "--events", &events, "--streams", &streams, "--seed", &seed]);
            output_of(command.args(["--late-share", "0", "--malformed-share", "0", "--out"]).arg(&file))?;
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            input.push(text.lines().map(str::to_owned).collect());
        }
        Ok(input)
    }

    /// The steps at which the process can be made to die.
    pub(crate) fn steps(&self) -> Result<Vec<String>, String> {
        let steps = output_of(Command::new(&self.tidemark).arg("fail-points"))?;
        let passed = |step: &&str| {
            ["engine.tick.", "engine.epoch.", "engine.checkpoint.", "kafka.", "checkpoint."]
                .iter()
                .any(|start| step.starts_with(start))
        };
        Ok(steps.split_whitespace().filter(passed).map(str::to_owned).collect())
    }

    fn config(&self, folder: &Path, name: &str, life: &Life, live: bool) -> Result<PathBuf, String> {
        let Life { workers, tick_records, epoch_ms, checkpoint_every, .. } = life;
        let (brokers, apart) = (&self.outside.address, folder.join("apart"));
        let until = if live { "" } else { "until = \"end\"\n" };
        let mut text = format!(
            "[job]\nname = \"{name}\"\nworkers = {workers}\n[tick]\nrecords = {tick_records}\n[watermark]\n\
             bound_ms = 40000\n[epoch]\ninterval_ms = {epoch_ms}\n[checkpoint]\nevery = {checkpoint_every}\ndir = {apart:?}\n[archive]\n\
             enabled = false\n[source]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\ntopics = [\"{name}.in\"]\n{until}\
             [sink.parquet]\nenabled = false\n[sink.kafka]\nbrokers = [\"{brokers}\"]\n\
             create_topics = {{ partitions = 3, replication = 1 }}\nmetrics = {{ topic = \"{name}.{{metric}}\" }}\n"
        );
        for metric in METRICS {
            let module = self.metrics.join(format!("{metric}.wasm"));
            let _ = write!(text, "[[metric]]\nname = \"{metric}\"\nmodule = {module:?}\n");
        }
        let file = folder.join("job.toml");
        fs::write(&file, text).map_err(|error| error.to_string())?;
        Ok(file)
    }
}

/// The part of `lines` that comes before life number `life` of `lives`.
pub(crate) fn slice(lines: &[String], life: u64, lives: u64) -> &[String] {
    let end = |life: u64| lines.len() * life as usize / lives as usize;
    &lines[end(life)..end(life + 1)]
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
