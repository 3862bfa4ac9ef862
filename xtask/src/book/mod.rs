//! `cargo xtask book`: the pages of the book in `docs/` that are made of other files: the contract of its WIT, and the
//! SDKs' own pages; then the whole as HTML, by mdBook.
//!
//! Tests hold that these pages are up to date, that every page is in the summary, and that every link leads somewhere, in
//! the sources and in the HTML; that the catalogue names every column.

#[cfg(test)]
mod catalogue;
mod contract;
mod html;
mod links;

use crate::workspace;
use anyhow::{Context as _, Result};
use links::Place;
use std::fs;
use std::path::{Path, PathBuf};
use test_tools::Tools;

/// A page that is a copy of another file, but for its links.
struct Copy {
    page: &'static str,
    source: &'static str,
}

const COPIES: [Copy; 7] = [
    Copy { page: "authoring/rust.md", source: "guest-sdk/rust/README.md" },
    Copy { page: "authoring/go.md", source: "guest-sdk/go/README.md" },
    Copy { page: "authoring/python.md", source: "guest-sdk/python/README.md" },
    Copy { page: "authoring/javascript.md", source: "guest-sdk/js/README.md" },
    Copy { page: "authoring/c.md", source: "guest-sdk/c/README.md" },
    Copy { page: "reference/describe.md", source: "wit/describe.md" },
    Copy { page: "reference/state.md", source: "wit/state.md" },
];

/// The page of the contract.
const CONTRACT: &str = "reference/contract.md";

/// Writes the pages, and the book.
pub(crate) fn run() -> Result<()> {
    for (page, text) in pages(&workspace::root())? {
        let file = workspace::root().join("docs").join(&page);
        let parent = file.parent().context("a page lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("docs/{}", page.display());
    }
    test_tools::install().context("mdBook cannot be had")?;
    let folder = workspace::target().join("book");
    html::build(&Tools::installed()?, &folder)?;
    println!("{}", folder.join("index.html").display());
    Ok(())
}

/// The pages that are made of other files, by path within `docs/`.
fn pages(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut pages = vec![(PathBuf::from(CONTRACT), made_of("wit/metric.wit", &contract::page(root)?))];
    for Copy { page, source } in &COPIES {
        let text = fs::read_to_string(root.join(source)).with_context(|| format!("cannot read {source}"))?;
        let place = Place { page: Path::new(page), source: Path::new(source) };
        pages.push((PathBuf::from(page), made_of(source, &links::moved(&text, &place, &page_of_source))));
    }
    Ok(pages)
}

/// The page that is made of the file `source`.
fn page_of_source(source: &Path) -> Option<&'static Path> {
    if source == Path::new("wit/metric.wit") {
        return Some(Path::new(CONTRACT));
    }
    COPIES.iter().find(|copy| Path::new(copy.source) == source).map(|copy| Path::new(copy.page))
}

/// A page with a note for who wants to edit it.
fn made_of(source: &str, text: &str) -> String {
    format!("<!-- Made of {source} by `cargo xtask book`: change it there. -->\n\n{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_stale() {
        let root = workspace::root();
        for (page, text) in pages(&root).expect("the pages can be made") {
            let found = fs::read_to_string(root.join("docs").join(&page)).unwrap_or_default();
            assert!(found == text, "docs/{} is out of date: cargo xtask book", page.display());
        }
    }

    #[test]
    fn every_page_is_in_the_summary_and_there() {
        let docs = workspace::root().join("docs");
        let summary = fs::read_to_string(docs.join("SUMMARY.md")).expect("there is a summary");
        let listed: Vec<PathBuf> = links::targets(&summary).map(|(target, _)| PathBuf::from(target)).collect();
        for page in &listed {
            assert!(docs.join(page).is_file(), "SUMMARY.md names {}, which is not there", page.display());
        }
        for page in links::pages_below(&docs) {
            let is_listed = page == Path::new("SUMMARY.md") || listed.contains(&page);
            assert!(is_listed, "docs/{} is not in docs/SUMMARY.md: add it", page.display());
        }
    }

    #[test]
    fn every_link_leads_somewhere() {
        let root = workspace::root();
        let mut mistakes = Vec::new();
        for page in links::pages_below(&root.join("docs")) {
            let text = fs::read_to_string(root.join("docs").join(&page)).expect("a text");
            mistakes.extend(links::mistakes(&root, &page, &text));
        }
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}
