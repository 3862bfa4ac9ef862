//! Timers: order and limit over key groups, before and after the commit, and what they cost.

mod common;

use common::{commit, due, key, log, open, timer};
use tidemark_dataflow::KeyGroup;
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::StateBackend;

const STAGE: StageId = StageId(1);

#[test]
fn due_timers_come_by_time_and_key_over_all_key_groups() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    let set = [(4, 10, b"b"), (0, 20, b"a"), (2, 10, b"a"), (3, 10, b"c"), (1, 30, b"a"), (0, 10, b"d")];
    let (early, late) = set.split_at(3);
    for &(group, time, key) in early {
        shards[0].set_timer(STAGE, KeyGroup(group), timer(time, key));
    }
    commit(&mut state, &mut shards);
    for &(group, time, key) in late {
        shards[0].set_timer(STAGE, KeyGroup(group), timer(time, key));
    }
    let expect = |timers: &[(u16, i64, &[u8; 1])]| -> Vec<(u16, i64, Box<[u8]>)> {
        timers.iter().map(|&(group, time, key)| (group, time, key[..].into())).collect()
    };
    assert_eq!(due(&mut shards[0], 1, 9, 10), []);
    assert_eq!(due(&mut shards[0], 1, 20, 3), expect(&[(2, 10, b"a"), (4, 10, b"b"), (3, 10, b"c")]));
    assert_eq!(due(&mut shards[0], 1, 20, 0), []);
    assert_eq!(due(&mut shards[0], 1, 20, 10), expect(&[(0, 10, b"d"), (0, 20, b"a")]));
    assert_eq!(due(&mut shards[0], 2, i64::MAX, 10), [], "another stage has none");
    commit(&mut state, &mut shards);
    assert_eq!(due(&mut shards[0], 1, i64::MAX, 10), expect(&[(1, 30, b"a")]));
}

#[test]
fn a_timer_set_in_two_epochs_is_due_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    for _ in 0..2 {
        shards[0].set_timer(STAGE, KeyGroup(0), timer(5, b"k"));
        commit(&mut state, &mut shards);
    }
    shards[0].set_timer(STAGE, KeyGroup(0), timer(5, b"k"));
    assert_eq!(due(&mut shards[0], 1, 5, 10).len(), 1);
    assert_eq!(due(&mut shards[0], 1, 5, 10).len(), 0);
    commit(&mut state, &mut shards);
    drop((state, shards));
    let state = open(folder.path());
    assert_eq!(due(&mut state.shards(1).expect("shards")[0], 1, i64::MAX, 10).len(), 0);
}

#[test]
fn many_more_timers_than_are_read_ahead_come_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    for time in 0..5_000 {
        shards[0].set_timer(STAGE, KeyGroup((time % 5) as u16), timer(time, &key(1, 0, 0)));
        if time % 1_000 == 999 {
            commit(&mut state, &mut shards);
        }
    }
    let mut times = Vec::new();
    while times.len() < 5_000 {
        let some = due(&mut shards[0], 1, 4_999, 700);
        assert!(!some.is_empty(), "{} of 5,000 timers", times.len());
        times.extend(some.into_iter().map(|(_, time, _)| time));
    }
    assert!(times.iter().copied().eq(0..5_000));
}

#[test]
fn a_timer_cleared_far_ahead_of_the_read_ones_is_never_due() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    let run = |from: i64, to: i64| (from..to).map(|time| timer(time, b"k"));
    run(0, 1_000).for_each(|timer| shards[0].set_timer(STAGE, KeyGroup(0), timer));
    commit(&mut state, &mut shards);
    // Before the commit of the clearing, after it, and after a restart: read from the index each time.
    run(600, 700).for_each(|timer| shards[0].clear_timer(STAGE, KeyGroup(0), &timer));
    assert_eq!(due(&mut shards[0], 1, 649, 1_000).len(), 600);
    commit(&mut state, &mut shards);
    run(800, 900).for_each(|timer| shards[0].clear_timer(STAGE, KeyGroup(0), &timer));
    commit(&mut state, &mut shards);
    drop((state, shards));
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    run(900, 950).for_each(|timer| shards[0].clear_timer(STAGE, KeyGroup(0), &timer));
    commit(&mut state, &mut shards);
    let times = due(&mut shards[0], 1, i64::MAX, 1_000).into_iter().map(|(_, time, _)| time);
    assert!(times.eq((700..800).chain(950..1_000)));
}

#[test]
fn a_timer_cleared_and_set_again_stays_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    for _ in 0..2 {
        for time in 0..100 {
            shards[0].set_timer(STAGE, KeyGroup(0), timer(time, b"k"));
            shards[0].clear_timer(STAGE, KeyGroup(0), &timer(time, b"k"));
            shards[0].set_timer(STAGE, KeyGroup(0), timer(time, b"k"));
        }
        commit(&mut state, &mut shards);
    }
    drop((state, shards));
    let state = open(folder.path());
    assert_eq!(due(&mut state.shards(1).expect("shards")[0], 1, i64::MAX, 1_000).len(), 100);
}

#[test]
fn what_comes_and_goes_between_two_commits_costs_nothing_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    commit(&mut state, &mut shards);
    for item in 0..1_000 {
        let key = key(1, 0, item);
        shards[0].put(&key, b"short-lived");
        shards[0].set_timer(STAGE, KeyGroup(0), timer(item.into(), &key));
        shards[0].delete(&key);
        if item % 2 == 0 {
            shards[0].clear_timer(STAGE, KeyGroup(0), &timer(item.into(), &key));
        }
    }
    assert_eq!(due(&mut shards[0], 1, i64::MAX, usize::MAX).len(), 500);
    let before = std::fs::metadata(log(folder.path())).expect("a log").len();
    commit(&mut state, &mut shards);
    let written = std::fs::metadata(log(folder.path())).expect("a log").len() - before;
    assert!(written < 100, "{written} bytes in the log for nothing");
    assert_eq!(common::content(&state), []);
}

#[test]
fn a_key_known_to_be_absent_is_not_asked_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    let keys: Vec<_> = (0..10).map(|item| key(1, 0, item)).collect();
    for _ in 0..3 {
        shards[0].prefetch(&keys).expect("prefetch");
        for key in &keys {
            assert_eq!(shards[0].get(key).expect("get"), None);
        }
    }
    commit(&mut state, &mut shards);
    let telemetry = state.inspector().telemetry().expect("telemetry");
    assert_eq!((telemetry.cache_misses, telemetry.cache_hits), (10, 30));
}
