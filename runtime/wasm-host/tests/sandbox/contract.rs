//! The contract tests, on the modules that are shipped and on those that attack.

use crate::support::{evil, host};
use std::path::Path;
use tidemark_wasm_host::Limits;
use tidemark_wasm_host::contract::{Check, Outcome, check, check_unconfigured};

/// Names of the metrics that are crates, without the one that attacks.
fn catalogue() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-wasm");
    let crates = std::fs::read_dir(folder).expect("the folder is there").flatten();
    let crates = crates.filter(|entry| entry.path().join("Cargo.toml").is_file());
    let names = crates.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "evil").collect()
}

#[test]
fn every_metric_of_the_catalogue_keeps_the_contract() {
    let names = catalogue();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/metrics/{name}.wasm"));
        let bytes = std::fs::read(&file);
        let bytes = bytes.unwrap_or_else(|error| panic!("{name}: {error}: run `cargo xtask metrics` first"));
        let report = check_unconfigured(&host().load(&bytes).expect("it is admitted"));
        assert!(report.is_sound(), "{name}:\n{report}");
        let passed = report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Passed { .. })).count();
        assert!(passed > 3, "{name}: hardly anything was tried:\n{report}");
    }
}

#[test]
fn a_module_that_needs_a_configuration_is_told_so() {
    let report = check_unconfigured(evil());
    assert!(report.is_sound());
    assert!(report.to_string().contains("refuses its configuration"), "{report}");
    let configured = check(evil(), r#"{"attack": "none"}"#, Limits::default());
    assert!(configured.is_sound(), "{configured}");
    let tried = configured.findings.iter().find(|finding| finding.check == Check::Merge).expect("every check is there");
    assert!(matches!(tried.outcome, Outcome::Passed { .. }), "{configured}");
}
