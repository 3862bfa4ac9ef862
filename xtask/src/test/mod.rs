//! `cargo xtask test`: every test of the project, documentation examples included.
//!
//! The pure crates run in `dev`, with debug assertions and overflow checks. Everything else runs in `release`: that is
//! the one profile in which RocksDB, wasmtime and DataFusion are ever built, since each takes minutes.

mod programs;

use crate::languages::{Failed, Outcome};
use crate::{go_frame, languages, metrics, setup, workspace};
use anyhow::{Context as _, Result, bail};
use programs::Ended;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Crates without heavy dependencies, tested in `dev`.
const PURE: [&str; 2] = ["tidemark-dataflow", "tidemark-engine"];

/// Runs them all, also after failures, and says how many passed.
pub(crate) fn run() -> Result<()> {
    setup::for_everything()?;
    metrics::run()?;
    go_frame::check()?;
    let mut tally = Tally::default();
    for outcome in languages::test() {
        tally.add_language(&outcome);
    }

    println!("\ntests of the pure crates");
    let mut pure = workspace::cargo();
    pure.args(["test", "--no-fail-fast"]).args(PURE.map(|name| format!("--package={name}")));
    tally.add_run("the pure crates", &mut pure)?;

    println!("\ntests of the other crates");
    let heavy = || {
        let mut heavy = workspace::cargo();
        heavy.args(["test", "--no-fail-fast", "--release", "--workspace"]);
        heavy.args(PURE.map(|name| format!("--exclude={name}")));
        heavy
    };
    match programs::compile(heavy())? {
        None => tally.fail("the other crates do not compile: see above".to_owned()),
        Some(programs) => {
            // A test starts the binary dozens of times: what one of them has compiled is there for all.
            let compiled = workspace::target().join("compiled-modules");
            let variables = [("TIDEMARK__DATA__MODULES", compiled)];
            programs::run(&programs, &variables, |program, ended| tally.add_program(&program.name, &ended))?;
        }
    }
    tally.add_run("examples in the documentation", heavy().arg("--doc"))?;

    tally.not_run.iter().for_each(|test| println!("not run: {test}"));
    tally.failures.iter().for_each(|name| println!("failed: {name}"));
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("{} tests failed", tally.failed);
    }
    if tally.passed == 0 {
        bail!("no test ran at all");
    }
    Ok(())
}

/// Results over several runs of the test harness.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    /// Tests that passed without having run, because something is missing here: name and reason.
    not_run: Vec<String>,
}

impl Tally {
    /// Runs `command`, a `cargo test` of `what`, shows what it prints, and adds its results.
    fn add_run(&mut self, what: &str, command: &mut Command) -> Result<()> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
        let output = child.stdout.take().context("cargo has no standard output")?;
        let failed_before = self.failed;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            self.add_line(&line);
        }
        let succeeded = child.wait().context("cannot wait for cargo")?.success();
        self.explain(what, succeeded, failed_before);
        Ok(())
    }

    /// Shows what a program has printed, and adds its results.
    fn add_program(&mut self, name: &str, ended: &Ended) {
        let failed_before = self.failed;
        println!("\n{name}, {} s", ended.took.as_secs());
        for line in ended.output.lines() {
            println!("{line}");
            self.add_line(line);
        }
        self.explain(name, ended.succeeded, failed_before);
    }

    /// What fails without a test that does is a failure of its own.
    fn explain(&mut self, what: &str, succeeded: bool, failed_before: u64) {
        if !succeeded && self.failed == failed_before {
            self.fail(format!("{what}: did not compile, or a test ended its process: see above"));
        }
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Counts a language as one test. Where its toolchain cannot be had its tests are not run; in CI that is a failure.
    fn add_language(&mut self, outcome: &Outcome) {
        let Outcome { language, result } = outcome;
        match result {
            Ok(()) => self.passed += 1,
            Err(Failed::Unavailable(error)) if std::env::var_os("CI").is_none() => {
                self.not_run.push(format!("{language}: its toolchain cannot be had: {error:#}"));
            }
            Err(failed) => self.fail(format!("{language}: {failed}")),
        }
    }

    fn add_line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
        // In the middle of a line where the harness had begun to tell of another test.
        if let Some((_, test)) = line.split_once("not run: ") {
            self.not_run.push(test.to_owned());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, " passed");
            self.failed += count(result, " failed");
        }
    }
}

/// The number before `word` in the harness's closing line, `ok. 12 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let before = result.split(word).next().unwrap_or_default();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn closing_lines_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "test engine::tests::one ... ok",
            "test engine::tests::two ... FAILED",
            "test result: FAILED. 11 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 230 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.50s",
            "a test that prints 5 passed",
        ] {
            tally.add_line(line);
        }
        assert_eq!((tally.passed, tally.failed), (241, 1));
        assert_eq!(tally.failures, ["engine::tests::two"]);
    }

    #[test]
    fn a_program_that_ends_without_a_result_has_failed() {
        let mut tally = Tally::default();
        let ended = |output: &str| Ended { output: output.to_owned(), succeeded: false, took: Duration::ZERO };
        tally.add_program("server kill", &ended("test one ... "));
        assert_eq!((tally.passed, tally.failed, tally.failures.len()), (0, 1, 1));
        tally.add_program("server kafka", &ended("test two ... FAILED\ntest result: FAILED. 3 passed; 1 failed;"));
        assert_eq!((tally.passed, tally.failed), (3, 2));
        assert_eq!(tally.failures[1], "two");
    }
}
