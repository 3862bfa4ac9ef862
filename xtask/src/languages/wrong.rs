//! Guests that the conformance suite has to find wrong: the example `jitter-coefficient` in C, with one mistake each.

use anyhow::{Context as _, Result, ensure};

/// The metric that is right.
pub(super) const OF: &str = "guest-sdk/c/examples/jitter-coefficient/metric.c";

/// What is written in place of what.
type Changes = &'static [(&'static str, &'static str)];

/// Each by its name, in `wrong-<name>-c`.
const MISTAKES: [(&str, Changes); 7] = [
    // The one that has to pass.
    ("none", &[]),
    // The deviation of a sample instead of the population's.
    ("output", &[("squares / (double)rates->samples)", "squares / ((double)rates->samples - 1.0))")]),
    // The text that came last instead of the latest one.
    (
        "order",
        &[(
            "tm_offer_latest(&rates->orchestrator, status->event_time_ms, status->orchestrator);",
            "if (status->orchestrator)
                rates->orchestrator = (tm_latest_text){true, {status->event_time_ms, *status->orchestrator}};",
        )],
    ),
    // The state of before is not read.
    (
        "forgetful",
        &[(
            "/* The evenness of a window. */",
            "#define decode_frame_rates(bytes, state) ((void)(bytes), decode_frame_rates((tm_text){0}, state))",
        )],
    ),
    // Something is kept beside the state, from call to call.
    (
        "remembering",
        &[
            ("(void)reason;", "(void)reason; static int64_t closed;"),
            (".samples = (int64_t)rates->samples,", ".samples = (int64_t)rates->samples + closed++,"),
        ],
    ),
    // Two members of the state stand the other way round: rows are right, and nobody else can read it.
    ("state", &[("(double, mean),\n    (double, squares),", "(double, squares),\n    (double, mean),")]),
    // It says that a column is never null that sometimes is.
    (
        "describe",
        &[
            ("(tm_text, orchestrator, nullable),", "(tm_text, orchestrator),"),
            (
                ".orchestrator = tm_latest(&rates->orchestrator),",
                ".orchestrator = rates->orchestrator.is_some ? rates->orchestrator.value.text : tm_text_of(\"\"),",
            ),
        ],
    ),
];

/// The source of the right metric with the mistake `name` in it.
pub(super) fn with_mistake(right: &str, name: &str) -> Result<String> {
    let known = MISTAKES.iter().find(|(known, _)| *known == name);
    let (_, changes) = known.with_context(|| format!("there is no mistake {name}"))?;
    let mut wrong = right.to_owned();
    for (from, to) in *changes {
        ensure!(right.matches(from).count() == 1, "the mistake {name} wants to be in place of `{from}`, once in {OF}");
        wrong = wrong.replace(from, to);
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn every_mistake_has_its_place() {
        let right = std::fs::read_to_string(workspace::root().join(OF)).expect("the example");
        for (name, changes) in &MISTAKES {
            let wrong = with_mistake(&right, name).expect("it has its place");
            assert_eq!(wrong == right, changes.is_empty(), "{name}");
        }
    }
}
