//! How fast rows reach ClickHouse through the sink, beside the fastest that the engine itself can take them.

use super::figures::verdict;
use crate::process::output_of;
use crate::{clickhouse, workspace};
use anyhow::{Result, ensure};
use std::process::Command;

/// Rows a second from memory to the acknowledgement.
const LEAST_RATE: f64 = 500_000.0;
/// Of the engine's own rate over the same blocks.
const LEAST_RATIO: f64 = 0.7;
/// Blocks of half a million rows, beside one to warm up.
const BLOCKS: u32 = 9;

/// One series of blocks.
struct Series {
    /// Whether there are roll-ups behind the table.
    name: String,
    sink: f64,
    engine: f64,
    ratio: f64,
}

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    if !clickhouse::is_there() {
        clickhouse::install()?;
    }
    let program = workspace::built("examples/clickhouse_throughput");
    let output = output_of(Command::new(program).arg(BLOCKS.to_string()))?;
    print!("{output}");
    let series = parse(&output);
    ensure!(series.len() == 2, "the example printed {} medians, not 2:\n{output}", series.len());
    let lines: Vec<String> = series
        .iter()
        .map(|Series { name, sink, engine, ratio }| {
            let verdict = verdict(*sink >= LEAST_RATE || *ratio >= LEAST_RATIO);
            format!("| {name} | {sink:.0} | {engine:.0} | {ratio:.2} | {verdict} |")
        })
        .collect();
    Ok(format!(
        "Blocks of half a million rows of twelve columns through the sink (from rows in memory over the outbox and HTTP to \
         the acknowledgement), and the same files read by the engine itself into a table of the same shape, block by block \
         in turn; medians of {} blocks. The engine and the sink share the machine's cores.\n\
         Command: `cargo xtask bench clickhouse`. Target: at least {LEAST_RATE:.0} rows/s, or {LEAST_RATIO} of the \
         engine's own rate.\n\n\
         | | sink, rows/s | engine alone, rows/s | ratio | |\n| --- | --- | --- | --- | --- |\n{}\n\n\
         ```text\n{}\n```\n",
        BLOCKS - 1,
        lines.join("\n"),
        output.trim_end(),
    ))
}

/// The medians, each under the line that says of what.
fn parse(output: &str) -> Vec<Series> {
    let mut series = Vec::new();
    let mut name = "";
    for line in output.lines() {
        if line.ends_with(" roll-ups") {
            name = line;
        }
        series.extend(line.strip_prefix("median").and_then(|figures| Series::parse(name, figures)));
    }
    series
}

impl Series {
    fn parse(name: &str, figures: &str) -> Option<Self> {
        let figures: Option<Vec<f64>> = figures.split_whitespace().map(|figure| figure.parse().ok()).collect();
        let [sink, engine, ratio] = figures?[..] else { return None };
        Some(Self { name: name.to_owned(), sink, engine, ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_found_under_what_they_are_of() {
        let output = "rows\nwith roll-ups\n     1   5   6   7   0.5\nmedian       900                     1000   0.90\n\
                      without roll-ups\nmedian 1 2 0.5\n";
        let series = parse(output);
        assert_eq!(series.len(), 2);
        assert_eq!((series[0].name.as_str(), series[0].sink, series[0].ratio), ("with roll-ups", 900.0, 0.9));
        assert_eq!((series[1].name.as_str(), series[1].engine), ("without roll-ups", 2.0));
    }
}
