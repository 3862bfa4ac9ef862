//! Results depend on a group's rows and state and on nothing else.

use crate::support::{batch_of, closing, evil, guest, honest_state, tight};
use arrow_array::Array;
use proptest::prelude::*;
use tidemark_engine::guest::{CloseReason, Guest, GuestFactory, VarBytes};
use tidemark_wasm_host::Limits;

fn append(whole: &mut VarBytes, part: &VarBytes) {
    (0..part.len()).for_each(|index| whole.push(part.get(index)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the split of groups into calls, fresh or used instance: the same bytes.
    #[test]
    fn any_split_of_the_groups_gives_the_same_bytes(
        rows in prop::collection::vec(0_usize..20, 1..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let names: Vec<String> = (0..rows.len()).map(|group| format!("key-{group}")).collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        let batch = batch_of(&keys, &rows);
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).chain([0, rows.len()]).collect();
        bounds.sort_unstable();

        let mut used = guest("none", tight());
        let whole = used.update(&batch).expect("honest");
        let closed = used.close(&closing(&batch), CloseReason::WindowEnd).expect("honest");
        let (mut states, mut groups, mut rows_closed) = (VarBytes::default(), Vec::new(), 0);
        for bounds in bounds.windows(2) {
            let range = bounds[0]..bounds[1];
            append(&mut states, &used.update(&batch.slice(range.clone())).expect("honest").states);
            let part = closing(&batch).slice(range.clone());
            let part = used.close(&part, CloseReason::WindowEnd).expect("honest");
            groups.extend(part.emitted.groups.iter().map(|group| group + range.start as u32));
            for (whole, part) in closed.emitted.columns.iter().zip(&part.emitted.columns) {
                prop_assert_eq!(whole.slice(rows_closed, part.len()).to_data(), part.to_data());
            }
            rows_closed = groups.len();
        }
        prop_assert_eq!(&states, &whole.states);
        prop_assert_eq!(groups, closed.emitted.groups);
        for (group, &rows) in rows.iter().enumerate() {
            prop_assert_eq!(states.get(group), honest_state(group, rows));
        }
    }
}

/// The clock steers where a call is cut, and condemns nobody: a group that takes longer than a call may is judged by
/// its fuel, and has its result.
#[test]
fn a_slow_group_within_its_fuel_has_its_result() {
    let limits = Limits { call_time_ms: 1, verdict_fuel: 1_000_000_000, memory_bytes: 256 << 20, ..Limits::default() };
    let rows = 6_000_000;
    let folded = guest("none", limits).update(&batch_of(&["slow", "quick"], &[rows, 1])).expect("honest");
    assert!(folded.failures.is_empty());
    assert_eq!(folded.states.get(0), honest_state(0, rows));
    assert_eq!(folded.states.get(1), honest_state(1, 1));
}

#[test]
fn a_state_comes_back_as_it_went() {
    let mut guest = guest("none", tight());
    let mut batch = batch_of(&["a", "b"], &[4, 0]);
    let first = guest.update(&batch).expect("honest");
    batch.groups.states = first.states.clone();
    let migrated = guest.migrate(&first.states, 1).expect("honest");
    assert_eq!(migrated.states, first.states);
    let merged = guest.merge(&first.states, &VarBytes { ends: vec![0, 0], bytes: vec![] }).expect("honest");
    assert_eq!(merged.states, first.states);
}

#[test]
fn workers_have_instances_of_their_own() {
    let factory = evil().factory(r#"{ "attack": "none" }"#, tight()).expect("honest");
    let batch = batch_of(&["a"; 50], &[10; 50]);
    let states: Vec<VarBytes> = std::thread::scope(|scope| {
        let work = || {
            let mut guest: Box<dyn Guest> = factory.instantiate().expect("the pool has room");
            (0..50).map(|_| guest.update(&batch).expect("honest").states).next_back().expect("fifty")
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("it ends")).collect()
    });
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
}
