//! `cargo xtask CHORE`: every chore of the project, in Rust, so that a clean clone needs nothing but rustup and a C
//! compiler. This file only chooses the chore; each one lives in a file of its own.

mod bench;
mod book;
mod chaos;
mod clickhouse;
mod dashboards;
mod demo;
mod go_frame;
mod languages;
mod metrics;
mod process;
mod setup;
mod test;
mod tidy;
mod workspace;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask CHORE

  demo       the main job on a million generated events, with a crash and a recovery
  test       set up, build the metrics and run every test
  bench      measure job, profile, boundary, sql, languages, state, keys, latest, kafka, clickhouse or all of it; results
             in bench/RESULTS.md
  chaos      kill the real process between topics of a real broker, 200 times or as often as told, and check its rows;
             `chaos nodes`: with one, two, three nodes and one again
  metrics    build metrics into components, target/metrics/<name>.wasm: those in Rust, and the others where their
             toolchains are there
  languages  fetch the toolchains of Go, Python, JavaScript and C, run the tests of their SDKs, build their metrics
  setup      install what a fresh machine lacks, or say how
  dashboards write the dashboards of Grafana: deploy/grafana/dashboards/*.json
  go-frame   make the frame of metrics in Go, of the contract: guest-sdk/go/frame/frame.wasm
  book       make the pages of the book, docs/, that are made of other files, the contract and the SDKs; then all of it
             as HTML: target/book
  tidy       check the rules that rustfmt and clippy do not know
  help       show this text
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["demo"] => demo::run(),
        ["test"] => test::run(),
        ["bench"] => bench::run("all"),
        ["bench", name] => bench::run(name),
        ["metrics"] => metrics::run(),
        ["book"] => book::run(),
        ["languages"] => setup::for_languages().and_then(|()| languages::run()),
        ["dashboards"] => dashboards::run(),
        ["go-frame"] => go_frame::run(),
        ["chaos", "nodes", numbers @ ..] if numbers.len() <= 2 => chaos::run(true, numbers),
        ["chaos", numbers @ ..] if numbers.len() <= 2 => chaos::run(false, numbers),
        ["setup"] => setup::for_everything(),
        ["tidy"] => tidy::run(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("no such chore: `{}`\n\n{HELP}", other.join(" ")),
    }
}
