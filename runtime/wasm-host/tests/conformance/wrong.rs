//! Guests that are wrong on purpose, each in one way (`xtask/src/languages/wrong.rs`): the suite has to find every one.

use crate::cases::Suite;
use crate::check::{Expectations, differences};
use crate::components::{Component, load};
use crate::relay;

/// What is wrong with each, and where that has to show. The last one is right: what finds it finds everything.
const WRONG: [(&str, &str); 7] = [
    ("output", "expected.ndjson"),
    ("order", "expected.ndjson"),
    ("forgetful", "expected.ndjson"),
    ("remembering", "expected.ndjson"),
    ("state", "states.ndjson"),
    ("describe", "describe.json"),
    ("none", ""),
];

#[test]
fn every_wrong_guest_is_found() {
    let suite = Suite::of("jitter-coefficient");
    let expected = Expectations::read(&suite);
    for (wrong, place) in WRONG {
        let name = format!("wrong-{wrong}-c");
        let Some(module) = load(&name, "conformance::every_wrong_guest_is_found") else { continue };
        let component = Component { language: wrong.to_owned(), module };
        let found = differences(&suite, &expected, &component);
        if place.is_empty() {
            assert!(found.is_empty(), "the guest without a mistake is taken for wrong: {}", found.join("\n"));
        } else {
            assert!(found.iter().any(|difference| difference.contains(place)), "{wrong}: {}", found.join("\n"));
        }
    }
}

#[test]
fn states_that_others_cannot_read_are_found_where_others_read_them() {
    let test = "conformance::states_that_others_cannot_read_are_found_where_others_read_them";
    let suite = Suite::of("jitter-coefficient");
    let expected = Expectations::read(&suite);
    let (Some(right), Some(wrong)) = (load("wrong-none-c", test), load("wrong-state-c", test)) else { return };
    let component = |language: &str, module| Component { language: language.to_owned(), module };
    let components = [component("right", right), component("wrong", wrong)];
    let found = relay::differences(&suite, &expected, &components, 0);
    assert!(found.iter().any(|difference| difference.contains("expected.ndjson")), "{}", found.join("\n"));
}
