//! `tidemark new`: a project that builds, passes its tests and is admitted as it is, from templates within the binary.

use crate::{BuildError, Language};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What is written.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// The metric's name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The language.
    pub language: Language,
    /// The folder, which must not be there or be empty.
    pub folder: PathBuf,
    /// A checkout of Tidemark whose SDKs are used; `None`: the one that the folder lies in, else published packages.
    pub sdk: Option<PathBuf>,
}

/// A project that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Its files, relative to its folder.
    pub files: Vec<PathBuf>,
    /// What to run before the first build, in the folder; nothing where the language needs nothing.
    pub first: Option<&'static str>,
    /// Whether it asks a package registry for the SDK.
    pub uses_registry: bool,
}

/// The version of the SDKs that were published with this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// That of the npm package, which counts by itself.
const NPM_VERSION: &str = "1.0.0";

/// Writes the project.
pub fn create(new: &NewProject) -> Result<Created, BuildError> {
    check_name(&new.name)?;
    if fs::read_dir(&new.folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let folder = new.folder.display();
        return Err(BuildError::Project(format!("{folder} is there and not empty: choose another name or folder")));
    }
    // Nothing is left behind where the SDK cannot be found.
    let given = new.sdk.as_deref().map(checkout).transpose()?;
    fs::create_dir_all(&new.folder).map_err(BuildError::file(&new.folder))?;
    let folder = new.folder.canonicalize().map_err(BuildError::file(&new.folder))?;
    let around = folder.ancestors().find(|folder| is_checkout(folder)).map(Path::to_owned);
    let sdk = match (given, around) {
        // Within the checkout the two move together; elsewhere the project may be moved alone.
        (Some(given), Some(around)) if given == around => Sdk::Path(relative(&folder, &around)),
        (Some(given), _) => Sdk::Path(given),
        (None, Some(around)) => Sdk::Path(relative(&folder, &around)),
        (None, None) => Sdk::Registry,
    };
    let files = files(new, &sdk);
    for (path, text) in &files {
        let path = folder.join(path);
        let parent = path.parent().expect("it lies in the folder");
        fs::create_dir_all(parent).map_err(BuildError::file(parent))?;
        fs::write(&path, text).map_err(BuildError::file(&path))?;
    }
    Ok(Created {
        files: files.into_iter().map(|(path, _)| path).collect(),
        first: first_command(new.language),
        // The headers of the C SDK come along.
        uses_registry: sdk == Sdk::Registry && new.language != Language::C,
    })
}

/// Where the SDK comes from.
#[derive(PartialEq, Eq)]
enum Sdk {
    /// The root of a checkout, relative to the project or absolute.
    Path(PathBuf),
    Registry,
}

impl Sdk {
    /// The folder of one SDK, if it comes from a checkout.
    fn folder(&self, language: &str) -> Option<String> {
        match self {
            Self::Path(root) => Some(root.join("guest-sdk").join(language).display().to_string()),
            Self::Registry => None,
        }
    }
}

fn files(new: &NewProject, sdk: &Sdk) -> Vec<(PathBuf, String)> {
    let native = match new.language {
        Language::Rust => "`cargo test` runs the tests in `src/lib.rs` natively.",
        Language::Go => "`go test` runs the tests natively.",
        Language::Python => "`.venv/bin/python test_metric.py` runs the test natively; so does pytest.",
        Language::JavaScript | Language::TypeScript => "`npm test` runs the tests in Node.",
        Language::C => "`make test` runs the tests natively, with sanitizers.",
    };
    let mut files = vec![
        ("README.md", include_str!("../templates/common/README.md").replace("{{native}}", native)),
        ("golden/events.ndjson", include_str!("../templates/common/events.ndjson").to_owned()),
        ("golden/rows.ndjson", include_str!("../templates/common/rows.ndjson").to_owned()),
        (".gitignore", ignored(new.language).to_owned()),
    ];
    files.extend(of_language(new.language, sdk));
    if matches!(new.language, Language::JavaScript | Language::TypeScript) && *sdk != Sdk::Registry {
        // A link to the checkout would not bring the packages that the SDK needs.
        files.push((".npmrc", "install-links=true\n".to_owned()));
    }
    let fill = |text: String| text.replace("{{name}}", &new.name).replace("{{language}}", &new.language.to_string());
    let mut files: Vec<(PathBuf, String)> =
        files.into_iter().map(|(path, text)| (PathBuf::from(path), fill(text))).collect();
    if new.language == Language::C && *sdk == Sdk::Registry {
        let headers = C_SDK.iter().map(|(path, text)| (Path::new("tidemark").join(path), (*text).to_owned()));
        files.extend(headers);
    }
    files
}

/// The example that an SDK's own page shows, as a template.
macro_rules! example {
    ($path:literal) => {
        include_str!(concat!("../../../guest-sdk/", $path)).replace("\"slow-requests\"", "\"{{name}}\"")
    };
}

fn of_language(language: Language, sdk: &Sdk) -> Vec<(&'static str, String)> {
    match language {
        Language::Rust => {
            let from = sdk.folder("rust").map(|path| format!("{{ path = {path:?} }}"));
            let manifest = include_str!("../templates/rust/Cargo.toml.in");
            vec![
                ("Cargo.toml", manifest.replace("{{sdk}}", &from.unwrap_or_else(|| format!("\"{VERSION}\"")))),
                ("src/lib.rs", include_str!("../templates/rust/src/lib.rs").to_owned()),
            ]
        }
        Language::Go => {
            let folder = sdk.folder("go");
            let version = if folder.is_some() { "v0.0.0".to_owned() } else { format!("v{VERSION}") };
            // Go takes a path for one only if it begins like one.
            let path = folder
                .map(|path| if path.starts_with('.') || path.starts_with('/') { path } else { format!("./{path}") });
            let replace = path.map_or_else(String::new, |path| {
                format!("\nreplace github.com/tidemark/tidemark/guest-sdk/go => {path}\n")
            });
            let module = include_str!("../templates/go/go.mod.in").replace("{{version}}", &version);
            vec![
                ("go.mod", module.replace("{{replace}}\n", &replace)),
                ("metric.go", include_str!("../templates/go/metric.go").to_owned()),
                ("metric_test.go", include_str!("../templates/go/metric_test.go").to_owned()),
            ]
        }
        Language::Python => {
            let from = sdk.folder("python").map(|path| format!("{path}[build]\n"));
            let from = from.unwrap_or_else(|| format!("tidemark-metric[build]=={VERSION}\n"));
            vec![
                ("requirements.txt", from),
                ("metric.py", include_str!("../templates/python/metric.py").to_owned()),
                ("test_metric.py", include_str!("../templates/python/test_metric.py").to_owned()),
            ]
        }
        Language::JavaScript => {
            let manifest = include_str!("../templates/js/package.json.in");
            vec![
                ("package.json", manifest.replace("{{sdk}}", &npm_dependency(sdk))),
                // A metric needs no annotations of types: one text does for both languages.
                ("metric.js", example!("js/examples/slow-requests/metric.ts")),
                ("metric.test.js", include_str!("../templates/js/metric.test.js").to_owned()),
            ]
        }
        Language::TypeScript => {
            let manifest = include_str!("../templates/ts/package.json.in");
            vec![
                ("package.json", manifest.replace("{{sdk}}", &npm_dependency(sdk))),
                ("tsconfig.json", include_str!("../templates/ts/tsconfig.json").to_owned()),
                ("metric.ts", example!("js/examples/slow-requests/metric.ts")),
                ("metric.test.ts", example!("js/examples/slow-requests/metric.test.ts")),
            ]
        }
        Language::C => {
            let include =
                sdk.folder("c").map_or_else(|| "tidemark/include".to_owned(), |path| format!("{path}/include"));
            let flags = include_str!("../templates/c/compile_flags.txt.in");
            vec![
                ("compile_flags.txt", flags.replace("{{sdk}}", &include)),
                ("Makefile", include_str!("../templates/c/Makefile").to_owned()),
                ("metric.c", example!("c/examples/slow-requests/metric.c")),
                ("test.c", example!("c/examples/slow-requests/test.c")),
            ]
        }
    }
}

fn npm_dependency(sdk: &Sdk) -> String {
    sdk.folder("js").map_or_else(|| format!("^{NPM_VERSION}"), |path| format!("file:{path}"))
}

const fn first_command(language: Language) -> Option<&'static str> {
    match language {
        Language::Python => Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
        Language::JavaScript | Language::TypeScript => Some("npm install"),
        Language::Rust | Language::Go | Language::C => None,
    }
}

const fn ignored(language: Language) -> &'static str {
    match language {
        Language::Rust | Language::C => "/target\n/*.wasm\n",
        Language::Go => "/*.wasm\n",
        Language::Python => "/.venv\n__pycache__/\n/*.wasm\n",
        Language::JavaScript | Language::TypeScript => "/node_modules\n/target\n/*.wasm\n",
    }
}

fn check_name(name: &str) -> Result<(), BuildError> {
    let letters = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let first = name.bytes().next().is_some_and(|letter| letter.is_ascii_lowercase());
    if first && name.len() <= 64 && name.bytes().all(letters) && !name.ends_with('-') {
        return Ok(());
    }
    Err(BuildError::Project(format!(
        "a metric's name is lower-case letters, digits and hyphens, a letter first, at most 64: not {name:?}"
    )))
}

/// The root of the checkout `path`, absolute.
fn checkout(path: &Path) -> Result<PathBuf, BuildError> {
    let root = path.canonicalize().map_err(BuildError::file(path))?;
    if is_checkout(&root) {
        return Ok(root);
    }
    let path = path.display();
    Err(BuildError::Project(format!("{path} is no checkout of Tidemark: it has no wit/metric.wit and guest-sdk/")))
}

fn is_checkout(folder: &Path) -> bool {
    folder.join("wit/metric.wit").is_file() && folder.join("guest-sdk").is_dir()
}

/// The way from `folder` up to `above`, which it lies in.
fn relative(folder: &Path, above: &Path) -> PathBuf {
    let below = folder.strip_prefix(above).expect("it was found above the folder");
    let up = below.components().map(|_| Component::ParentDir).collect::<PathBuf>();
    if up.as_os_str().is_empty() { PathBuf::from(".") } else { up }
}

/// The C SDK, which is headers alone and comes with the project where there is no checkout.
macro_rules! c_sdk {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../guest-sdk/c/", $path)))),*]
    };
}

const C_SDK: [(&str, &str); 25] = c_sdk![
    "wasm.flags",
    "include/tidemark.h",
    "include/tidemark_test.h",
    "include/tidemark/component_type.h",
    "include/tidemark/context.h",
    "include/tidemark/contract.h",
    "include/tidemark/describe.h",
    "include/tidemark/each.h",
    "include/tidemark/exports.h",
    "include/tidemark/facts.h",
    "include/tidemark/input.h",
    "include/tidemark/json.h",
    "include/tidemark/memory.h",
    "include/tidemark/metric.h",
    "include/tidemark/module.h",
    "include/tidemark/output.h",
    "include/tidemark/pick.h",
    "include/tidemark/settings.h",
    "include/tidemark/state.h",
    "include/tidemark/testing/call.h",
    "include/tidemark/testing/event.h",
    "include/tidemark/testing/pairs.h",
    "include/tidemark/testing/records.h",
    "include/tidemark/testing/windows.h",
    "include/tidemark/text.h",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn create_in(folder: PathBuf, language: Language, sdk: Option<PathBuf>) -> Result<Created, BuildError> {
        create(&NewProject { name: "slow-requests".to_owned(), language, folder, sdk })
    }

    #[test]
    fn nothing_of_a_template_is_left_unfilled() {
        let root = tempfile::tempdir().expect("a folder");
        for language in Language::ALL {
            let folder = root.path().join(language.name());
            let created = create_in(folder.clone(), language, None).expect("written");
            for file in &created.files {
                let text = fs::read_to_string(folder.join(file)).expect("a text");
                // A placeholder is a word; code of the languages has none right behind two braces.
                let is_placeholder = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_lowercase());
                assert!(!text.split("{{").skip(1).any(is_placeholder), "{language}: {}", file.display());
            }
            let project = crate::Project::find(&folder).expect("it is a project");
            assert_eq!(project.language, language);
        }
    }

    #[test]
    fn a_project_has_its_own_name() {
        let root = tempfile::tempdir().expect("a folder");
        for language in Language::ALL {
            let folder = root.path().join(language.name());
            let new = NewProject { name: "other".to_owned(), language, folder: folder.clone(), sdk: None };
            let files = create(&new).expect("written").files;
            let texts: Vec<String> =
                files.iter().map(|file| fs::read_to_string(folder.join(file)).expect("a text")).collect();
            assert!(texts.iter().any(|text| text.contains("\"other\"")), "{language}");
            assert!(!texts.iter().any(|text| text.contains("slow-requests")), "{language}");
        }
    }

    #[test]
    fn every_header_of_the_c_sdk_comes_along() {
        fn count(folder: &Path) -> usize {
            let entries = fs::read_dir(folder).expect("a folder").flatten();
            entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
        }
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/c");
        assert_eq!(C_SDK.len(), count(&sdk.join("include")) + 1, "include/ and wasm.flags");
    }

    #[test]
    fn within_a_checkout_the_sdk_is_named_by_a_path() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("guest-sdk")).expect("a folder");
        fs::create_dir_all(root.path().join("wit")).expect("a folder");
        fs::write(root.path().join("wit/metric.wit"), "").expect("a file");
        let folder = root.path().join("metrics/mine");
        create_in(folder.clone(), Language::Rust, None).expect("written");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a text");
        assert!(manifest.contains("path = \"../../guest-sdk/rust\""), "{manifest}");

        let elsewhere = tempfile::tempdir().expect("a folder");
        let created = create_in(elsewhere.path().join("go"), Language::Go, Some(root.path().to_owned()));
        assert!(!created.expect("written").uses_registry);
        let manifest = fs::read_to_string(elsewhere.path().join("go/go.mod")).expect("a text");
        let sdk = root.path().canonicalize().expect("a path").join("guest-sdk/go");
        assert!(manifest.contains(&format!("=> {}\n", sdk.display())), "{manifest}");
    }

    #[test]
    fn versions_are_those_of_the_sdks() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk");
        let package = fs::read_to_string(sdk.join("js/package.json")).expect("a text");
        assert!(package.contains(&format!("\"version\": \"{NPM_VERSION}\"")));
        let python = fs::read_to_string(sdk.join("python/src/tidemark_metric/version.py")).expect("a text");
        assert!(python.contains(&format!("VERSION = \"{VERSION}\"")));
    }

    #[test]
    fn a_full_folder_and_a_wrong_name_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("mine"), "").expect("a file");
        assert!(create_in(root.path().to_owned(), Language::C, None).is_err());
        let folder = root.path().join("new");
        let wrong = NewProject { name: "Slow Requests".to_owned(), language: Language::C, folder, sdk: None };
        assert!(create(&wrong).expect_err("the name is wrong").to_string().contains("lower-case"));
    }
}
