//! Generated rows: a few groups of the module's own window, with values of its own types. The same for the same module.

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow_select::take::take;
use std::ops::Range;
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, Condition, Descriptor, InputColumn, Side, WindowSpec};
use tidemark_engine::guest::{Groups, GuestBatch};

/// Groups of a sample. Their keys repeat, so that some differ by their window alone.
const GROUPS: usize = 24;
/// Rows of a group: three parts of at least one row each. Groups of a join have one.
const LEAST_ROWS: usize = 3;
const MOST_ROWS: usize = 11;
/// A day in November 2023, as event time.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// A share of values that are null: one in so many.
const NULLS: u64 = 8;

/// Which values are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Values as they may well occur.
    Plain,
    /// Nulls, extremes, empty and long texts.
    Edges,
}

/// A group of a sample.
pub(super) struct Group {
    pub(super) key: String,
    pub(super) window: (i64, i64),
    /// Its rows in the sample's columns.
    pub(super) rows: Range<usize>,
}

/// Rows and their groups.
pub(super) struct Sample {
    columns: Vec<ArrayRef>,
    event_times: Vec<i64>,
    pub(super) groups: Vec<Group>,
    is_keyed: bool,
}

/// Some rows of a group, in a call.
pub(super) type Part = (usize, Range<usize>);

impl Sample {
    pub(super) fn new(descriptor: &Descriptor, values: Values) -> Self {
        let mut random = Random(0x7469_6465_6d61_726b ^ descriptor.inputs.len() as u64);
        let is_join = matches!(descriptor.window, WindowSpec::IntervalJoin { .. });
        let (mut groups, mut event_times) = (Vec::new(), Vec::new());
        for number in 0..GROUPS {
            let rows =
                if is_join { 1 } else { LEAST_ROWS + random.below((MOST_ROWS - LEAST_ROWS) as u64 + 1) as usize };
            let first = event_times.len();
            let (begin, length) = span(&descriptor.window, (number / 5) as i64);
            let mut times: Vec<i64> = (0..rows).map(|_| begin + random.below(length as u64) as i64).collect();
            times.sort_unstable();
            let window = match descriptor.window {
                WindowSpec::Session { gap_ms } => (times[0], times[rows - 1].saturating_add(gap_ms)),
                WindowSpec::Key { .. } => (i64::MIN, i64::MAX),
                WindowSpec::IntervalJoin { .. } => (times[0], times[0] + 1),
                WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => (begin, begin + length),
            };
            event_times.extend(times);
            // Not only digits, and not only of one byte.
            groups.push(Group { key: format!("key-{}ä", number % 5), window, rows: first..event_times.len() });
        }
        let column = |input: &InputColumn| column(input, descriptor, event_times.len(), values, &mut random);
        let columns = descriptor.inputs.iter().map(column).collect();
        let is_keyed = matches!(descriptor.window, WindowSpec::Key { .. });
        Self { columns, event_times, groups, is_keyed }
    }

    /// All groups with all rows.
    pub(super) fn whole(&self) -> Vec<Part> {
        (0..self.groups.len()).map(|group| (group, self.groups[group].rows.clone())).collect()
    }

    /// All groups with the `third` third of their rows: 0, 1 or 2. None is empty.
    pub(super) fn third(&self, third: usize) -> Vec<Part> {
        let cut = |rows: &Range<usize>, at: usize| rows.start + rows.len() * at / 3;
        let part = |(number, group): (usize, &Group)| (number, cut(&group.rows, third)..cut(&group.rows, third + 1));
        self.groups.iter().enumerate().map(part).collect()
    }

    /// A call for `parts`, with a state each.
    pub(super) fn batch(&self, parts: &[Part], states: &[Vec<u8>]) -> GuestBatch {
        let mut groups = Groups::default();
        let (mut rows, mut event_times) = (Vec::new(), Vec::new());
        for ((number, part), state) in parts.iter().zip(states) {
            rows.extend(part.clone().map(|row| row as u32));
            event_times.extend_from_slice(&self.event_times[part.clone()]);
            self.push(&mut groups, *number, self.time_of(*number, part.end), state);
            groups.row_ends.push(rows.len() as u32);
        }
        let rows = UInt32Array::from(rows);
        let columns = self.columns.iter();
        let columns = columns.map(|column| take(column, &rows, None).expect("the rows are the sample's")).collect();
        GuestBatch { columns, event_times, groups }
    }

    /// A call that ends groups, each at a time, without rows.
    pub(super) fn closing(&self, ends: &[(usize, i64)], states: &[Vec<u8>]) -> GuestBatch {
        let mut groups = Groups::default();
        for (&(number, time), state) in ends.iter().zip(states) {
            self.push(&mut groups, number, time, state);
            groups.row_ends.push(0);
        }
        let columns = self.columns.iter().map(|column| column.slice(0, 0)).collect();
        GuestBatch { columns, event_times: Vec::new(), groups }
    }

    /// The event time of rows that the end of a group emits.
    pub(super) fn end_of(&self, number: usize) -> i64 {
        self.time_of(number, self.groups[number].rows.end)
    }

    /// The same of a call with the group's rows up to `end`.
    fn time_of(&self, number: usize, end: usize) -> i64 {
        if self.is_keyed { self.event_times[end - 1] } else { self.groups[number].window.1 - 1 }
    }

    /// The same rows, with nulls in the columns of the other side: rows of a join without a partner.
    pub(super) fn unmatched(&self, descriptor: &Descriptor, side: Side) -> Self {
        let columns = self.columns.iter().zip(&descriptor.inputs).map(|(column, input)| {
            if input.side == Some(side) {
                column.clone()
            } else {
                arrow_array::new_null_array(column.data_type(), column.len())
            }
        });
        let groups =
            self.groups.iter().map(|group| Group { key: group.key.clone(), rows: group.rows.clone(), ..*group });
        Self {
            columns: columns.collect(),
            event_times: self.event_times.clone(),
            groups: groups.collect(),
            is_keyed: self.is_keyed,
        }
    }

    fn push(&self, groups: &mut Groups, number: usize, time: i64, state: &[u8]) {
        let group = &self.groups[number];
        groups.keys.push(group.key.as_bytes());
        groups.window_starts.push(group.window.0);
        groups.window_ends.push(group.window.1);
        groups.times.push(time);
        groups.states.push(state);
    }
}

/// Where the rows of the window number `number` lie: its start, and how many milliseconds there are.
fn span(window: &WindowSpec, number: i64) -> (i64, i64) {
    let length = match *window {
        WindowSpec::Tumbling { size_ms, .. } | WindowSpec::Sliding { size_ms, .. } => size_ms.max(1),
        WindowSpec::Session { gap_ms } => gap_ms.max(1),
        WindowSpec::Key { .. } | WindowSpec::IntervalJoin { .. } => 60_000,
    };
    let distance = match *window {
        WindowSpec::Sliding { slide_ms, .. } => slide_ms.max(1),
        _ => length,
    };
    let offset = match *window {
        WindowSpec::Tumbling { offset_ms, .. } | WindowSpec::Sliding { offset_ms, .. } => offset_ms,
        _ => 0,
    };
    // Windows longer than the time since the epoch begin with it.
    let first = BEGIN_MS / distance;
    (first.saturating_add(number).saturating_mul(distance).saturating_add(offset), length.min(1 << 52))
}

fn column(input: &InputColumn, descriptor: &Descriptor, rows: usize, values: Values, random: &mut Random) -> ArrayRef {
    let is_null = |random: &mut Random| random.below(if values == Values::Plain { NULLS } else { 3 }) == 0;
    let mut draw = |value: &mut dyn FnMut(&mut Random)| -> Vec<bool> {
        let mut valid = Vec::with_capacity(rows);
        for _ in 0..rows {
            valid.push(!is_null(random));
            value(random);
        }
        valid
    };
    match input.kind {
        ColumnType::Boolean => {
            let mut drawn = Vec::with_capacity(rows);
            let valid = draw(&mut |random| drawn.push(random.below(2) == 0));
            Arc::new(BooleanArray::new(drawn.into(), Some(valid.into())))
        }
        ColumnType::Integer => {
            let mut drawn = Vec::with_capacity(rows);
            let valid = draw(&mut |random| drawn.push(integer(values, random)));
            Arc::new(Int64Array::new(drawn.into(), Some(valid.into())))
        }
        ColumnType::Float => {
            let mut drawn = Vec::with_capacity(rows);
            let valid = draw(&mut |random| drawn.push(float(values, random)));
            Arc::new(Float64Array::new(drawn.into(), Some(valid.into())))
        }
        ColumnType::Text | ColumnType::Json => {
            let wanted = match descriptor.filter.0.get(&input.path) {
                Some(Condition::OneOf(texts)) => texts.as_slice(),
                _ => &[],
            };
            let mut drawn = Vec::with_capacity(rows);
            let valid = draw(&mut |random| {
                drawn.push(if input.kind == ColumnType::Json {
                    json(values, random)
                } else {
                    text(values, wanted, random)
                });
            });
            let texts = drawn.into_iter().zip(valid).map(|(text, valid)| valid.then_some(text));
            Arc::new(texts.collect::<StringArray>())
        }
    }
}

fn integer(values: Values, random: &mut Random) -> i64 {
    const EDGES: [i64; 6] = [0, -1, i64::MIN, i64::MAX, 1 << 53, -1_000_000];
    match values {
        Values::Edges => EDGES[random.below(EDGES.len() as u64) as usize],
        // Small numbers and moments: whatever is subtracted from what, little of it is out of the ordinary.
        Values::Plain if random.below(4) == 0 => BEGIN_MS + random.below(60_000) as i64,
        Values::Plain => random.below(100) as i64,
    }
}

fn float(values: Values, random: &mut Random) -> f64 {
    const EDGES: [f64; 6] = [0.0, -0.0, -1.5, f64::MAX, f64::MIN_POSITIVE, 1e-300];
    match values {
        Values::Edges => EDGES[random.below(EDGES.len() as u64) as usize],
        Values::Plain => random.below(100_000) as f64 / 1_024.0,
    }
}

fn text(values: Values, wanted: &[String], random: &mut Random) -> String {
    const PLAIN: [&str; 7] = ["a", "b", "ok", "error", "17", "0x52cf2968b3dc6016778742d3539449a6597d5954", "Größe"];
    let long = "x".repeat(4_096);
    let edges = ["", " ", "\u{0}", "💧", &long];
    match values {
        Values::Edges => edges[random.below(edges.len() as u64) as usize].to_owned(),
        Values::Plain if !wanted.is_empty() => wanted[random.below(wanted.len() as u64) as usize].clone(),
        Values::Plain => PLAIN[random.below(PLAIN.len() as u64) as usize].to_owned(),
    }
}

fn json(values: Values, random: &mut Random) -> String {
    const PLAIN: [&str; 5] = [r#"{"a":1,"b":"x"}"#, "[1,2,3]", r#""text""#, "17.5", "true"];
    const EDGES: [&str; 5] = ["{}", "[]", r#""""#, "[[[[{}]]]]", "-1e300"];
    let from = if values == Values::Plain { PLAIN } else { EDGES };
    from[random.below(from.len() as u64) as usize].to_owned()
}

/// SplitMix64: the same numbers on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `bound`, which is not zero. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
