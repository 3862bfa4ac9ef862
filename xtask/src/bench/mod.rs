//! `cargo xtask bench`: the figures that the project promises, measured side by side in one run, and the file that they
//! are written to, `bench/RESULTS.md`.

mod boundary;
mod figures;
mod job;
mod keys;
mod machine;
mod pinned;
mod profile;
mod results;
mod rows;
mod sql;
mod state;
mod timed;

use crate::{metrics, process, setup, workspace};
use anyhow::{Result, bail};

/// Which benchmarks there are.
pub(crate) const HELP: &str = "job, profile, boundary, sql, state, keys or all";

/// Runs the benchmark called `name`, or all of them.
pub(crate) fn run(name: &str) -> Result<()> {
    let chosen: &[Benchmark] = match name {
        "job" => &[Benchmark::Job],
        "profile" => &[Benchmark::Profile],
        "boundary" => &[Benchmark::Boundary],
        "sql" => &[Benchmark::Sql],
        "state" => &[Benchmark::State],
        "keys" => &[Benchmark::Keys],
        "all" => &[
            Benchmark::Job,
            Benchmark::Profile,
            Benchmark::Boundary,
            Benchmark::Sql,
            Benchmark::State,
            Benchmark::Keys,
        ],
        other => bail!("there is no benchmark `{other}`: {HELP}"),
    };
    setup::for_the_build()?;
    metrics::run()?;
    build(chosen)?;
    for benchmark in chosen {
        let (title, measured) = match benchmark {
            Benchmark::Job => ("Job", job::run()?),
            Benchmark::Profile => ("Profile", profile::run()?),
            Benchmark::Boundary => ("Boundary", boundary::run()?),
            Benchmark::Sql => ("SQL", sql::run()?),
            Benchmark::State => ("State", state::run()?),
            Benchmark::Keys => ("Keys", keys::run()?),
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
    /// Five million live keys in state alone.
    State,
    /// The same number in a whole job.
    Keys,
}

/// Builds what the benchmarks run. The whole workspace is chosen so that dependencies have the features that they have
/// for tests, too: otherwise the large ones would be compiled once more.
fn build(chosen: &[Benchmark]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--workspace"]);
    for benchmark in chosen {
        command.args(match benchmark {
            Benchmark::Job => &["--bin", "tidemark", "--bin", "baseline"][..],
            Benchmark::Profile | Benchmark::Keys => &["--bin", "tidemark"],
            Benchmark::Boundary => &["--example", "boundary"],
            Benchmark::Sql => &["--example", "sql_jitter"],
            Benchmark::State => &["--example", "five_million_keys"],
        });
    }
    process::run(&mut command)
}
