//! The conformance suite, `guest-sdk/conformance`: a metric gives the same rows, states and description whatever
//! language it is written in, one language goes on where another stopped, and guests that are wrong are found out.
//!
//! `UPDATE_GOLDEN=1` writes what the Rust module gives as the expectation: read the difference.

mod cases;
mod check;
mod components;
mod play;
mod relay;
mod wrong;

use cases::Suite;
use check::Expectations;

/// Calls `test` for every suite and the components of each language that is there.
fn every_suite(name: &str, test: impl Fn(&Suite, &[components::Component]) -> Vec<String>) {
    let mut mistakes = Vec::new();
    for suite in Suite::all() {
        let found = components::of(&suite, name);
        mistakes.extend(test(&suite, &found).into_iter().map(|mistake| format!("{}: {mistake}", suite.metric)));
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
}

#[test]
fn every_language_gives_the_same() {
    every_suite("conformance::every_language_gives_the_same", |suite, components| {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let reference = components.iter().find(|component| component.language == "rust");
            return reference.map_or_else(Vec::new, |reference| check::update(suite, reference));
        }
        let expected = Expectations::read(suite);
        components.iter().flat_map(|component| check::differences(suite, &expected, component)).collect()
    });
}

#[test]
fn one_language_goes_on_where_another_stopped() {
    every_suite("conformance::one_language_goes_on_where_another_stopped", |suite, components| {
        let expected = Expectations::read(suite);
        // Whoever begins, every call is another language's.
        let starts = 0..if components.len() > 1 { components.len() } else { 0 };
        starts.flat_map(|first| relay::differences(suite, &expected, components, first)).collect()
    });
}
