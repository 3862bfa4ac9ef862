//! `chaos`: so many runs, one after the other, each with its seed and what was found.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use test_chaos::{Report, Setup};
use test_kafka::outside::Outside;
use test_kafka::{Broker, Settings};

/// Kills the real process between topics of a real broker, and checks what it wrote.
#[derive(Parser)]
struct Arguments {
    /// The binary.
    #[arg(long)]
    tidemark: PathBuf,
    /// The folder of the metrics' modules.
    #[arg(long)]
    metrics: PathBuf,
    /// How many runs.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// The seed of the first; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the job on one, two, three nodes and one again, instead of one process.
    #[arg(long)]
    nodes: bool,
}

fn main() -> ExitCode {
    let Arguments { tidemark, metrics, runs, seed, nodes } = Arguments::parse();
    let broker = match Broker::start(&Settings::default()) {
        Ok(broker) => broker,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let setup = Setup { tidemark, metrics, outside: Outside::new(broker.address()) };
    let (mut total, mut bad) = (Report::default(), Vec::new());
    for seed in seed..seed + runs {
        match if nodes { setup.run_nodes(seed) } else { setup.run(seed) } {
            Ok(report) => {
                let Report { kills, lost_disks, verdict } = report;
                println!("seed {seed}: {kills} kills, {lost_disks} lost disks, {verdict}");
                total.kills += kills;
                total.lost_disks += lost_disks;
                total.verdict.add(verdict);
                bad.extend((!verdict.is_good()).then_some(seed));
            }
            Err(error) => {
                println!("seed {seed}: {error}");
                bad.push(seed);
            }
        }
    }
    println!("{runs} runs: {} kills, {} lost disks, {}", total.kills, total.lost_disks, total.verdict);
    if bad.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("seeds of bad runs: {bad:?}; one again: cargo xtask chaos {}1 SEED", if nodes { "nodes " } else { "" });
    ExitCode::FAILURE
}
