//! `cargo xtask tidy`: rules of the house that neither rustfmt nor clippy knows. They hold for every file that git
//! tracks or would track.

use crate::process::output_of;
use crate::workspace;
use anyhow::{Result, bail};
use std::fs;
use std::process::Command;

/// The most lines of a Rust file.
const MAX_LINES: usize = 500;

/// Files that are longer, each with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Files in which tabs belong to the language.
const TABBED: [&str; 3] = [".go", "go.mod", "Makefile"];

/// Folders of somebody's machine. Joined here so that this file keeps its own rule.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/", "work/"), concat!("/", "home/"), concat!("/", "root/")];

/// Words that mark unfinished work. Joined for the same reason.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Checks every file and reports all mistakes at once.
pub(crate) fn run() -> Result<()> {
    let mut list = Command::new("git");
    list.current_dir(workspace::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = output_of(&mut list)?;
    let mut checked = 0_usize;
    let mut mistakes = Vec::new();
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        // Deleted but not yet committed, or not text: nothing to check.
        let Ok(bytes) = fs::read(workspace::root().join(name)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        checked += 1;
        mistakes.extend(check(name, &text).into_iter().map(|mistake| format!("{name}:{mistake}")));
    }
    if !mistakes.is_empty() {
        bail!("{} mistakes in {checked} files:\n  {}", mistakes.len(), mistakes.join("\n  "));
    }
    println!("tidy: {checked} files");
    Ok(())
}

/// The mistakes of one file, each beginning with the number of its line.
fn check(name: &str, text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    if name.ends_with(".rs") {
        if !text.starts_with("//!") {
            mistakes.push("1: begin with `//!`: what the file owns, and what it must not know".to_owned());
        }
        let lines = text.lines().count();
        if lines > MAX_LINES && !LONG_FILES.iter().any(|(long, _)| *long == name) {
            mistakes.push(format!("{lines}: at most {MAX_LINES} lines: split the file, or give a reason in tidy.rs"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        mistakes.push(format!("{}: end the file with a line break", text.lines().count()));
    }
    // A lock file and a licence are written by others.
    if name.ends_with(".lock") || name == "LICENSE" {
        return mistakes;
    }
    let may_have_tabs = TABBED.iter().any(|end| name.ends_with(end));
    for (index, line) in text.lines().enumerate() {
        let mut add = |message: &str| mistakes.push(format!("{}: {message}", index + 1));
        // Behind text it is data: a test may need one.
        if line.trim_start_matches(' ').starts_with('\t') && !may_have_tabs {
            add("indent with spaces, not tabs");
        }
        if line.ends_with([' ', '\t']) {
            add("white space at the end of the line");
        }
        if MACHINE_FOLDERS.iter().any(|folder| has_absolute(line, folder)) {
            add("a path of somebody's machine");
        }
        if name.ends_with(".rs") && UNFINISHED.iter().any(|word| line.contains(word)) {
            add("unfinished work: finish it, or open an issue");
        }
    }
    mistakes
}

/// Whether `line` has a path that begins with `folder`, not just one that contains it.
fn has_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-/~}$".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_file_has_no_mistakes() {
        assert_eq!(check("a.rs", "//! Says what it is.\n\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(check("Makefile", "all:\n\tcargo build\n"), Vec::<String>::new());
        assert_eq!(check("a.md", concat!("see example.org/", "work/a and ../", "home/b\n")), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_found() {
        let text = concat!("fn a() {} \n\tlet b = \"/", "work/b\"; // TO", "DO");
        let found: Vec<String> = check("a.rs", text);
        let lines: Vec<&str> = found.iter().filter_map(|mistake| mistake.split(':').next()).collect();
        assert_eq!(lines, ["1", "2", "1", "2", "2", "2"], "{found:?}");
        assert_eq!(check("a.rs", &format!("//! Long.\n{}", "\n".repeat(MAX_LINES))).len(), 1);
    }
}
