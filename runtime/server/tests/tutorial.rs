//! The tutorial of the book, run: every block of shell commands, in order, in one folder within the checkout; what a block
//! of text behind it shows must be among what the commands say.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use support::workspace;

/// A block of commands and the lines that they are said to print.
struct Step {
    line: usize,
    commands: String,
    fails: bool,
    shown: Vec<String>,
}

/// The blocks of a page: fences `sh` and `sh fails`, each with the fences `text` that follow it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), fence) {
            (Some(kind), None) => {
                if kind.starts_with("sh") {
                    steps.push(Step {
                        line: number,
                        commands: String::new(),
                        fails: kind == "sh fails",
                        shown: vec![],
                    });
                }
                fence = Some(kind);
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some("sh" | "sh fails")) => {
                let step = steps.last_mut().expect("the fence began a step");
                step.commands += line;
                step.commands.push('\n');
            }
            (None, Some("text")) => steps.last_mut().expect("text follows commands").shown.push(line.to_owned()),
            (None, _) => {}
        }
    }
    steps
}

#[test]
fn the_tutorial_does_what_it_says() {
    let page = fs::read_to_string(workspace().join("docs/tutorial.md")).expect("the page is there");
    let steps = steps(&page);
    assert!(steps.len() >= 5, "the tutorial has lost its commands");
    let target = workspace().join("target");
    fs::create_dir_all(&target).expect("a folder");
    // Within the checkout, as the page says, so that the SDK is found.
    let folder = tempfile::Builder::new().prefix("tutorial-").tempdir_in(&target).expect("a folder");
    let binary = Path::new(env!("CARGO_BIN_EXE_tidemark")).parent().expect("it lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.display());
    // A later block goes on where the one before has left off.
    let here = folder.path().join(".here");
    fs::write(&here, folder.path().display().to_string()).expect("written");
    for Step { line, commands, fails, shown } in steps {
        let here = here.display();
        let script = format!("set -e\ncd \"$(cat {here})\"\ntrap 'pwd > {here}' EXIT\n{commands}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .env("PATH", &path)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), !fails, "docs/tutorial.md:{line}:\n{commands}\n{said}");
        for expected in shown.iter().filter(|expected| !expected.trim().is_empty()) {
            let is_there = said.lines().any(|line| line.trim_end() == expected.trim_end());
            assert!(is_there, "docs/tutorial.md:{line}: not said: {expected}\n{said}");
        }
    }
}
