//! `tidemark new`, `build` and `test` for each language, with the toolchains of this machine: a new project builds, passes
//! its own tests, is admitted, keeps the contract, and gives the golden rows, which are the same for all languages.

mod support;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use support::live::{Running, free_address};
use support::{Run, text, tidemark, tidemark_in, workspace};
use tempfile::TempDir;

/// A project in a new folder, with the SDK of this checkout.
fn project(language: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (project, sdk) = (folder.path().join("slow-requests"), workspace());
    let run =
        tidemark(&["new", "slow-requests", "--lang", language, "--dir", text(&project), "--sdk", text(&sdk)]).fine();
    assert!(run.stdout.contains("tidemark test"), "{run:#?}");
    folder
}

/// The search path, and behind it the toolchains that `cargo xtask languages` fetches where the machine has none.
fn search_path() -> OsString {
    let languages = workspace().join("target/languages");
    let go = std::fs::read_dir(languages.join("go")).into_iter().flatten().flatten();
    let go = go.map(|entry| entry.path().join("bin")).filter(|folder| folder.join("go").is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(go).chain([languages.join("node/bin")]);
    std::env::join_paths(folders).expect("no folder has a colon")
}

/// Runs `tidemark` in the project.
fn in_project(folder: &TempDir, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    let output = command.args(arguments).current_dir(folder.path().join("slow-requests")).env("PATH", search_path());
    let output = output.output().expect("the binary starts");
    Run::from(output)
}

/// Runs a shell command in the project, which must go well.
#[track_caller]
fn shell(folder: &TempDir, command: &str) {
    let output = Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder.path().join("slow-requests"))
        .env("PATH", search_path())
        // What all crates are built of is built once.
        .env("CARGO_TARGET_DIR", workspace().join("target"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{command}`: {said}");
}

/// Whether the language's tools are here. In CI they must be.
fn is_here(name: &str, programs: &[&str]) -> bool {
    let path = search_path();
    let found = |program: &&&str| {
        let is_file = |folder: std::path::PathBuf| folder.join(program).is_file();
        Path::new(program).is_file() || std::env::split_paths(&path).any(is_file)
    };
    let missing: Vec<&&str> = programs.iter().filter(|program| !found(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{name}: {missing:?} must be here in CI");
    eprintln!("not run: {name}: {missing:?} is not here");
    false
}

/// Builds, tests, and looks at what came out.
#[track_caller]
fn passes(folder: &TempDir) {
    let run = in_project(folder, &["test"]).fine();
    for part in ["slow-requests 0.1.0, admitted", "ok       late rows give", "3 rows, as in golden/rows.ndjson"] {
        assert!(run.stderr.contains(part), "{part} in {run:#?}");
    }
    assert!(!run.stderr.contains("BROKEN"), "{run:#?}");
    let run = in_project(folder, &["module", "inspect", "slow-requests.wasm"]).fine();
    assert!(run.stdout.contains("imports   none"), "{run:#?}");
}

#[test]
fn a_new_project_in_rust_builds_and_passes() {
    if is_here("a new project in Rust", &["cargo"]) {
        let folder = project("rust");
        shell(&folder, &format!("{} test", env!("CARGO_BIN_EXE_tidemark")));
        shell(&folder, "cargo test");
        let run = in_project(&folder, &["test", "slow-requests.wasm"]).fine();
        assert!(run.stderr.contains("3 rows, as in golden/rows.ndjson"), "{run:#?}");
        assert!(run.stderr.contains("ok       late rows give"), "{run:#?}");
    }
}

#[test]
fn a_new_project_in_go_builds_and_passes() {
    if is_here("a new project in Go", &["go"]) {
        let folder = project("go");
        shell(&folder, "go vet ./... && go test ./...");
        passes(&folder);
    }
}

#[test]
fn a_new_project_in_python_builds_and_passes() {
    if is_here("a new project in Python", &["python3"]) {
        let folder = project("python");
        let run = in_project(&folder, &["build"]);
        assert_eq!(run.code, Some(2), "nothing is installed yet: {run:#?}");
        assert!(run.stderr.contains("pip install -r requirements.txt"), "{run:#?}");
        shell(&folder, "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt");
        shell(&folder, ".venv/bin/python test_metric.py");
        passes(&folder);
    }
}

#[test]
fn a_new_project_in_javascript_builds_and_passes() {
    node_project("js");
}

#[test]
fn a_new_project_in_typescript_builds_and_passes() {
    node_project("ts");
}

fn node_project(language: &str) {
    if is_here(&format!("a new project in {language}"), &["node", "npm"]) {
        let folder = project(language);
        let run = in_project(&folder, &["build"]);
        assert_eq!(run.code, Some(2), "nothing is installed yet: {run:#?}");
        assert!(run.stderr.contains("npm install"), "{run:#?}");
        shell(&folder, "npm install --no-audit --no-fund && npm test");
        if language == "ts" {
            shell(&folder, "npx tsc --project tsconfig.json");
        }
        passes(&folder);
    }
}

#[test]
fn a_new_project_in_c_builds_and_passes() {
    if is_here("a new project in C", &["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"]) {
        let folder = project("c");
        shell(&folder, "make test");
        passes(&folder);
    }
}

#[test]
fn a_project_in_c_brings_its_headers_along() {
    if is_here("a project in C on its own", &["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"]) {
        let folder = tempfile::tempdir().expect("a folder");
        tidemark_in(folder.path(), &["new", "slow-requests", "--lang", "c"]).fine();
        passes(&folder);
    }
}

#[test]
fn what_does_not_compile_is_told_by_the_compiler() {
    if is_here("a project with a mistake", &["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"]) {
        let folder = project("c");
        shell(&folder, "sed -i 's/minute->requests += 1;/minute->request += 1;/' metric.c");
        let run = in_project(&folder, &["build"]);
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.stderr.contains("metric.c:"), "the line: {run:#?}");
        assert!(run.stderr.contains("no member named 'request'"), "{run:#?}");
    }
}

#[test]
fn a_metric_that_wants_a_clock_is_refused_when_it_is_built() {
    if is_here("a project with a clock", &["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"]) {
        let folder = project("c");
        shell(
            &folder,
            "sed -i 's/minute->requests += 1;/minute->requests += time(0);/; 2i #include <time.h>' metric.c",
        );
        let run = in_project(&folder, &["build"]);
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.stderr.contains("imports wasi_snapshot_preview1::clock_time_get"), "{run:#?}");
    }
}

/// From an author's folder to a running job: the component is built, tried out there, and what it breaks is shown.
#[test]
fn a_project_is_pushed_to_a_running_job_which_tells_of_broken_promises() {
    if is_here("a push from a project", &["clang", "wasm-ld", "/usr/include/wasm32-wasi/stdio.h"]) {
        let folder = project("c");
        let (config, address) = (folder.path().join("job.toml"), free_address());
        std::fs::create_dir(folder.path().join("input")).expect("a folder");
        std::fs::write(folder.path().join("input/events.ndjson"), "").expect("written");
        let text = format!(
            "[data]\ndir = \"{0}/data\"\n[source]\nkind = \"file\"\npath = \"{0}/input\"\nfollow = true\n\
             [http]\nlisten = \"{address}\"\n[sink.parquet]\n",
            folder.path().display()
        );
        std::fs::write(&config, text).expect("written");
        let job = Running::start(&config, address, &[]);
        let url = format!("http://{address}");
        let pushed = in_project(&folder, &["push", "--url", &url]).fine();
        assert!(pushed.stdout.starts_with("sha256:"), "{pushed:#?}");
        assert!(pushed.stderr.contains("ok       late rows give") && !pushed.stderr.contains("BROKEN"), "{pushed:#?}");
        let deployed = in_project(&folder, &["metric", "deploy", "slow", "--module", ".", "--url", &url]).fine();
        assert!(deployed.stdout.contains("committed with epoch"), "{deployed:#?}");

        shell(
            &folder,
            "sed -i 's/minute->requests += 1;/static int seen; seen += 1; minute->requests += seen;/' metric.c",
        );
        let refused = in_project(&folder, &["push", "--url", &url]);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        for part in ["BROKEN", "seen: ", "mend: keep nothing between calls", "of the promises that every module makes"]
        {
            assert!(refused.stderr.contains(part), "{part} in {refused:#?}");
        }
        job.kill();
    }
}

#[test]
fn outside_a_checkout_the_package_is_named_and_what_to_do_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = tidemark_in(folder.path(), &["new", "slow-requests", "--lang", "rust"]).fine();
    assert!(run.stdout.contains("--sdk PATH"), "{run:#?}");
    let manifest = std::fs::read_to_string(folder.path().join("slow-requests/Cargo.toml")).expect("written");
    assert!(manifest.contains("tidemark-metric = \"0.1.0\""), "{manifest}");
    let again = tidemark_in(folder.path(), &["new", "slow-requests", "--lang", "rust"]);
    assert_eq!(again.code, Some(2), "{again:#?}");
}
