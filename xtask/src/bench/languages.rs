//! What a metric costs in each language, beside native code.

use super::pinned;
use crate::process::output_of;
use crate::workspace;
use anyhow::{Context as _, Result, ensure};

/// Which module is which language.
const MODULES: [(&str, &str); 5] = [
    ("jitter-coefficient", "Rust"),
    ("jitter-coefficient-c", "C"),
    ("jitter-coefficient-go", "Go"),
    ("jitter-coefficient-ts", "TypeScript"),
    ("jitter-coefficient-python", "Python"),
];

/// One line of the example's table.
struct Line {
    name: String,
    bytes: f64,
    load_ms: f64,
    start_us: f64,
    times: Vec<f64>,
}

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let mut command = pinned::command(&workspace::built("examples/languages"), "0");
    for (name, language) in MODULES {
        let module = workspace::root().join("target/metrics").join(format!("{name}.wasm"));
        ensure!(module.is_file(), "{} is missing: `cargo xtask languages` makes it of {language}", module.display());
        command.arg(module);
    }
    let output = output_of(&mut command)?;
    print!("{output}");
    let lines: Vec<Line> = output.lines().filter_map(Line::parse).collect();
    let line = |name: &str| lines.iter().find(|line| line.name == name).with_context(|| format!("no line for {name}"));
    let native = line("native")?;
    let mut table = String::new();
    for (name, language) in MODULES {
        let Line { bytes, load_ms, start_us, times, .. } = line(name)?;
        let times = times.iter().zip(&native.times);
        let times: String = times.map(|(own, native)| format!(" {own:.0} ns ({:.1}) |", own / native)).collect();
        table += &format!(
            "| {language} | {:.0} kB | {:.2} s | {:.2} ms |{times}\n",
            bytes / 1000.0,
            load_ms / 1000.0,
            start_us / 1000.0
        );
    }
    let native: String = native.times.iter().map(|time| format!(" {time:.1} ns |")).collect();
    Ok(format!(
        "`jitter-coefficient` in each language, on the same columns; the states that come back are compared with those of \
         native code. Nanoseconds an event, in brackets as multiples of native code, {}: medians, rounds of the module and \
         of native code in turn, by groups × events of a group in one call. Loading is compiling, without the cache, and \
         three calls of `describe`; starting is a configured instance.\n\
         Command: `cargo xtask bench languages`.\n\n\
         | | module | loading | starting | 256 × 1 | 256 × 16 | 16 × 1,024 |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n\
         | native | | | |{native}\n{table}",
        pinned::describe("0"),
    ))
}

impl Line {
    /// `name bytes load start times…`; `None` for every other line.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
        let [bytes, load_ms, start_us, times @ ..] = &numbers?[..] else { return None };
        (!times.is_empty()).then(|| Self {
            name,
            bytes: *bytes,
            load_ms: *load_ms,
            start_us: *start_us,
            times: times.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_modules_are_read_and_others_left_out() {
        let line =
            Line::parse("   jitter-coefficient-go   3012345   812   1043   310.5   61.2   40.0").expect("a line");
        assert_eq!(
            (line.name.as_str(), line.bytes, line.load_ms, line.start_us),
            ("jitter-coefficient-go", 3_012_345.0, 812.0, 1_043.0)
        );
        assert_eq!(line.times, [310.5, 61.2, 40.0]);
        assert!(Line::parse("  module  bytes  load ms  start us  256 × 1").is_none());
        assert!(Line::parse("").is_none());
    }
}
