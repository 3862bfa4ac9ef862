//! A program in the background that never outlives the process that started it, however that ends.
//!
//! A shell stands between: it starts the program, waits until its standard input is closed, which the operating system
//! does when we die, and kills the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str =
    r#"log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $! >"$log.pid"; cat >/dev/null; kill -9 $!; wait $!"#;

/// The running program; killed when dropped.
pub struct Background {
    shell: Child,
    log: PathBuf,
}

impl Background {
    /// Starts `program` with its environment and folder. What it prints goes to the end of `log`.
    ///
    /// # Panics
    /// If there is no shell.
    pub fn start(program: &Command, log: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(log).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = program.get_current_dir() {
            shell.current_dir(folder);
        }
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { shell: shell.expect("a shell can be started"), log: log.to_owned() }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.signal("-0")
    }

    /// Sends it a signal, `-TERM` for example. Whether there was somebody to send it to.
    pub fn signal(&self, signal: &str) -> bool {
        let id = fs::read_to_string(self.log.with_added_extension("pid")).unwrap_or_default();
        let mut kill = Command::new("kill");
        kill.args([signal, id.trim()]).stdout(Stdio::null()).stderr(Stdio::null());
        !id.trim().is_empty() && kill.status().is_ok_and(|status| status.success())
    }

    /// Asks it to end, and waits for that. Whether it did in time.
    pub fn stop(&self, patience: Duration) -> bool {
        self.signal("-TERM");
        let deadline = Instant::now() + patience;
        while self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        !self.runs()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It ends by itself now.
        let _ = self.shell.wait();
    }
}
