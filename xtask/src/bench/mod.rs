//! `cargo xtask bench`: the figures that the project promises, measured side by side in one run, and the file that they
//! are written to, `bench/RESULTS.md`.

mod boundary;
mod clickhouse;
mod figures;
mod job;
mod kafka;
mod keys;
mod languages;
mod latest;
mod machine;
mod pinned;
mod profile;
mod rebalance;
mod results;
mod rows;
mod sql;
mod state;
mod timed;

use crate::{metrics, process, setup, workspace};
use anyhow::{Result, bail};

/// Which benchmarks there are.
pub(crate) const HELP: &str =
    "job, profile, boundary, sql, languages, state, keys, latest, kafka, rebalance, clickhouse or all";

/// Runs the benchmark called `name`, or all of them.
pub(crate) fn run(name: &str) -> Result<()> {
    let chosen: &[Benchmark] = match name {
        "job" => &[Benchmark::Job],
        "profile" => &[Benchmark::Profile],
        "boundary" => &[Benchmark::Boundary],
        "sql" => &[Benchmark::Sql],
        "languages" => &[Benchmark::Languages],
        "state" => &[Benchmark::State],
        "keys" => &[Benchmark::Keys],
        "latest" => &[Benchmark::Latest],
        "kafka" => &[Benchmark::Kafka],
        "rebalance" => &[Benchmark::Rebalance],
        "clickhouse" => &[Benchmark::ClickHouse],
        "all" => &[
            Benchmark::Job,
            Benchmark::Profile,
            Benchmark::Boundary,
            Benchmark::Sql,
            Benchmark::Languages,
            Benchmark::State,
            Benchmark::Keys,
            Benchmark::Latest,
            Benchmark::Kafka,
            Benchmark::Rebalance,
            Benchmark::ClickHouse,
        ],
        other => bail!("there is no benchmark `{other}`: {HELP}"),
    };
    setup::for_the_build()?;
    if chosen.iter().any(|benchmark| [Benchmark::Kafka, Benchmark::Rebalance].contains(benchmark)) {
        setup::for_everything()?;
    }
    metrics::run()?;
    build(chosen)?;
    for benchmark in chosen {
        let (title, measured) = match benchmark {
            Benchmark::Job => ("Job", job::run()?),
            Benchmark::Profile => ("Profile", profile::run()?),
            Benchmark::Boundary => ("Boundary", boundary::run()?),
            Benchmark::Sql => ("SQL", sql::run()?),
            Benchmark::Languages => ("Languages", languages::run()?),
            Benchmark::State => ("State", state::run()?),
            Benchmark::Keys => ("Keys", keys::run()?),
            Benchmark::Latest => ("Latest", latest::run()?),
            Benchmark::Kafka => ("Kafka", kafka::run()?),
            Benchmark::Rebalance => ("Rebalance", rebalance::run()?),
            Benchmark::ClickHouse => ("ClickHouse", clickhouse::run()?),
        };
        let text = format!("{}\n{measured}", machine::describe()?);
        results::replace(title, &text)?;
        println!("written to {} under \"{title}\"", results::FILE);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Benchmark {
    /// Two metrics over a million events, against a plain program.
    Job,
    /// Where the time of that goes.
    Profile,
    /// What a call into the sandbox costs.
    Boundary,
    /// What an event costs a statement.
    Sql,
    /// The same for a metric in each language.
    Languages,
    /// Five million live keys in state alone.
    State,
    /// The same number in a whole job.
    Keys,
    /// The newest row of a key among ten million rows, over HTTP.
    Latest,
    /// The job between topics of Kafka.
    Kafka,
    /// A job of several nodes whose whole state moves.
    Rebalance,
    /// Rows into ClickHouse, against the engine alone.
    ClickHouse,
}

/// Builds what the benchmarks run. The whole workspace is chosen so that dependencies have the features that they have
/// for tests, too: otherwise the large ones would be compiled once more.
fn build(chosen: &[Benchmark]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--workspace"]);
    for benchmark in chosen {
        command.args(match benchmark {
            Benchmark::Job => &["--bin", "tidemark", "--bin", "baseline"][..],
            Benchmark::Profile | Benchmark::Keys | Benchmark::Kafka | Benchmark::Rebalance => &["--bin", "tidemark"],
            Benchmark::Boundary => &["--example", "boundary"],
            Benchmark::Sql => &["--example", "sql_jitter"],
            Benchmark::Languages => &["--example", "languages"],
            Benchmark::State => &["--example", "five_million_keys"],
            Benchmark::Latest => &["--bin", "tidemark", "--example", "ten_million_rows"],
            Benchmark::ClickHouse => &["--example", "clickhouse_throughput"],
        });
    }
    process::run(&mut command)
}
