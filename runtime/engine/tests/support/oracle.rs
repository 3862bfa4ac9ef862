//! What the rows must be, worked out from the whole input at once: no watermarks, no state, no order of arrival.

use std::collections::{BTreeMap, BTreeSet};

/// An event as the oracle sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fact {
    pub time: i64,
    pub partition: usize,
    pub offset: usize,
    pub key: u8,
    pub left: bool,
    /// Unique.
    pub value: i64,
}

/// A row: key, start, end, event time, values in ascending order.
pub type Fired = (u8, i64, i64, i64, Vec<i64>);

fn fired(key: u8, start: i64, end: i64, mut values: Vec<i64>) -> Fired {
    values.sort_unstable();
    (key, start, end, end - 1, values)
}

/// The windows `[n * slide + offset, … + size)` that cover `time`, found by trying all near it.
pub fn windows_of(time: i64, size: i64, slide: i64, offset: i64) -> Vec<i64> {
    let near = time / slide - size / slide - 3..=time / slide + 3;
    near.map(|n| n * slide + offset).filter(|start| *start <= time && time < start + size).collect()
}

pub fn aligned(facts: &[Fact], size: i64, slide: i64, offset: i64) -> Vec<Fired> {
    let mut windows: BTreeMap<(u8, i64), Vec<i64>> = BTreeMap::new();
    for fact in facts {
        for start in windows_of(fact.time, size, slide, offset) {
            windows.entry((fact.key, start)).or_default().push(fact.value);
        }
    }
    windows.into_iter().map(|((key, start), values)| fired(key, start, start + size, values)).collect()
}

pub fn sessions(facts: &[Fact], gap: i64) -> Vec<Fired> {
    let mut by_key: BTreeMap<u8, Vec<Fact>> = BTreeMap::new();
    facts.iter().for_each(|fact| by_key.entry(fact.key).or_default().push(*fact));
    let mut out = Vec::new();
    for (key, mut facts) in by_key {
        facts.sort_unstable();
        for session in facts.chunk_by(|a, b| b.time - a.time <= gap) {
            let (first, last) = (session[0].time, session[session.len() - 1].time);
            out.push(fired(key, first, last + gap, session.iter().map(|fact| fact.value).collect()));
        }
    }
    out
}

/// A row of a join: key, event time, left value, right value.
pub type JoinRow = (u8, i64, Option<i64>, Option<i64>);

pub fn join(facts: &[Fact], lower: i64, upper: i64, first: bool) -> Vec<JoinRow> {
    let mut rights: Vec<Fact> = facts.iter().filter(|fact| !fact.left).copied().collect();
    rights.sort_unstable();
    let (mut out, mut taken) = (Vec::new(), BTreeSet::new());
    for left in facts.iter().filter(|fact| fact.left) {
        let partner =
            |right: &&Fact| right.key == left.key && left.time + lower <= right.time && right.time <= left.time + upper;
        let partners: Vec<&Fact> = rights.iter().filter(partner).take(if first { 1 } else { usize::MAX }).collect();
        if partners.is_empty() {
            out.push((left.key, left.time, Some(left.value), None));
        }
        for right in partners {
            taken.insert(right.value);
            out.push((left.key, left.time.max(right.time), Some(left.value), Some(right.value)));
        }
    }
    let lonely = rights.iter().filter(|right| !taken.contains(&right.value));
    out.extend(lonely.map(|right| (right.key, right.time, None, Some(right.value))));
    out.sort_unstable();
    out
}
