//! A run that was killed leaves the same folder, byte for byte, as one that was not.

use super::driver::{assert_same_tree, folder, run_with_kills, settings, tree};
use crate::sink::parquet::FAIL_POINTS;
use proptest::prelude::*;
use std::collections::BTreeSet;

const EPOCHS: u64 = 11;
const LARGE: u64 = 1 << 20;
/// Spills in the fifth epoch.
const SMALL: u64 = 64 << 10;

#[test]
fn every_step_can_be_the_last() {
    for (compacted_files, buffer_bytes) in [(0, LARGE), (2, LARGE), (3, SMALL)] {
        let settings = settings(compacted_files, buffer_bytes);
        let undisturbed = folder();
        let expected = run_with_kills(undisturbed.path(), &settings, EPOCHS, &[]);
        for (place, step) in expected.steps.iter().enumerate() {
            let killed = folder();
            let run = run_with_kills(killed.path(), &settings, EPOCHS, &[place + 1]);
            let what = format!("a kill at call {} ({step}) with {compacted_files} files", place + 1);
            run.assert_follows(&expected, &what);
            assert_same_tree(undisturbed.path(), killed.path(), &what);
        }
    }
}

#[test]
fn every_fail_point_is_reached() {
    let folder = folder();
    let reached: BTreeSet<_> =
        run_with_kills(folder.path(), &settings(2, SMALL), EPOCHS, &[]).steps.into_iter().collect();
    assert_eq!(reached, FAIL_POINTS.into_iter().collect());
}

#[test]
fn merging_leaves_few_files() {
    let (with, without) = (folder(), folder());
    run_with_kills(with.path(), &settings(2, LARGE), 24, &[]);
    run_with_kills(without.path(), &settings(0, LARGE), 24, &[]);
    let count = |folder: &tempfile::TempDir| {
        tree(folder.path()).keys().filter(|name| name.contains("metric=jitter") && name.ends_with(".parquet")).count()
    };
    assert!(count(&without) >= 23, "{}", count(&without));
    // Two dates, each with at most one file a tier and what the last epochs have not merged yet.
    assert!(count(&with) <= 10, "{:?}", tree(with.path()).keys());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_number_of_kills(
        kills in proptest::collection::vec(1_usize..40, 1..6),
        compacted_files in prop_oneof![Just(0_usize), 2..5_usize],
        buffer_bytes in prop_oneof![Just(SMALL), Just(LARGE)],
        epochs in 4_u64..16,
    ) {
        let settings = settings(compacted_files, buffer_bytes);
        let (undisturbed, killed) = (folder(), folder());
        let expected = run_with_kills(undisturbed.path(), &settings, epochs, &[]);
        let run = run_with_kills(killed.path(), &settings, epochs, &kills);
        run.assert_follows(&expected, &format!("kills at {kills:?}"));
        assert_same_tree(undisturbed.path(), killed.path(), &format!("kills at {kills:?}"));
    }
}
