//! The join against the example of Flink's documentation and against a join by brute force.

use super::*;
use proptest::prelude::*;

fn order(time: i64, offset: u64) -> RowOrder {
    RowOrder { time: EventTime(time), partition: 0, offset }
}

/// Feeds rows in the given order and moves the watermark to the end.
fn run(join: &IntervalJoin, rows: &[(Side, i64)]) -> Vec<Joined<i64>> {
    let (mut buffer, mut out) = (JoinBuffer::default(), Vec::new());
    for (offset, (side, time)) in rows.iter().enumerate() {
        buffer.insert(join, *side, order(*time, offset as u64), *time, &mut out);
    }
    buffer.advance(join, EventTime::MAX, &mut out);
    assert!(buffer.is_empty());
    out
}

fn pairs(out: &[Joined<i64>]) -> Vec<(i64, i64)> {
    let mut pairs: Vec<_> = out
        .iter()
        .filter_map(|joined| match joined {
            Joined::Pair { left, right } => Some((left.1, right.1)),
            Joined::Unmatched { .. } => None,
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn bounds_select_the_documented_pairs_in_both_arrival_orders() {
    type Case = (i64, i64, &'static [(i64, i64)]);
    let cases: [Case; 6] = [
        (-2, -1, &[(2, 1), (3, 1), (3, 2), (4, 2), (4, 3)]),
        (-1, 1, &[(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4)]),
        (1, 2, &[(1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]),
        (-2, -2, &[(3, 1), (4, 2)]),               // (−3, −1)
        (0, 0, &[(1, 1), (2, 2), (3, 3), (4, 4)]), // (−1, 1)
        (2, 2, &[(1, 3), (2, 4)]),                 // (1, 3)
    ];
    let lefts: Vec<_> = (1..=4).map(|time| (Side::Left, time)).collect();
    let rights: Vec<_> = (1..=4).map(|time| (Side::Right, time)).collect();
    for (lower, upper, expected) in cases {
        let join = IntervalJoin::new(lower, upper, Matches::All).unwrap();
        for rows in [[lefts.clone(), rights.clone()].concat(), [rights.clone(), lefts.clone()].concat()] {
            assert_eq!(pairs(&run(&join, &rows)), expected, "[{lower}, {upper}] {rows:?}");
        }
    }
}

#[test]
fn the_first_match_waits_for_the_watermark() {
    let join = IntervalJoin::new(-10, 60, Matches::First).unwrap().with_unmatched(true, false);
    let (mut buffer, mut out) = (JoinBuffer::default(), Vec::new());
    buffer.insert(&join, Side::Left, order(100, 0), 100, &mut out);
    buffer.insert(&join, Side::Right, order(150, 1), 150, &mut out);
    assert_eq!(buffer.next_due(&join), Some(EventTime(150)));
    buffer.advance(&join, EventTime(120), &mut out);
    assert!(out.is_empty(), "an earlier right row may still come");
    buffer.insert(&join, Side::Right, order(130, 2), 130, &mut out);
    buffer.advance(&join, EventTime(130), &mut out);
    assert_eq!(pairs(&out), [(100, 130)]);
    buffer.insert(&join, Side::Left, order(200, 3), 200, &mut out);
    buffer.advance(&join, EventTime(259), &mut out);
    assert_eq!(out.len(), 1);
    buffer.advance(&join, EventTime(260), &mut out);
    assert_eq!(out[1], Joined::Unmatched { side: Side::Left, row: (order(200, 3), 200) });
}

fn rows() -> impl Strategy<Value = Vec<(Side, i64)>> {
    let side = prop_oneof![Just(Side::Left), Just(Side::Right)];
    prop::collection::vec((side, 0..40_i64), 0..40)
}

proptest! {
    /// Every pair within the bounds exactly once, and every row without one exactly once, whatever the arrival order.
    #[test]
    fn equals_the_join_by_brute_force(rows in rows(), lower in -8..8_i64, width in 0..8_i64) {
        let upper = lower + width;
        let join = IntervalJoin::new(lower, upper, Matches::All).unwrap().with_unmatched(true, true);
        let out = run(&join, &rows);
        let times = |wanted| rows.iter().filter(move |(side, _)| *side == wanted).map(|(_, time)| *time);
        let mut expected: Vec<_> = times(Side::Left)
            .flat_map(|l| times(Side::Right).filter(move |r| (lower..=upper).contains(&(r - l))).map(move |r| (l, r)))
            .collect();
        expected.sort_unstable();
        prop_assert_eq!(pairs(&out), expected);
        let lonely = times(Side::Left).filter(|l| !times(Side::Right).any(|r| (lower..=upper).contains(&(r - l)))).count()
            + times(Side::Right).filter(|r| !times(Side::Left).any(|l| (lower..=upper).contains(&(r - l)))).count();
        prop_assert_eq!(out.iter().filter(|joined| matches!(joined, Joined::Unmatched { .. })).count(), lonely);
    }

    /// `advance` does nothing before `next_due`, and moving the watermark in steps or at once is the same.
    #[test]
    fn next_due_is_exact(rows in rows(), lower in -8..8_i64, width in 0..8_i64, first in any::<bool>()) {
        let matches = if first { Matches::First } else { Matches::All };
        let join = IntervalJoin::new(lower, lower + width, matches).unwrap().with_unmatched(true, true);
        let (mut buffer, mut out) = (JoinBuffer::default(), Vec::new());
        for (offset, (side, time)) in rows.iter().enumerate() {
            buffer.insert(&join, *side, order(*time, offset as u64), *time, &mut out);
        }
        let (mut at_once, mut expected) = (buffer.clone(), out.clone());
        at_once.advance(&join, EventTime::MAX, &mut expected);
        while let Some(due) = buffer.next_due(&join) {
            let before = (buffer.clone(), out.len());
            buffer.advance(&join, due.plus_ms(-1), &mut out);
            prop_assert_eq!((&buffer, out.len()), (&before.0, before.1));
            buffer.advance(&join, due, &mut out);
            prop_assert!(buffer != before.0);
        }
        let key = |joined: &Joined<i64>| format!("{joined:?}");
        prop_assert_eq!(out.iter().map(key).collect::<std::collections::BTreeSet<_>>(),
                        expected.iter().map(key).collect::<std::collections::BTreeSet<_>>());
    }
}
