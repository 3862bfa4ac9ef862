//! Exactly the poison groups fail, all others have their own results, and the number of calls is bounded.

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, StringArray};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::guest::Emitted;

/// Fails whenever a range holds a poison group; otherwise each group has a state, a timer and `group % 3` rows of its own.
struct Model {
    poison: BTreeSet<usize>,
    calls: usize,
}

impl Model {
    fn fold(&self, range: Range<usize>) -> Folded {
        let mut folded = Folded::default();
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (local, group) in range.enumerate() {
            folded.states.push(format!("state {group}").as_bytes());
            folded.timers.push((local as u32, group as i64));
            for row in 0..group % 3 {
                folded.emitted.groups.push(local as u32);
                numbers.push((group * 10 + row) as i64);
                texts.push(format!("{group}/{row}"));
            }
        }
        if !numbers.is_empty() {
            folded.emitted.columns = vec![Arc::new(Int64Array::from(numbers)), Arc::new(StringArray::from(texts))];
        }
        folded
    }
}

impl Patient for Model {
    type Failure = &'static str;
    type Error = Infallible;

    fn attempt(&mut self, range: Range<usize>, _: u32) -> Result<Result<Folded, &'static str>, Infallible> {
        self.calls += 1;
        let poisoned = self.poison.range(range.clone()).next().is_some();
        Ok(if poisoned { Err("poison") } else { Ok(self.fold(range)) })
    }

    fn verdict(&mut self, group: usize, failure: &'static str) -> Result<Piece, Infallible> {
        assert!(self.poison.contains(&group), "group {group} is judged, but is no poison");
        Ok(Piece::Poison(GroupFailure { group: group as u32, reason: Reason::GuestTrap, detail: failure.into() }))
    }
}

fn check(groups: usize, poison: BTreeSet<usize>) {
    let mut model = Model { poison: poison.clone(), calls: 1 };
    let Ok(pieces) = isolate(&mut model, groups, "poison");
    let whole = assemble(pieces);

    let failed: BTreeSet<usize> = whole.failures.iter().map(|failure| failure.group as usize).collect();
    assert_eq!(failed, poison);
    assert!(whole.failures.is_sorted_by_key(|failure| failure.group));
    assert_eq!(whole.states.len(), groups);

    let healthy = (0..groups).filter(|group| !poison.contains(group));
    let mut rows = Vec::new();
    for group in healthy.clone() {
        assert_eq!(whole.states.get(group), format!("state {group}").as_bytes());
        rows.extend((0..group % 3).map(|row| (group, row)));
    }
    assert_eq!(whole.timers, healthy.map(|group| (group as u32, group as i64)).collect::<Vec<_>>());
    assert_eq!(whole.emitted.groups, rows.iter().map(|&(group, _)| group as u32).collect::<Vec<_>>());
    if !rows.is_empty() {
        let numbers = whole.emitted.columns[0].as_primitive::<Int64Type>();
        let texts = whole.emitted.columns[1].as_string::<i32>();
        for (index, &(group, row)) in rows.iter().enumerate() {
            assert_eq!(numbers.value(index), (group * 10 + row) as i64);
            assert_eq!(texts.value(index), format!("{group}/{row}"));
        }
    }

    let levels = groups.next_power_of_two().ilog2() as usize + 1;
    let most = 2 * poison.len() * levels + 1;
    assert!(model.calls <= most, "{} calls for {} poison among {groups}, at most {most}", model.calls, poison.len());
}

proptest! {
    #[test]
    fn any_set_of_poison_groups_is_found_exactly(groups in 1_usize..300, seeds in prop::collection::vec(any::<prop::sample::Index>(), 1..12)) {
        check(groups, seeds.iter().map(|seed| seed.index(groups)).collect());
    }
}

#[test]
fn every_set_of_poison_among_few_groups_is_found_exactly() {
    for groups in 1..=8 {
        for set in 1_u32..1 << groups {
            check(groups, (0..groups).filter(|group| set >> group & 1 == 1).collect());
        }
    }
}

#[test]
fn soft_failures_within_a_piece_keep_their_place() {
    let failure = |group, detail: &str| GroupFailure { group, reason: Reason::GuestFailure, detail: detail.into() };
    let mut soft = Folded::default();
    (0..3).for_each(|_| soft.states.push(b"s"));
    soft.failures.push(failure(2, "soft"));
    soft.emitted = Emitted::default();
    let whole = assemble(vec![Piece::Poison(failure(0, "hard")), Piece::Folded(soft)]);
    assert_eq!(whole.failures, [failure(0, "hard"), failure(3, "soft")]);
}
