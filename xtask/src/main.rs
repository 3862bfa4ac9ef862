//! `cargo xtask CHORE`: every chore of the project, in Rust, so that a clean clone needs nothing but rustup and a C
//! compiler. This file only chooses the chore; each one lives in a file of its own.

mod component;
mod guest_toolchain;
mod metrics;
mod workspace;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask CHORE

  metrics    build the metrics under metrics-wasm/ into components: target/metrics/<crate>.wasm
  help       show this text
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["metrics"] => metrics::run(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("no such chore: `{}`\n\n{HELP}", other.join(" ")),
    }
}
