//! Each attack of the evil module, in `update` and in `close`.

use crate::support::{batch, closing, evil, factory, failed, guest, honest_state, patient, tight};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::guest::{CloseReason, Folded, GuestBatch, GuestError, GuestFactory, VarBytes};
use tidemark_wasm_host::{FactoryError, Limits};

/// What becomes of a group, and with which words.
const VERDICTS: &[(&str, Reason, &str)] = &[
    ("loop", Reason::GuestTimeout, "still running at the end of its fuel"),
    ("panic", Reason::GuestTrap, "wasm trap: wasm `unreachable` instruction executed in "),
    ("allocate", Reason::GuestMemory, "memory_bytes exceeded: limit 33554432, current "),
    ("recurse", Reason::GuestTrap, "wasm trap: call stack exhausted in "),
    ("fail", Reason::GuestFailure, "no reading in this window"),
    ("fail-at-length", Reason::GuestFailure, "ééééé"),
    ("fail-nobody", Reason::GuestOutput, "failures: group 1 out of range"),
    ("lose-state", Reason::GuestOutput, "states: 0 strings instead of 1"),
    ("extra-state", Reason::GuestOutput, "states: 2 strings instead of 1"),
    ("decreasing-ends", Reason::GuestOutput, "states: the last string ends at 4294967295 of 24 bytes"),
    ("lying-ends", Reason::GuestOutput, "states: the last string ends at 1000024 of 24 bytes"),
    ("huge-state", Reason::GuestOutput, "state_bytes exceeded: limit 1048576, current 0, requested 4194304"),
    ("many-rows", Reason::GuestOutput, "output_rows exceeded: limit 65536, current 65536, requested 65537"),
    ("lose-column", Reason::GuestOutput, "emitted rows: 2 columns instead of 3"),
    ("extra-column", Reason::GuestOutput, "emitted rows: 4 columns instead of 3"),
    ("wrong-type", Reason::GuestOutput, "emitted column `samples`: floats where Integer is declared"),
    ("short-column", Reason::GuestOutput, "emitted column `samples`: 0 values instead of 1"),
    ("unexpected-null", Reason::GuestOutput, "emitted column `samples`: null, but it is declared as never null"),
    ("long-validity", Reason::GuestOutput, "emitted column `samples`: validity of 4096 bytes for 1 rows"),
    ("invalid-text", Reason::GuestOutput, "emitted column `label`: not UTF-8"),
    ("row-for-nobody", Reason::GuestOutput, "output_rows: group 1 of 1"),
    ("many-timers", Reason::GuestOutput, "timers exceeded: limit 1024, current 1024, requested 1025"),
    ("timer-for-nobody", Reason::GuestOutput, "timers: group 1 of 1"),
];

const KEYS: [&str; 9] = ["a", "b", "evil-1", "c", "d", "e", "f", "evil-2", "g"];

fn check_failures(attack: &str, folded: &Folded, reason: Reason, words: &str) {
    assert_eq!(failed(folded), [2, 7], "{attack}: {:?}", folded.failures);
    for failure in &folded.failures {
        assert_eq!(failure.reason, reason, "{attack}: {failure:?}");
        assert!(failure.detail.starts_with(words), "{attack}: {:?} instead of {words:?}", failure.detail);
        assert!(failure.detail.len() <= 4_096, "{attack}: a detail of {} bytes", failure.detail.len());
    }
}

fn honest() -> impl Iterator<Item = usize> {
    (0..KEYS.len()).filter(|&group| !KEYS[group].starts_with("evil"))
}

fn check_honest_states(attack: &str, folded: &Folded) {
    assert_eq!(folded.states.len(), KEYS.len());
    for group in honest() {
        assert_eq!(folded.states.get(group), honest_state(group, 3), "{attack}: group {group}");
    }
}

#[test]
fn an_attack_in_update_costs_its_own_group_and_no_other() {
    for &(attack, reason, words) in VERDICTS {
        let mut guest = guest(attack, tight());
        for _ in 0..2 {
            let folded = guest.update(&batch(&KEYS)).unwrap_or_else(|error| panic!("{attack}: {error}"));
            check_failures(attack, &folded, reason, words);
            check_honest_states(attack, &folded);
        }
    }
}

#[test]
fn an_attack_in_close_costs_its_own_group_and_no_other() {
    for &(attack, reason, words) in VERDICTS {
        let closing = closing(&batch(&KEYS));
        let folded = guest(attack, tight()).close(&closing, CloseReason::WindowEnd);
        let folded = folded.unwrap_or_else(|error| panic!("{attack}: {error}"));
        // In `close` every group emits a row already, so those attacks that add one find one more.
        let words = if attack == "many-rows" { "output_rows exceeded" } else { words };
        check_failures(attack, &folded, reason, words);
        check_honest_states(attack, &folded);
        assert_eq!(folded.emitted.groups, honest().map(|group| group as u32).collect::<Vec<_>>(), "{attack}");
        let labels = folded.emitted.columns[2].as_string::<i32>();
        let expected: Vec<&str> = honest().map(|group| KEYS[group]).collect();
        assert_eq!(labels.iter().flatten().collect::<Vec<_>>(), expected, "{attack}");
        assert_eq!(folded.emitted.columns[0].as_primitive::<Int64Type>().len(), honest().count(), "{attack}");
    }
}

#[test]
fn rows_out_of_order_are_refused() {
    let folded = guest("rows-out-of-order", tight()).update(&batch(&KEYS)).expect("the groups are isolated");
    assert_eq!(failed(&folded), [2, 7]);
    check_honest_states("rows-out-of-order", &folded);
}

#[test]
fn nan_payloads_are_made_one_nan() {
    let folded = guest("nan-payload", tight()).update(&batch(&KEYS)).expect("a NaN is no attack");
    assert!(folded.failures.is_empty());
    let means = folded.emitted.columns[1].as_primitive::<Float64Type>();
    assert!(!means.is_empty() && means.values().iter().all(|mean| mean.to_bits() == f64::NAN.to_bits()));
}

#[test]
fn an_attack_on_a_pair_or_a_state_costs_that_one() {
    let mut states = VarBytes::default();
    [&honest_state(0, 3), b"evil".as_slice(), &honest_state(1, 3)].iter().for_each(|state| states.push(state));
    for (attack, reason) in
        [("panic", Reason::GuestTrap), ("loop", Reason::GuestTimeout), ("lying-ends", Reason::GuestOutput)]
    {
        let mut guest = guest(attack, tight());
        let migrated = guest.migrate(&states, 1).expect("isolated");
        let merged = guest.merge(&states, &VarBytes { ends: vec![0; 3], bytes: vec![] }).expect("isolated");
        for folded in [migrated, merged] {
            assert_eq!(failed(&folded), [1], "{attack}");
            assert_eq!(folded.failures[0].reason, reason);
            assert_eq!(folded.states.get(0), honest_state(0, 3));
            assert_eq!(folded.states.get(2), honest_state(1, 3));
        }
    }
    let folded = guest("emit-in-merge", tight()).merge(&states, &states).expect("isolated");
    assert_eq!(failed(&folded), [0, 1, 2]);
    assert_eq!(folded.failures[0].detail, "merge and migrate must not emit rows or set timers");
}

#[test]
fn a_state_that_grows_without_end_ends_at_its_limit() {
    let mut guest = guest("grow-state", patient());
    let mut batch = batch(&KEYS);
    let mut calls = 0;
    loop {
        let folded = guest.update(&batch).expect("isolated");
        let others = failed(&folded);
        if !others.is_empty() {
            // The state before stays: sixteen times 64 KiB, and no byte more.
            assert_eq!(others, [2]);
            assert_eq!(folded.failures[0].reason, Reason::GuestOutput);
            assert!(folded.failures[0].detail.contains("state_bytes exceeded"), "{}", folded.failures[0].detail);
            assert_eq!((calls, batch.groups.states.get(2).len()), (16, 1 << 20));
            break;
        }
        calls += 1;
        assert!(calls <= 16, "it grows without end");
        assert_eq!(folded.states.get(2).len(), calls * (64 << 10));
        batch.groups.states = folded.states;
    }
}

#[test]
fn timers_of_the_past_are_set_like_others() {
    let folded = guest("past-timers", tight()).update(&batch(&KEYS)).expect("no attack on the sandbox");
    assert!(folded.failures.is_empty());
    assert!(folded.timers.len() == 1_000 && folded.timers.iter().all(|(group, _)| *group == 2));
    check_honest_states("past-timers", &folded);
}

#[test]
fn a_module_that_leaks_goes_on_in_fresh_instances() {
    let factory = factory("leak", patient());
    let mut guest = factory.instantiate().expect("it starts");
    for _ in 0..100 {
        let folded = guest.update(&batch(&KEYS)).expect("a leak is nobody's failure");
        assert!(folded.failures.is_empty());
        check_honest_states("leak", &folded);
    }
    let telemetry = factory.telemetry().snapshot();
    assert!(telemetry.memory_limits >= 2, "{telemetry:?}");
    assert_eq!(telemetry.group_failures, 0);
}

#[test]
fn a_module_that_never_returns_for_too_many_groups_is_broken_as_a_whole() {
    let limits = Limits { verdicts: 2, ..tight() };
    let keys = ["evil"; 5];
    // One target a call: of five evil groups each runs for ever once it is the first one.
    let error = guest("loop", limits).update(&batch(&keys)).expect_err("three verdicts are too many");
    let GuestError::Broken { module, detail } = error;
    assert_eq!(module, "evil");
    assert_eq!(detail, "more than 2 groups of one call ran out of time (100000000 fuel)");
}

#[test]
fn what_configure_says_reaches_the_person_who_configured() {
    let refuse = evil().factory(r#"{ "attack": "refuse-configuration" }"#, tight());
    assert!(matches!(refuse, Err(FactoryError::Config(message)) if message == "the threshold must be positive"));
    let limits = Limits { start_time_ms: 20, ..tight() };
    let looping = evil().factory(r#"{ "attack": "loop-in-configure" }"#, limits);
    let error = looping.err().expect("it does not return").to_string();
    assert_eq!(error, "fails on its configuration: still running at the end of its time");
}

#[test]
fn a_caller_with_other_columns_than_declared_is_told() {
    let wrong = GuestBatch { columns: vec![], ..batch(&KEYS) };
    let error = guest("none", tight()).update(&wrong).expect_err("a column is missing");
    assert_eq!(error.to_string(), "module evil cannot be called: the batch has 0 columns, the module declares 1");
}

#[test]
fn an_empty_call_is_answered_without_the_module() {
    let folded = guest("loop", tight()).update(&GuestBatch::default()).expect("nothing to do");
    assert!(folded.states.is_empty() && folded.failures.is_empty());
}

#[test]
fn telemetry_counts_what_happened() {
    let factory = factory("panic", patient());
    let mut guest = factory.instantiate().expect("it starts");
    guest.update(&batch(&["a", "b"])).expect("honest");
    guest.update(&batch(&KEYS)).expect("isolated");
    let telemetry = factory.telemetry().snapshot();
    assert_eq!((telemetry.calls, telemetry.groups, telemetry.rows), (2, 11, 33));
    assert_eq!((telemetry.group_failures, telemetry.timeouts, telemetry.verdicts), (2, 0, 0));
    assert!(telemetry.traps >= 2 && telemetry.instances > telemetry.traps && !telemetry.busy.is_zero());
}
