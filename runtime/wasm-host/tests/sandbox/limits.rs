//! Every limit is a setting, and the setting is what decides.

use crate::handmade::{Handmade, REST};
use crate::support::{batch, evil, evil_bytes, failed, guest, tight};
use tidemark_engine::guest::{Folded, GuestFactory};
use tidemark_wasm_host::{FactoryError, Host, HostSettings, Limits};

fn attacked(attack: &str, limits: Limits) -> Folded {
    guest(attack, limits).update(&batch(&["a", "evil", "b"])).expect("isolated")
}

fn detail(attack: &str, limits: Limits) -> String {
    let folded = attacked(attack, limits);
    assert_eq!(failed(&folded), [1], "{attack}");
    folded.failures.into_iter().next().expect("one").detail
}

#[test]
fn what_one_limit_forbids_a_higher_one_allows() {
    let state = Limits { state_bytes: 4 << 20, ..tight() };
    assert_eq!(attacked("huge-state", state).states.get(1).len(), 4 << 20);
    let rows = Limits { output_rows: 200_000, ..tight() };
    assert_eq!(attacked("many-rows", rows).emitted.groups.len(), 200_000);
    let timers = Limits { timers: 2_000_000, memory_bytes: 256 << 20, ..tight() };
    assert_eq!(attacked("many-timers", timers).timers.len(), 2_000_000);
}

#[test]
fn what_the_defaults_allow_a_lower_limit_forbids() {
    let state = Limits { state_bytes: 23, ..tight() };
    let folded = attacked("none", state);
    assert_eq!(failed(&folded), [0, 1, 2]);
    assert_eq!(folded.failures[0].detail, "state_bytes exceeded: limit 23, current 0, requested 24");

    let memory = Limits { memory_bytes: 4 << 20, ..tight() };
    assert!(detail("allocate", memory).starts_with("memory_bytes exceeded: limit 4194304, current "));
    let output = Limits { output_bytes: 1 << 20, ..tight() };
    assert_eq!(detail("huge-state", output), "output_bytes exceeded: limit 1048576");
    let message = Limits { message_bytes: 17, ..tight() };
    assert_eq!(detail("fail-at-length", message), "é".repeat(8));
}

#[test]
fn the_stack_is_the_hosts() {
    // Recurses 2,000 times and comes back: a few dozen bytes of native stack each time.
    let rest = r#"(func $down (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.xor (call $down (i32.sub (local.get 0) (i32.const 1))) (local.get 0))) (else (i32.const 1))))"#;
    let rest = format!("{rest}{REST}");
    let before_describe = "(drop (call $down (i32.const 2000)))";
    let deep = Handmade { before_describe, rest: &rest, ..Handmade::default() }.component();
    let load = |stack_bytes| {
        let host = Host::new(HostSettings { stack_bytes, instances: 2, ..HostSettings::default() });
        host.expect("sound").load(&deep).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(load(512 << 10), Ok(()));
    assert!(load(16 << 10).expect_err("too deep").contains("call stack exhausted"));
}

#[test]
fn limits_that_make_no_sense_are_refused_all_at_once() {
    let limits =
        Limits { memory_bytes: 0, call_time_ms: 0, verdict_fuel: 0, state_bytes: 1 << 40, ..Limits::default() };
    let Err(FactoryError::Limits(mistakes)) = evil().factory("{}", limits) else { panic!("they make no sense") };
    let hasty = Limits { verdict_fuel: 99_999_999, ..tight() };
    let error = evil().factory("{}", hasty).err().expect("a fast machine burns as much in 10 ms").to_string();
    assert!(error.contains("verdict_fuel = 99999999, must be from 100000000"), "{error}");
    let names: Vec<&str> = mistakes.iter().filter_map(|mistake| mistake.split(' ').next()).collect();
    assert_eq!(names, ["memory_bytes", "call_time_ms", "verdict_fuel", "state_bytes"]);
}

#[test]
fn more_time_for_a_call_is_more_fuel() {
    let slow = Limits { call_time_ms: 2_000, ..Limits::default() };
    assert!(
        evil().factory(r#"{ "attack": "none" }"#, slow.clone()).is_err(),
        "the default fuel is for the default time"
    );
    evil().factory(r#"{ "attack": "none" }"#, slow.with_enough_fuel()).expect("sound");
    let hasty = Limits { call_time_ms: 1, ..Limits::default() };
    assert_eq!(hasty.clone().with_enough_fuel(), hasty);
}

#[test]
fn more_instances_than_there_is_room_for_are_an_error() {
    let host = Host::new(HostSettings { instances: 2, ..HostSettings::default() }).expect("sound");
    let factory = host.load(&evil_bytes()).expect("sound").factory(r#"{ "attack": "none" }"#, tight());
    let factory = factory.expect("honest");
    let both = [factory.instantiate().expect("room"), factory.instantiate().expect("room")];
    let error = factory.instantiate().err().expect("no room").to_string();
    assert!(error.contains("limit") && error.contains("2"), "{error}");
    drop(both);
    factory.instantiate().expect("room again");
}

#[test]
fn settings_can_be_written_as_text() {
    let limits: Limits = serde_json::from_str(r#"{ "state_bytes": 7 }"#).expect("the rest has defaults");
    assert_eq!(limits, Limits { state_bytes: 7, ..Limits::default() });
    assert!(serde_json::from_str::<Limits>(r#"{ "state_byte": 7 }"#).is_err());
}
