//! Each way in which an answer can be wrong, and the few in which it is mended.

use super::*;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;

fn output() -> Vec<OutputColumn> {
    let column = |name: &str, kind, nullable| OutputColumn { name: name.into(), kind, nullable };
    vec![
        column("flag", ColumnType::Boolean, true),
        column("count", ColumnType::Integer, false),
        column("mean", ColumnType::Float, true),
        column("label", ColumnType::Text, false),
        column("extra", ColumnType::Json, true),
    ]
}

fn texts(texts: &[&str]) -> abi::OwnedByteStrings {
    let mut raw = abi::OwnedByteStrings::default();
    for text in texts {
        raw.bytes.extend_from_slice(text.as_bytes());
        raw.ends.push(raw.bytes.len() as u32);
    }
    raw
}

fn column(values: abi::OwnedValues) -> abi::OwnedColumn {
    abi::OwnedColumn { validity: vec![], values }
}

/// A right answer: three groups, rows of the first and the last.
fn right() -> abi::Folded {
    abi::Folded {
        states: texts(&["a", "", "ccc"]),
        emitted: abi::Emitted {
            groups: vec![0, 2],
            columns: vec![
                column(abi::OwnedValues::Booleans(vec![0, 1])),
                column(abi::OwnedValues::Integers(vec![1, -1])),
                column(abi::OwnedValues::Floats(vec![0.5, -0.0])),
                column(abi::OwnedValues::Texts(texts(&["ä", ""]))),
                column(abi::OwnedValues::Texts(texts(&["{}", "[1]"]))),
            ],
        },
        timers: vec![abi::Timer { group: 1, time: 7 }],
        failures: vec![],
    }
}

fn limits() -> Limits {
    Limits { state_bytes: 8, output_rows: 4, timers: 2, message_bytes: 16, ..Limits::default() }
}

fn lift_changed(change: impl FnOnce(&mut abi::Folded)) -> Result<Folded, String> {
    let mut raw = right();
    change(&mut raw);
    lift(raw, Expected { groups: 3, output: Some(&output()), limits: &limits() })
}

#[test]
fn a_right_answer_becomes_arrow() {
    let folded = lift_changed(|_| {}).expect("it is right");
    assert_eq!(folded.states.get(2), b"ccc");
    assert_eq!(folded.emitted.groups, [0, 2]);
    assert_eq!(folded.emitted.columns[3].as_string::<i32>().value(0), "ä");
    assert_eq!(folded.timers, [(1, 7)]);
    let types: Vec<_> = folded.emitted.columns.iter().map(|column| column.data_type().clone()).collect();
    assert_eq!(
        types,
        output().iter().map(|column| tidemark_engine::output::arrow_type(column.kind)).collect::<Vec<_>>()
    );
}

#[test]
fn every_mistake_is_named() {
    type Change = fn(&mut abi::Folded);
    let mistakes: &[(Change, &str)] = &[
        (|raw| raw.states = texts(&["a", "b"]), "states: 2 strings instead of 3"),
        (|raw| raw.states.ends = vec![4, 1, 4], "states: ends decrease"),
        (|raw| raw.states.ends[2] = 5, "states: the last string ends at 5 of 4 bytes"),
        (|raw| raw.states = texts(&["", "", "123456789"]), "state_bytes exceeded: limit 8, current 0, requested 9"),
        (|raw| raw.emitted.groups = vec![2, 0], "emitted rows: groups decrease"),
        (|raw| raw.emitted.groups = vec![0, 3], "output_rows: group 3 of 3"),
        (|raw| raw.emitted.groups = vec![1; 5], "output_rows exceeded: limit 4, current 4, requested 5"),
        (|raw| drop(raw.emitted.columns.pop()), "emitted rows: 4 columns instead of 5"),
        (|raw| raw.emitted.columns.swap(0, 1), "emitted column `flag`: integers where Boolean is declared"),
        (
            |raw| raw.emitted.columns[1] = column(abi::OwnedValues::Integers(vec![1])),
            "emitted column `count`: 1 values instead of 2",
        ),
        (
            |raw| raw.emitted.columns[0] = column(abi::OwnedValues::Booleans(vec![0, 2])),
            "emitted column `flag`: 2 is neither 0 nor 1",
        ),
        (
            |raw| raw.emitted.columns[1].validity = vec![1],
            "emitted column `count`: null, but it is declared as never null",
        ),
        (|raw| raw.emitted.columns[0].validity = vec![3, 0], "emitted column `flag`: validity of 2 bytes for 2 rows"),
        (
            |raw| raw.emitted.columns[3] = column(abi::OwnedValues::Texts(texts(&["one"]))),
            "emitted column `label`: 1 strings instead of 2",
        ),
        (
            |raw| raw.emitted.columns[4] = column(abi::OwnedValues::Texts(texts(&["{}", "{"]))),
            "emitted column `extra`: not JSON",
        ),
        (
            |raw| match &mut raw.emitted.columns[3].values {
                abi::OwnedValues::Texts(texts) => texts.bytes = vec![0xff, 0xff],
                _ => unreachable!("the fourth column holds texts"),
            },
            "emitted column `label`: not UTF-8",
        ),
        // Each text alone would not be UTF-8, only both together.
        (
            |raw| match &mut raw.emitted.columns[3].values {
                abi::OwnedValues::Texts(texts) => texts.ends = vec![1, 2],
                _ => unreachable!("the fourth column holds texts"),
            },
            "emitted column `label`: not UTF-8",
        ),
        (|raw| raw.timers[0].group = 3, "timers: group 3 of 3"),
        (
            |raw| raw.timers = (0..3).map(|time| abi::Timer { group: 0, time }).collect(),
            "timers exceeded: limit 2, current 2, requested 3",
        ),
        (
            |raw| raw.failures = vec![abi::Failure { group: 3, message: String::new() }],
            "failures: group 3 out of range or order, of 3 groups",
        ),
        (
            |raw| raw.failures = [1, 1].map(|group| abi::Failure { group, message: String::new() }).into(),
            "failures: group 1 out of range or order, of 3 groups",
        ),
    ];
    for (change, expected) in mistakes {
        let mistake = lift_changed(change).expect_err(expected);
        assert!(mistake.starts_with(expected), "{mistake:?} instead of {expected:?}");
    }
}

#[test]
fn limits_are_those_of_one_group_however_many_share_a_call() {
    let timers = |group| [0, 1].map(|time| abi::Timer { group, time });
    let folded = lift_changed(|raw| raw.timers = [timers(0), timers(1), timers(2)].into_iter().flatten().collect());
    assert_eq!(folded.expect("two for each group").timers.len(), 6);
}

#[test]
fn what_a_failed_group_returned_is_ignored() {
    let folded = lift_changed(|raw| {
        raw.states = texts(&["too long a state", "b", "c"]);
        raw.timers.push(abi::Timer { group: 0, time: 1 });
        raw.failures = vec![abi::Failure { group: 0, message: "äöüäöüäöüäöü".into() }];
    });
    let folded = folded.expect("the failure is soft");
    assert_eq!(folded.failures[0].detail, "äöüäöüäö");
    assert_eq!([folded.states.get(0), folded.states.get(1)], [b"".as_slice(), b"b"]);
    assert_eq!(folded.emitted.groups, [2]);
    assert_eq!(folded.emitted.columns[3].as_string::<i32>().value(0), "");
    assert_eq!(folded.timers, [(1, 7)]);
}

#[test]
fn every_nan_becomes_the_same() {
    let strange = [f64::from_bits(0xfff8_dead_beef_0001), f64::from_bits(0x7ff0_0000_0000_0001)];
    let folded = lift_changed(|raw| raw.emitted.columns[2] = column(abi::OwnedValues::Floats(strange.into())));
    let folded = folded.expect("a NaN is no mistake");
    let means = folded.emitted.columns[2].as_primitive::<Float64Type>();
    assert!(means.values().iter().all(|mean| mean.to_bits() == 0x7ff8_0000_0000_0000));
}

#[test]
fn merge_may_not_emit() {
    let answer = lift(right(), Expected { groups: 3, output: None, limits: &limits() });
    assert_eq!(answer.expect_err("it emits"), "merge and migrate must not emit rows or set timers");
}
