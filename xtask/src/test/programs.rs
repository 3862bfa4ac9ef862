//! The programs that tests are compiled into, run a few at a time: most of them wait for servers longer than they compute.

use crate::workspace;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Most programs at one time: each may start several servers.
const MOST: usize = 4;

/// A test program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Program {
    /// The package's folder and what is tested: `server kafka_kill`.
    pub(super) name: String,
    executable: PathBuf,
    /// The folder of the package, in which tests expect to run.
    folder: PathBuf,
}

/// What came of a program.
pub(super) struct Ended {
    pub(super) output: String,
    pub(super) succeeded: bool,
    pub(super) took: Duration,
}

/// Compiles the tests that `command`, a `cargo test`, would run; `None` where that fails, which cargo has told why.
pub(super) fn compile(mut command: Command) -> Result<Option<Vec<Program>>> {
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no standard output")?;
    let mut programs = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read what cargo says")?;
        programs.extend(serde_json::from_str(&line).ok().as_ref().and_then(program));
    }
    let compiled = child.wait().context("cannot wait for cargo")?.success();
    Ok(compiled.then_some(programs))
}

/// The test program that a message of cargo's tells of.
fn program(message: &Value) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let (package, target) = (folder.file_name()?.to_str()?, message["target"]["name"].as_str()?);
    Some(Program { name: format!("{package} {target}"), executable, folder })
}

/// Runs them all, with `variables` in their environment, and tells `told` of each as it ends. Libraries that are linked at run
/// time are found by what cargo has told this program.
pub(super) fn run(
    programs: &[Program],
    variables: &[(&str, PathBuf)],
    mut told: impl FnMut(&Program, Ended),
) -> Result<()> {
    let outputs = workspace::target().join("test-output");
    fs::create_dir_all(&outputs).with_context(|| format!("cannot create {}", outputs.display()))?;
    let next = AtomicUsize::new(0);
    let (tell, ends) = mpsc::channel();
    let lane = |tell: mpsc::Sender<_>| {
        while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut command = Command::new(&program.executable);
            command.current_dir(&program.folder).envs(variables.iter().map(|(name, value)| (name, value)));
            command.env("CARGO_MANIFEST_DIR", &program.folder);
            let output = outputs.join(format!("{}.txt", program.name.replace(' ', ".")));
            if tell.send((program, run_one(command, &output))).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get).min(MOST) {
            let tell = tell.clone();
            scope.spawn(move || lane(tell));
        }
        drop(tell);
        for (program, ended) in ends {
            told(program, ended.with_context(|| program.name.clone())?);
        }
        Ok(())
    })
}

/// Runs a program whose output goes to a file meanwhile.
fn run_one(mut command: Command, output: &Path) -> Result<Ended> {
    let begun = Instant::now();
    let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let errors = file.try_clone().context("cannot open the output twice")?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status().context("cannot start it")?;
    let bytes = fs::read(output).with_context(|| format!("cannot read {}", output.display()))?;
    let output = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { output, succeeded: status.success(), took: begun.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn programs_of_tests_are_found_and_others_left_out() {
        let message = json!({
            "reason": "compiler-artifact", "manifest_path": "/project/runtime/server/Cargo.toml",
            "target": { "name": "kafka_kill" }, "profile": { "test": true }, "executable": "/project/target/kafka_kill-1"
        });
        let found = program(&message).expect("a program");
        assert_eq!((found.name.as_str(), &*found.folder), ("server kafka_kill", Path::new("/project/runtime/server")));
        for (name, other) in [("profile", json!({ "test": false })), ("executable", Value::Null)] {
            let mut message = message.clone();
            message[name] = other;
            assert_eq!(program(&message), None, "{name}");
        }
    }

    #[test]
    fn every_program_runs_in_its_folder_and_is_told_of_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let program =
            |name: &str| Program { name: name.to_owned(), executable: name.into(), folder: folder.path().to_owned() };
        let programs = ["pwd", "false", "true", "env"].map(program);
        let mut ends = Vec::new();
        run(&programs, &[("TOLD", "so".into())], |program, ended| ends.push((program.name.clone(), ended)))
            .expect("they run");
        ends.sort_by(|one, other| one.0.cmp(&other.0));
        let told: Vec<_> = ends.iter().map(|(name, ended)| (name.as_str(), ended.succeeded)).collect();
        assert_eq!(told, [("env", true), ("false", false), ("pwd", true), ("true", true)]);
        assert!(ends[0].1.output.lines().any(|line| line == "TOLD=so"), "{}", ends[0].1.output);
        assert!(ends[2].1.output.trim().ends_with(folder.path().to_str().expect("a name")), "{}", ends[2].1.output);
    }
}
