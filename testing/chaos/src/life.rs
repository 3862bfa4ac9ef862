//! One life of the process: how it is configured, when it is killed, and what dies with it.

use crate::random::Random;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to reach a step that may not come, before it is killed anyway.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a life ends.
#[derive(Debug)]
pub(crate) enum Death {
    /// At a named step.
    At(String),
    /// So long after its start.
    After(Duration),
}

/// A life that ends by `kill -9`.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) death: Death,
    /// Whether the disk goes with it: all but checkpoints and tick log, which are elsewhere.
    pub(crate) loses_disk: bool,
    pub(crate) workers: u64,
    pub(crate) tick_records: u64,
    pub(crate) epoch_ms: u64,
    pub(crate) checkpoint_every: u64,
}

impl Life {
    pub(crate) fn draw(random: &mut Random, steps: &[String]) -> Self {
        let death = if random.one_in(2) {
            Death::At(format!("{}:{}", random.choose(steps), random.between(1, 4)))
        } else {
            Death::After(Duration::from_millis(random.between(150, 1_500)))
        };
        Self {
            death,
            loses_disk: random.one_in(4),
            workers: random.between(1, 2),
            tick_records: random.between(50, 2_000),
            epoch_ms: random.between(10, 200),
            checkpoint_every: random.between(1, 5),
        }
    }

    /// Lives it, with this configuration. An error is an end that was not asked for, with what the process said.
    pub(crate) fn live(&self, tidemark: &Path, config: &Path, data: &Path) -> Result<(), String> {
        let mut command = Command::new(tidemark);
        command.arg("run").arg(config).arg("--data").arg(data).env_remove("TIDEMARK_KILL_AT");
        let patience = match &self.death {
            Death::At(step) => {
                command.env("TIDEMARK_KILL_AT", step);
                PATIENCE
            }
            Death::After(after) => *after,
        };
        let log = data.with_extension("log");
        let output = std::fs::File::create(&log).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let ended = wait(&mut child, patience)?;
        if ended.is_none() {
            child.kill().and_then(|()| child.wait().map(drop)).map_err(|error| error.to_string())?;
        }
        if let Some(code) = ended.flatten() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("it ended with exit code {code}: {said}"));
        }
        if self.loses_disk {
            // It may not have come so far as to make one.
            let _ = std::fs::remove_dir_all(data);
        }
        Ok(())
    }
}

/// Waits for its end: `None` if it lives on, else its exit code, if it was not killed.
fn wait(child: &mut Child, patience: Duration) -> Result<Option<Option<i32>>, String> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(Some(status.code()));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
