//! Links of Markdown pages: moved with a text that is copied elsewhere, and held against the files that are there.
//!
//! In the book a link leads to another page of it, or to an address. What lies elsewhere in the repository is linked by
//! the repository's address, since a page of HTML has no files beside it.

#[cfg(test)]
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where the repository's files are read.
const REPOSITORY: &str = "https://github.com/tidemark/tidemark/blob/main/";

/// From where to where a text is copied.
pub(super) struct Place<'a> {
    /// The page, within `docs/`.
    pub(super) page: &'a Path,
    /// The file, within the repository.
    pub(super) source: &'a Path,
}

/// `text` with links that lead on from its new place; `page_of` knows the pages that are made of files.
pub(super) fn moved(text: &str, place: &Place<'_>, page_of: &dyn Fn(&Path) -> Option<&'static Path>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (target, range) in targets(text).map(|(target, at)| (target, at..at + target.len())) {
        let (path, fragment) = target.split_once('#').map_or((target, ""), |(path, fragment)| (path, fragment));
        if path.is_empty() || is_address(path) {
            continue;
        }
        let file = normal(&place.source.parent().unwrap_or(Path::new("")).join(path));
        let new = match page_of(&file) {
            Some(page) => relative(place.page, page),
            None => format!("{REPOSITORY}{}", file.display()),
        };
        out.push_str(&text[end..range.start]);
        out.push_str(&new);
        if !fragment.is_empty() {
            out.push('#');
            out.push_str(fragment);
        }
        end = range.end;
    }
    out.push_str(&text[end..]);
    out
}

/// Links of the page `page` within `docs/` that lead nowhere.
#[cfg(test)]
pub(super) fn mistakes(root: &Path, page: &Path, text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (target, at) in targets(text) {
        let line = text[..at].lines().count();
        let mut mistake = |what: &str| mistakes.push(format!("docs/{}:{line}: {target}: {what}", page.display()));
        let path = target.split('#').next().unwrap_or_default();
        if let Some(file) = path.strip_prefix(REPOSITORY) {
            if !root.join(file).exists() {
                mistake("the repository has no such file");
            }
        } else if !path.is_empty() && !is_address(path) {
            let file = normal(&Path::new("docs").join(page.parent().unwrap_or(Path::new(""))).join(path));
            if !file.starts_with("docs") {
                mistake(&format!("leaves the book: link {REPOSITORY}{}", file.display()));
            } else if !root.join(&file).is_file() {
                mistake("there is no such page");
            }
        }
    }
    mistakes
}

/// Every Markdown file below `docs`, relative to it.
#[cfg(test)]
pub(super) fn pages_below(docs: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![docs.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.extend(path.strip_prefix(docs).map(Path::to_owned));
            }
        }
    }
    pages.sort();
    pages
}

/// The targets of the inline links of a Markdown text, outside code, and where each begins.
pub(super) fn targets(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut found = Vec::new();
    let (mut in_fence, mut start) = (false, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence && !line.starts_with("    ") {
            found.extend(targets_in_line(line).into_iter().map(|(target, at)| (target, start + at)));
        }
        start += line.len();
    }
    found.into_iter()
}

fn targets_in_line(line: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = line[from..].find("](").map(|at| from + at + 2) {
        let Some(length) = line[at..].find(')') else { break };
        // An odd number of backticks before it: it is within code.
        if line[..at].matches('`').count().is_multiple_of(2) {
            found.push((&line[at..at + length], at));
        }
        from = at + length;
    }
    found
}

fn is_address(path: &str) -> bool {
    path.contains("://") || path.starts_with("mailto:")
}

/// `path` without `.` and `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    normal
}

/// The way from the page `from` to the page `to`.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.parent().map_or(0, |folder| folder.components().count());
    format!("{}{}", "../".repeat(up), to.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_move_with_their_text() {
        let place = Place { page: Path::new("authoring/go.md"), source: Path::new("guest-sdk/go/README.md") };
        let page_of = |file: &Path| (file == Path::new("wit/state.md")).then_some(Path::new("reference/state.md"));
        let text = "[a](../../wit/state.md#maps) [b](frame/frame.go) `[c](d)` [e](https://go.dev) [f](#g)";
        let expected = "[a](../reference/state.md#maps) \
                        [b](https://github.com/tidemark/tidemark/blob/main/guest-sdk/go/frame/frame.go) `[c](d)` \
                        [e](https://go.dev) [f](#g)";
        assert_eq!(moved(text, &place, &page_of), expected);
    }

    #[test]
    fn dead_links_are_found() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("docs")).expect("a folder");
        fs::write(root.path().join("docs/a.md"), "").expect("a file");
        let text = "[a](a.md)\n[b](b.md)\n[c](../README.md)\n```\n[d](d.md)\n```\n";
        let found = mistakes(root.path(), Path::new("x.md"), text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("docs/x.md:2: b.md"), "{found:?}");
        assert!(found[1].contains("leaves the book"), "{found:?}");
    }
}
