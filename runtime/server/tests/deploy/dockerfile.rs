//! The Dockerfile: linted, and what it says held against the binary.

use crate::files::{root, text};
use std::collections::BTreeSet;
use std::process::Command;
use test_tools::{Tools, succeed};
use tidemark_server::config::overrides::VARIABLES;

const FILE: &str = "deploy/docker/Dockerfile";
const BINARY: &str = env!("CARGO_BIN_EXE_tidemark");

/// The instructions of the last stage: name and rest, lines joined.
pub fn last_stage() -> Vec<(String, String)> {
    let joined = text(FILE).replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let instructions: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let start = instructions.iter().rposition(|(name, _)| name == "FROM").expect("a stage");
    instructions[start..].to_vec()
}

/// The one instruction of this name in the last stage.
pub fn instruction(name: &str) -> String {
    let found: Vec<String> =
        last_stage().into_iter().filter(|(other, _)| other == name).map(|(_, rest)| rest).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found.into_iter().next().expect("one")
}

/// The words of a list in JSON, as in CMD.
pub fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{list}: {error}"))
}

#[test]
fn the_linter_has_nothing_to_say() {
    let Some(tools) = Tools::find("deploy::dockerfile") else { return };
    succeed(tools.hadolint().arg(root().join(FILE)));
}

#[test]
fn it_runs_as_somebody_without_rights_and_ends_when_it_is_asked_to() {
    let user = instruction("USER");
    let id: u32 = user.split(':').next().and_then(|id| id.parse().ok()).expect("a number, for Kubernetes");
    assert!(id >= 1_000);
    assert_eq!(instruction("STOPSIGNAL"), "SIGTERM");
    for (name, rest) in last_stage().iter().filter(|(name, _)| name == "FROM") {
        assert!(rest.contains(':') && !rest.contains("latest"), "{name} {rest}");
    }
}

#[test]
fn the_compiler_is_the_one_of_the_project() {
    let version = text("Cargo.toml");
    let version = version.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    assert!(text(FILE).contains(&format!("FROM rust:{version}.")), "rust {version}");
}

#[test]
fn the_entry_point_and_the_health_check_are_commands_of_the_binary() {
    assert_eq!(words(&instruction("ENTRYPOINT")), ["tidemark"]);
    let run = words(&instruction("CMD"));
    assert_eq!(run[0], "run");
    let health = instruction("HEALTHCHECK");
    let health = words(health.split_once("CMD ").expect("a command").1);
    assert_eq!(health[0], "tidemark");
    for arguments in [&run[..1], &health[1..]] {
        let help = Command::new(BINARY).args(arguments).arg("--help").output().expect("starts");
        assert!(help.status.success(), "{arguments:?}");
    }
}

#[test]
fn every_variable_that_it_sets_is_known() {
    let variables = instruction("ENV");
    for assignment in variables.split(' ') {
        let (name, _) = assignment.split_once('=').expect("an assignment");
        assert!(VARIABLES.iter().any(|(variable, _)| *variable == name), "{name}");
    }
    // Where the data lies is a volume that the user owns.
    let data = variables.split(' ').find_map(|pair| pair.strip_prefix("TIDEMARK_DATA_DIR=")).expect("a folder");
    assert_eq!(instruction("VOLUME"), data);
    assert!(last_stage().iter().any(|(name, rest)| name == "RUN" && rest.contains(&format!("--mode=700 {data}"))));
}

#[test]
fn everything_that_it_copies_is_there_and_not_ignored() {
    let ignored: BTreeSet<String> = text(".dockerignore").lines().map(str::to_owned).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "runtime", "guest-sdk", "metrics-wasm", "wit", "xtask", "LICENSE"] {
        assert!(root().join(needed).exists() && !ignored.contains(needed), "{needed}");
    }
    // Members of the workspace that were ignored would not let cargo start.
    for ignored in ignored.iter().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(!text("Cargo.toml").contains(&format!("\"{ignored}/")), "{ignored} holds members of the workspace");
    }
}

/// Libraries by their names, and Debian's package that brings each. Those without a package are in every image.
const LIBRARIES: [(&str, Option<&str>); 11] = [
    ("linux-vdso.so.1", None),
    ("ld-linux-x86-64.so.2", None),
    ("libc.so.6", None),
    ("libm.so.6", None),
    ("libdl.so.2", None),
    ("libpthread.so.0", None),
    ("libgcc_s.so.1", None),
    ("libstdc++.so.6", Some("libstdc++6")),
    ("libssl.so.3", Some("libssl3")),
    ("libcrypto.so.3", Some("libssl3")),
    ("libz.so.1", Some("zlib1g")),
];

#[test]
fn the_image_has_every_library_that_the_binary_needs() {
    let listed = succeed(Command::new("ldd").arg(BINARY));
    let installed: Vec<String> =
        last_stage().into_iter().filter(|(name, _)| name == "RUN").map(|(_, rest)| rest).collect();
    for line in listed.lines() {
        let library = line.trim().split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let known = LIBRARIES.iter().find(|(name, _)| *name == library);
        let (_, package) = known.unwrap_or_else(|| panic!("{library}: which package brings it?\n{listed}"));
        if let Some(package) = package {
            assert!(installed.iter().any(|run| run.contains(package)), "{library} needs {package}");
        }
    }
}
