//! Compares what a component gives with what the suite expects, byte by byte.

use crate::cases::{Suite, read};
use crate::components::Component;
use crate::play::{Played, play};
use std::path::Path;

/// The expectations of a suite.
pub struct Expectations {
    pub description: String,
    /// Of each case.
    pub cases: Vec<Played>,
}

impl Expectations {
    pub fn read(suite: &Suite) -> Self {
        let cases = suite.cases.iter().map(|case| Played {
            rows: read(&case.folder.join("expected.ndjson")),
            states: read(&case.folder.join("states.ndjson")),
        });
        Self { description: read(&suite.folder.join("describe.json")), cases: cases.collect() }
    }
}

/// Every difference, in words.
pub fn differences(suite: &Suite, expected: &Expectations, component: &Component) -> Vec<String> {
    let language = &component.language;
    let mut differences = Vec::new();
    differences.extend(difference("describe.json", &expected.description, &description(component)));
    for (case, expected) in suite.cases.iter().zip(&expected.cases) {
        let factory = component.factory(&case.settings.config);
        match factory.and_then(|factory| play(case, component.module.descriptor(), factory)) {
            Ok(played) => differences.extend(unlike(&case.name, expected, &played)),
            Err(error) => differences.push(format!("{} does not run: {error}", case.name)),
        }
    }
    differences.into_iter().map(|difference| format!("{language}: {difference}")).collect()
}

/// What of a case is not as expected.
pub fn unlike(case: &str, expected: &Played, played: &Played) -> Vec<String> {
    let rows = difference(&format!("{case}/expected.ndjson"), &expected.rows, &played.rows);
    let states = difference(&format!("{case}/states.ndjson"), &expected.states, &played.states);
    rows.into_iter().chain(states).collect()
}

fn difference(what: &str, expected: &str, found: &str) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected\n{expected}but got\n{found}"))
}

/// What a module says of itself, in canonical form.
fn description(component: &Component) -> String {
    let text = serde_json::to_string_pretty(component.module.descriptor()).expect("descriptions are JSON");
    format!("{text}\n")
}

/// Writes what `reference` gives as the expectation.
pub fn update(suite: &Suite, reference: &Component) -> Vec<String> {
    assert!(std::env::var_os("CI").is_none(), "expectations are never written where they are checked");
    write(&suite.folder.join("describe.json"), &description(reference));
    let mut mistakes = Vec::new();
    for case in &suite.cases {
        let factory = reference.factory(&case.settings.config);
        match factory.and_then(|factory| play(case, reference.module.descriptor(), factory)) {
            Ok(played) => {
                write(&case.folder.join("expected.ndjson"), &played.rows);
                write(&case.folder.join("states.ndjson"), &played.states);
            }
            Err(error) => mistakes.push(format!("{} does not run: {error}", case.name)),
        }
    }
    mistakes
}

fn write(path: &Path, text: &str) {
    if text.is_empty() {
        // Nothing is expected of a file that is not there.
        let _ = std::fs::remove_file(path);
        return;
    }
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
