//! The job of the benchmark "Job" with its events in a topic of Kafka instead of a file, and its rows in topics instead of
//! Parquet: how much of the speed is left, and what an epoch a second costs.

use super::figures::{Figures, verdict};
use super::job::{EVENTS, Job};
use super::{pinned, timed};
use crate::{process, workspace};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kafka::{Broker, Settings};

/// How often each way runs, beside once to warm up.
const ROUNDS: usize = 7;

/// Of the rate from a file.
const LEAST_RATIO: f64 = 0.6;
/// Of the rate with a single epoch.
const LEAST_WITH_EPOCHS: f64 = 0.9;

/// As in the job of the files; about what a second brings; and more than there is.
const EPOCH_OF_THE_JOB: u32 = 570_000;
const EPOCH_OF_A_SECOND: u32 = 200_000;
const ONE_EPOCH: u32 = 100_000_000;

const METRICS: [&str; 2] = ["jitter-coefficient", "prompt-to-first-frame"];

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let job = Job::prepare()?;
    let broker = Broker::start(&Settings { heap_mib: 1024, ..Settings::default() })?;
    let bench = Bench { folder: job.folder().join("kafka"), brokers: broker.address() };
    fs::create_dir_all(&bench.folder).with_context(|| format!("cannot create {}", bench.folder.display()))?;
    bench.fill(job.input())?;
    let mut rates: [Vec<f64>; 5] = Default::default();
    for round in 0..=ROUNDS {
        let runs = [
            job.tidemark(1)?,
            bench.read("parquet", round, EPOCH_OF_THE_JOB)?,
            bench.read("kafka", round, EPOCH_OF_THE_JOB)?,
            bench.read("kafka-each-second", round, EPOCH_OF_A_SECOND)?,
            bench.read("kafka-one-epoch", round, ONE_EPOCH)?,
        ];
        for (rates, mut run) in rates.iter_mut().zip(runs) {
            let rate = f64::from(EVENTS) / timed::run(&mut run)?.seconds;
            // The first round fills the page cache and the caches of compiled modules.
            rates.extend((round > 0).then_some(rate));
        }
        println!("round {round} of {ROUNDS}");
    }
    let text = report(rates.map(Figures::new));
    println!("\n{text}");
    Ok(text)
}

fn report([file, to_parquet, to_kafka, each_second, one_epoch]: [Figures; 5]) -> String {
    let range = |figures: &Figures, digits: usize| {
        format!("{:.digits$} ({:.digits$}–{:.digits$})", figures.median(), figures.least(), figures.greatest())
    };
    let line = |what: &str, least: f64, ratio: &Figures| {
        format!("| {what} | ≥ {least:.2} | {} | {} |", range(ratio, 2), verdict(ratio.median() >= least))
    };
    format!(
        "The job of the section \"Job\" with one worker, {}; its events in one partition of a broker on the same machine, \
         which takes what it needs of both cores; {ROUNDS} rounds after one to warm up, in turn. Rates are of whole \
         processes, connecting included.\nCommand: `cargo xtask bench kafka`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n{}\n{}\n{}\n\n\
         In events/s: from a file to Parquet {}, from Kafka to Parquet {}, from Kafka to Kafka {}, with an epoch a second {}, in \
         one epoch {}.\n",
        pinned::describe("0"),
        line("from Kafka to Parquet, of the rate from a file", LEAST_RATIO, &to_parquet.over(&file)),
        line("from Kafka to Kafka, of the same", LEAST_RATIO, &to_kafka.over(&file)),
        line(
            "from Kafka to Kafka with an epoch every 200,000 events, about a second, of the rate in one epoch",
            LEAST_WITH_EPOCHS,
            &each_second.over(&one_epoch)
        ),
        range(&file, 0),
        range(&to_parquet, 0),
        range(&to_kafka, 0),
        range(&each_second, 0),
        range(&one_epoch, 0),
    )
}

struct Bench {
    folder: PathBuf,
    brokers: String,
}

impl Bench {
    /// Puts the events into a topic: a job of cleansing does, which changes nothing in them.
    fn fill(&self, input: &Path) -> Result<()> {
        let config = format!(
            "[job]\nname = \"fill\"\njobs = [\"cleanse\"]\n[source]\nkind = \"file\"\n[cleanse.dedup]\nenabled = false\n\
             [archive]\nenabled = false\n[sink.parquet]\nenabled = false\n[sink.kafka]\nbrokers = [\"{}\"]\n\
             create_topics = {{ partitions = 1, replication = 1 }}\nevents = {{ topic = \"events\", watermarks = false }}\n",
            self.brokers
        );
        let mut command = Command::new(workspace::built("tidemark"));
        command.arg("run").arg(self.write("fill", &config)?).arg("--input").arg(input);
        process::run(command.arg("--data").arg(self.empty("fill")?))
    }

    /// A job that reads them, on one core; a new one each time, for its rows are published once.
    fn read(&self, to: &str, round: usize, epoch_records: u32) -> Result<Command> {
        let (brokers, name) = (&self.brokers, format!("{to}-{round}"));
        let sink = match to {
            "parquet" => "[sink.parquet]\n".to_owned(),
            _ => format!(
                "[sink.parquet]\nenabled = false\n[sink.kafka]\nbrokers = [\"{brokers}\"]\n\
                 create_topics = {{ partitions = 1, replication = 1 }}\nmetrics = {{ topic = \"{name}.{{metric}}\" }}\n"
            ),
        };
        let metric = |metric: &str| {
            let module = workspace::root().join("target/metrics").join(format!("{metric}.wasm"));
            format!("[[metric]]\nname = \"{metric}\"\nmodule = {module:?}\n")
        };
        let config = format!(
            "[job]\nname = \"{name}\"\nworkers = 1\n[source]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\n\
             topics = [\"events\"]\nuntil = \"end\"\n[watermark]\nbound_ms = 40_000\n[cleanse.dedup]\nenabled = false\n\
             [archive]\nenabled = false\n[epoch]\nrecords = {epoch_records}\n{sink}{}",
            METRICS.map(metric).concat()
        );
        let mut command = pinned::command(&workspace::built("tidemark"), "0");
        command.arg("run").arg(self.write(to, &config)?).arg("--data").arg(self.empty(to)?);
        Ok(command)
    }

    fn write(&self, name: &str, config: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.toml"));
        fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A data folder that is as new, but for compiled modules.
    fn empty(&self, name: &str) -> Result<PathBuf> {
        let data = self.folder.join(name);
        super::job::empty(&data)?;
        Ok(data)
    }
}
