//! `bench/RESULTS.md`: one section for each benchmark, replaced when it runs; what people write between them stays.

use crate::workspace;
use anyhow::{Context as _, Result};
use std::fs;

/// Seen from the root of the workspace.
pub(super) const FILE: &str = "bench/RESULTS.md";

const PREFACE: &str = "\
# Results of the benchmarks

Written by `cargo xtask bench`. Things that are compared ran in turn, within one run, on the same cores; figures are
medians with the least and the greatest in brackets, ratios are taken pair by pair.
";

/// Replaces the section `title`, or adds it at the end.
pub(super) fn replace(title: &str, text: &str) -> Result<()> {
    let path = workspace::root().join(FILE);
    let old = fs::read_to_string(&path).unwrap_or_else(|_| PREFACE.to_owned());
    fs::write(&path, with_section(&old, title, text)).with_context(|| format!("cannot write {}", path.display()))
}

fn with_section(document: &str, title: &str, text: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{}\n", text.trim_end());
    let Some(start) = document.match_indices(&heading).map(|(at, _)| at).find(|at| is_line_start(document, *at)) else {
        return format!("{}\n\n{section}", document.trim_end());
    };
    let body = start + heading.len();
    match document[body..].find("\n## ") {
        Some(length) => format!("{}{section}\n{}", &document[..start], &document[body + length + 1..]),
        None => format!("{}{section}", &document[..start]),
    }
}

fn is_line_start(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes()[at - 1] == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_added_and_replaced_where_they_stand() {
        let first = with_section("# Title\n", "Job", "one\n");
        assert_eq!(first, "# Title\n\n## Job\n\none\n");
        let both = with_section(&first, "State", "two");
        assert_eq!(both, "# Title\n\n## Job\n\none\n\n## State\n\ntwo\n");
        assert_eq!(with_section(&both, "Job", "1\n\n1"), "# Title\n\n## Job\n\n1\n\n1\n\n## State\n\ntwo\n");
        assert_eq!(with_section(&both, "State", "2"), "# Title\n\n## Job\n\none\n\n## State\n\n2\n");
    }
}
