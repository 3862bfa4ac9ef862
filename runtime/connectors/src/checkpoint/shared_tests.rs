//! Two processes that believe to own one place: whatever the one that has lost does late, the other's checkpoints are whole.

use super::tests::Fixture;
use super::{Checkpoints, FAIL_POINTS};
use crate::fail_point::{self, FailPoint};
use std::fs;
use std::sync::{Arc, Mutex};

/// Saves a checkpoint of `epoch` by `store` when somebody else is at `point`.
fn at(point: &'static str, fixture: &Arc<Fixture>, store: Checkpoints, epoch: u64) -> FailPoint {
    let (fixture, waiting) = (Arc::clone(fixture), Mutex::new(Some(store)));
    Arc::new(move |step| {
        if step == point
            && let Some(mut store) = waiting.lock().unwrap().take()
        {
            fixture.save(&mut store, epoch);
        }
    })
}

fn shared(fixture: &Fixture, keep: usize) -> Checkpoints {
    fixture.store_that_keeps(keep, fail_point::disabled()).shared()
}

/// Names of what is stored.
fn objects(fixture: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.checkpoints().join("objects")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn who_has_lost_takes_nothing_from_who_has_won() {
    for (point, keep) in FAIL_POINTS.into_iter().flat_map(|point| [(point, 1), (point, 2)]) {
        for fixture in Fixture::both().map(Arc::new) {
            let mut loser = shared(&fixture, keep);
            fixture.save(&mut loser, 4);
            fixture.save(&mut loser, 5);
            // The successor has some content of that in its own first checkpoint. Meanwhile the loser is late.
            let mut winner = fixture.store_that_keeps(keep, at(point, &fixture, loser, 6)).shared();
            fixture.save(&mut winner, 7);
            assert_eq!(fixture.restored(), (7, vec![]), "{point}, {keep} kept");
            fixture.save(&mut winner, 8);
            fixture.save(&mut winner, 9);
            assert_eq!(fixture.restored(), (9, vec![]), "{point}, {keep} kept");
            // What the loser left is gone when somebody has looked what there is.
            fixture.save(&mut shared(&fixture, keep), 10);
            assert_eq!(fixture.restored(), (10, vec![]), "{point}, {keep} kept");
            let left = objects(&fixture);
            assert!(left.iter().all(|name| !name.starts_with("t000000000004-")), "{point}, {keep} kept: {left:?}");
        }
    }
}

#[test]
fn who_has_won_is_not_misled_by_who_has_lost() {
    for (point, keep) in FAIL_POINTS.into_iter().flat_map(|point| [(point, 1), (point, 2)]) {
        for fixture in Fixture::both().map(Arc::new) {
            fixture.save(&mut shared(&fixture, keep), 4);
            // A whole checkpoint of the successor comes while the loser is about to keep its own.
            let winner = shared(&fixture, keep);
            let mut loser = fixture.store_that_keeps(keep, at(point, &fixture, winner, 7)).shared();
            fixture.save(&mut loser, 6);
            assert_eq!(fixture.restored(), (7, vec![]), "{point}, {keep} kept");
            let mut next = shared(&fixture, keep);
            fixture.save(&mut next, 8);
            assert_eq!(fixture.restored(), (8, vec![]), "{point}, {keep} kept");
        }
    }
}

#[test]
fn what_one_process_alone_has_kept_is_gone_on_from() {
    for fixture in Fixture::both() {
        let mut sole = fixture.store_that_keeps(2, fail_point::disabled());
        fixture.save(&mut sole, 4);
        fixture.save(&mut sole, 5);
        let mut owner = shared(&fixture, 2);
        fixture.save(&mut owner, 6);
        assert_eq!(fixture.restored(), (6, vec![]));
        fixture.save(&mut owner, 7);
        assert_eq!(fixture.restored(), (7, vec![]));
        assert_eq!(objects(&fixture).iter().filter(|name| !name.starts_with('t')).count(), 0);
    }
}

#[test]
fn who_has_decided_nothing_removes_nothing() {
    for fixture in Fixture::both() {
        let mut owner = shared(&fixture, 1);
        fixture.save(&mut owner, 4);
        let before = objects(&fixture).len();
        shared(&fixture, 1).prune().unwrap();
        assert_eq!((objects(&fixture).len(), fixture.restored()), (before, (4, vec![])));
    }
}
