//! A Java process that never outlives the process that started it, however that ends.
//!
//! A shell stands between: it starts the program, says its process id, waits until its standard input is closed, which
//! the operating system does when we die, and kills the program.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!; cat >/dev/null; kill -9 $!; wait $!"#;

/// The running program.
pub(crate) struct Process {
    shell: Child,
    id: String,
}

impl Process {
    /// Starts `program`, what it prints going to the end of `log`.
    pub(crate) fn start(program: &Command, log: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(log).arg(program.get_program()).args(program.get_args());
        // What the shell itself says (a program that it kills has ended already) helps nobody.
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut id = String::new();
        if let Some(output) = &mut shell.stdout {
            BufReader::new(output).read_line(&mut id)?;
        }
        Ok(Self { shell, id: id.trim().to_owned() })
    }

    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.signal("-0")
    }

    /// Ends it as a crash of the machine would, or a person with little patience.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(self, patience: Duration) {
        self.signal("-TERM");
        let deadline = Instant::now() + patience;
        while self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: &str) -> bool {
        let mut kill = Command::new("kill");
        kill.args([signal, &self.id]).stdout(Stdio::null()).stderr(Stdio::null());
        kill.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It ends by itself now.
        let _ = self.shell.wait();
    }
}

/// The last lines of a log.
pub(crate) fn end_of(log: &Path) -> String {
    let Ok(file) = File::open(log) else { return "no log".to_owned() };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
