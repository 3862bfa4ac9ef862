//! The book as HTML, made by mdBook, and whether every link in it leads somewhere.

use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use test_tools::Tools;

/// Makes HTML of `docs/` in the folder `to`. A warning of mdBook's is an error.
pub(super) fn build(tools: &Tools, to: &Path) -> Result<()> {
    let mut mdbook = tools.mdbook();
    mdbook.arg("build").arg(workspace::root().join("docs")).arg("--dest-dir").arg(to);
    let output = mdbook.output().context("cannot start mdbook")?;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !said.contains("WARN"), "mdbook build docs: {}\n{said}", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::links::normal;
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    /// The values of an attribute.
    fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
        let begin = format!(" {attribute}=\"");
        html.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    /// Every page below `folder`, relative to it.
    fn pages(folder: &Path) -> BTreeMap<PathBuf, String> {
        let mut pages = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(below) = folders.pop() {
            for path in fs::read_dir(below).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "html") {
                    let name = path.strip_prefix(folder).expect("it is below").to_owned();
                    pages.insert(name, fs::read_to_string(&path).expect("a text"));
                }
            }
        }
        // It is shown in place of any page that is not there, and so has links of its own kind.
        pages.remove(Path::new("404.html"));
        pages
    }

    #[test]
    fn the_book_is_made_and_its_links_lead_somewhere() {
        let Some(tools) = Tools::find("book::html::the_book_is_made_and_its_links_lead_somewhere") else { return };
        let folder = tempfile::tempdir().expect("a folder");
        build(&tools, folder.path()).expect("the book is made");
        let pages = pages(folder.path());
        let mut mistakes = Vec::new();
        for (page, html) in &pages {
            for target in values(html, "href").into_iter().chain(values(html, "src")) {
                let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
                if path.contains(':') {
                    continue;
                }
                let name = match path {
                    "" => page.clone(),
                    path => normal(&page.parent().unwrap_or(Path::new("")).join(path)),
                };
                let is_there = folder.path().join(&name).is_file();
                let has_it = |html: &String| fragment.is_empty() || values(html, "id").contains(&fragment);
                if !is_there || !pages.get(&name).is_none_or(has_it) {
                    mistakes.push(format!("{}: {target}", page.display()));
                }
            }
        }
        assert!(pages.len() > 15, "only {} pages", pages.len());
        assert!(mistakes.is_empty(), "links that lead nowhere:\n{}", mistakes.join("\n"));
    }
}
