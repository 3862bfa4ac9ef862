//! What a folder is: the project of one metric, and in which language.

use crate::{BuildError, Language, c, go, javascript, python, rust};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with one metric.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// Where it is, absolute.
    pub folder: PathBuf,
    /// What it is written in.
    pub language: Language,
    /// The file with the metric; for Rust and Go the file that makes the folder a crate or a module.
    pub source: PathBuf,
}

impl Project {
    /// The project in the folder `path`, or the one whose source is the file `path`.
    pub fn find(path: &Path) -> Result<Self, BuildError> {
        let path = path.canonicalize().map_err(BuildError::file(path))?;
        if path.is_dir() { Self::of_folder(path) } else { Self::of_file(path) }
    }

    /// Makes its component.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        match self.language {
            Language::Rust => rust::component(&rust::Toolchain::find()?, &self.folder),
            Language::Go => go::project(self),
            Language::Python => python::project(self),
            Language::JavaScript | Language::TypeScript => javascript::project(self),
            Language::C => c::project(self),
        }
    }

    fn of_folder(folder: PathBuf) -> Result<Self, BuildError> {
        for (name, language) in [("Cargo.toml", Language::Rust), ("go.mod", Language::Go)] {
            let source = folder.join(name);
            if source.is_file() {
                return Ok(Self { folder, language, source });
            }
        }
        let mut sources = sources(&folder)?;
        if sources.len() > 1 {
            let names: Vec<String> = sources.iter().map(|source| source.display().to_string()).collect();
            let names = names.join(", ");
            return Err(BuildError::Project(format!("which of them is the metric? Name the file: {names}")));
        }
        match sources.pop() {
            Some(source) => Self::of_file(source),
            None => Err(BuildError::Project(format!(
                "no metric in {}: no Cargo.toml, no go.mod, and no Python, JavaScript, TypeScript or C file that uses \
                 Tidemark's SDK. `tidemark new NAME --lang {}` makes a project",
                folder.display(),
                Language::ALL.map(Language::name).join("|")
            ))),
        }
    }

    fn of_file(source: PathBuf) -> Result<Self, BuildError> {
        let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let language = match (name, name.rsplit_once('.').map_or("", |(_, extension)| extension)) {
            ("Cargo.toml", _) | (_, "rs") => Language::Rust,
            ("go.mod", _) | (_, "go") => Language::Go,
            (_, "py") => Language::Python,
            (_, "js" | "mjs") => Language::JavaScript,
            (_, "ts" | "mts") => Language::TypeScript,
            (_, "c") => Language::C,
            _ => {
                let source = source.display();
                return Err(BuildError::Project(format!(
                    "{source} is no source of a metric in a language with an SDK"
                )));
            }
        };
        // A crate is more than its file.
        let marker = (language == Language::Rust).then_some("Cargo.toml");
        let is_project = |folder: &&Path| marker.is_none_or(|marker| folder.join(marker).is_file());
        match source.ancestors().skip(1).find(is_project) {
            Some(folder) => Ok(Self { folder: folder.to_owned(), language, source }),
            None => Err(BuildError::Project(format!("no Cargo.toml above {}", source.display()))),
        }
    }
}

/// Files in `folder` or its `src` that use an SDK and are not tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    for folder in [folder.to_owned(), folder.join("src")].into_iter().filter(|folder| folder.is_dir()) {
        let entries = fs::read_dir(&folder).map_err(BuildError::file(&folder))?;
        found.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_metric(path)));
    }
    found.sort();
    Ok(found)
}

fn is_metric(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_test =
        name.starts_with("test") || name.contains(".test.") || name.contains("_test.") || name == "conftest.py";
    let marks: &[&str] = match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "py" => &["tidemark_metric"],
        "js" | "mjs" | "ts" | "mts" => &["@tidemark/metric"],
        "c" => &["TM_FOLD(", "TM_JOIN("],
        _ => return false,
    };
    !is_test && fs::read_to_string(path).is_ok_and(|text| marks.iter().any(|mark| text.contains(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Files = &'static [(&'static str, &'static str)];

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    #[test]
    fn a_project_is_found_by_what_is_in_its_folder() {
        let cases: [(Files, Language, &str); 6] = [
            (&[("Cargo.toml", ""), ("build.py", "import tidemark_metric")], Language::Rust, "Cargo.toml"),
            (&[("go.mod", ""), ("main.go", "")], Language::Go, "go.mod"),
            (&[("a.py", "import tidemark_metric"), ("test_a.py", "import tidemark_metric")], Language::Python, "a.py"),
            (&[("m.ts", "from \"@tidemark/metric\""), ("m.test.ts", "@tidemark/metric")], Language::TypeScript, "m.ts"),
            (&[("m.js", "from \"@tidemark/metric\"")], Language::JavaScript, "m.js"),
            (&[("metric.c", "TM_FOLD(a, b, c)"), ("test.c", "TM_FOLD(a, b, c)")], Language::C, "metric.c"),
        ];
        for (files, language, source) in cases {
            let folder = folder(files);
            let project = Project::find(folder.path()).expect("a project");
            assert_eq!((project.language, project.source.file_name()), (language, Some(source.as_ref())));
        }
    }

    #[test]
    fn what_is_no_project_is_told_with_what_to_do() {
        let empty = folder(&[("a.py", "print()")]);
        let message = Project::find(empty.path()).expect_err("no metric").to_string();
        assert!(message.contains("tidemark new NAME --lang rust|go"), "{message}");
        let two = folder(&[("a.py", "import tidemark_metric"), ("b.py", "import tidemark_metric")]);
        let message = Project::find(two.path()).expect_err("two metrics").to_string();
        assert!(message.contains("a.py") && message.contains("b.py"), "{message}");
    }

    #[test]
    fn a_file_names_its_project() {
        let folder = folder(&[("Cargo.toml", "")]);
        fs::create_dir(folder.path().join("src")).expect("a folder");
        fs::write(folder.path().join("src/lib.rs"), "").expect("a file");
        let project = Project::find(&folder.path().join("src/lib.rs")).expect("a project");
        assert_eq!(project.folder, folder.path().canonicalize().expect("a path"));
    }
}
