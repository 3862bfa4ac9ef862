//! The exports: honest work for most groups, the configured attack for the others.

use crate::{ATTACKS, Attack, Welford};
use exports::tidemark::metric::metric::{Batch, ByteStrings, CloseReason, Folded, Guest};
use std::cell::Cell;
use tidemark::metric::types::{Column, Emitted, Failure, Groups, Timer, Values};

wit_bindgen::generate!({ world: "metric-module", path: "../../wit" });

thread_local! {
    static ATTACK: Cell<Attack> = const { Cell::new(Attack::None) };
}

struct Evil;

export!(Evil);

const DESCRIPTION: &str = r#"{
  "describe": 1,
  "name": "evil",
  "version": "1.0.0",
  "inputs": [{ "name": "value", "path": "data.value", "type": "float" }],
  "key": "data.key",
  "window": { "kind": "session", "gap_ms": 1000 },
  "output": [
    { "name": "samples", "type": "integer" },
    { "name": "mean", "type": "float", "nullable": true },
    { "name": "label", "type": "text" }
  ],
  "state_version": 1,
  "mergeable": true
}"#;

impl Guest for Evil {
    fn describe() -> String {
        DESCRIPTION.into()
    }

    fn configure(json: String) -> Result<(), String> {
        let named = |name: &str| json.contains(&format!("\"{name}\""));
        let (_, attack) = ATTACKS.iter().find(|(name, _)| named(name)).ok_or("`attack` is missing or unknown")?;
        ATTACK.set(*attack);
        match attack {
            Attack::RefuseConfiguration => Err("the threshold must be positive".into()),
            Attack::LoopInConfigure => spin(),
            _ => Ok(()),
        }
    }

    fn update(batch: Batch) -> Folded {
        let Values::Floats(values) = &batch.columns[0].values else { panic!("the host sent another type") };
        let validity = &batch.columns[0].validity;
        let mut folded = Folded::empty();
        folded.states.ends.reserve_exact(batch.groups.row_ends.len());
        folded.states.bytes.reserve_exact(batch.groups.row_ends.len() * 24);
        let mut start = 0;
        for (group, &end) in batch.groups.row_ends.iter().enumerate() {
            let mut state = Welford::from_bytes(batch.groups.states.get(group));
            let rows = start..end as usize;
            start = rows.end;
            if validity.is_empty() {
                state.fold(&values[rows]);
            } else {
                let present = |row: &usize| validity[row / 8] >> (row % 8) & 1 == 1;
                rows.filter(present).for_each(|row| state.add(values[row]));
            }
            folded.states.push(&state.to_bytes());
        }
        attack(&batch.groups, &mut folded);
        folded
    }

    fn close(batch: Batch, _: CloseReason) -> Folded {
        let count = batch.groups.times.len();
        let (mut samples, mut means, mut labels) = (Vec::new(), Vec::new(), ByteStrings::empty());
        for group in 0..count {
            let state = Welford::from_bytes(batch.groups.states.get(group));
            samples.push(state.count);
            means.push(state.mean);
            labels.push(batch.groups.keys.get(group));
        }
        let columns = vec![
            Column { validity: vec![], values: Values::Integers(samples) },
            Column { validity: vec![], values: Values::Floats(means) },
            Column { validity: vec![], values: Values::Texts(labels) },
        ];
        let mut folded = Folded {
            states: batch.groups.states.clone(),
            emitted: Emitted { groups: (0..count as u32).collect(), columns },
            ..Folded::empty()
        };
        attack(&batch.groups, &mut folded);
        folded
    }

    fn merge(left: ByteStrings, right: ByteStrings) -> Folded {
        let mut folded = Folded::empty();
        for pair in 0..left.ends.len() {
            let merged = Welford::from_bytes(left.get(pair)).merged(Welford::from_bytes(right.get(pair)));
            folded.states.push(&merged.to_bytes());
        }
        if ATTACK.get() == Attack::EmitInMerge {
            folded.timers.push(Timer { group: 0, time: 0 });
        }
        attack_states(&left, &mut folded);
        folded
    }

    fn migrate(states: ByteStrings, _: u32) -> Folded {
        let mut folded = Folded { states: states.clone(), ..Folded::empty() };
        attack_states(&states, &mut folded);
        folded
    }
}

/// Attacks on the groups whose key starts with `evil`.
fn attack(groups: &Groups, folded: &mut Folded) {
    if ATTACK.get() == Attack::None {
        return;
    }
    let all = 0..groups.times.len();
    let targets: Vec<u32> =
        all.filter(|&group| groups.keys.get(group).starts_with(b"evil")).map(|group| group as u32).collect();
    if ATTACK.get() == Attack::Leak {
        std::hint::black_box(vec![1_u8; 1 << 20]).leak();
    }
    if let Some(&target) = targets.first() {
        match ATTACK.get() {
            Attack::Fail => targets.iter().for_each(|&group| folded.fail(group, "no reading in this window")),
            Attack::FailAtLength => targets.iter().for_each(|&group| folded.fail(group, &"é".repeat(1 << 19))),
            Attack::GrowState => {
                let grown = [groups.states.get(target as usize), &[7; 64 << 10]].concat();
                folded.states.replace(target as usize, &grown);
            }
            attack => one_target(attack, target, groups.times.len() as u32, folded),
        }
    }
}

/// Attacks on the pairs or states that are the text `evil`.
fn attack_states(states: &ByteStrings, folded: &mut Folded) {
    let count = states.ends.len();
    if let Some(target) = (0..count).find(|&state| states.get(state) == b"evil") {
        one_target(ATTACK.get(), target as u32, count as u32, folded);
    }
}

fn one_target(attack: Attack, target: u32, groups: u32, folded: &mut Folded) {
    match attack {
        Attack::Loop => spin(),
        Attack::Panic => panic!("as configured"),
        Attack::Allocate => allocate(),
        Attack::Recurse => drop(recurse(u64::from(target))),
        Attack::FailNobody => folded.fail(groups, "who?"),
        Attack::LoseState => drop(folded.states.ends.pop()),
        Attack::ExtraState => folded.states.push(b"one more"),
        Attack::DecreasingEnds => folded.states.ends[target as usize] = u32::MAX,
        Attack::LyingEnds => folded.states.ends[groups as usize - 1] += 1_000_000,
        Attack::HugeState => folded.states.replace(target as usize, &vec![7; 4 << 20]),
        Attack::ManyRows => folded.emit(target, 200_000),
        Attack::LoseColumn => drop(folded.emitted_row(target).columns.pop()),
        Attack::ExtraColumn => {
            let rows = folded.emitted_row(target).groups.len();
            folded.emitted.columns.push(Column { validity: vec![], values: Values::Integers(vec![0; rows]) });
        }
        Attack::WrongType => {
            let rows = folded.emitted_row(target).groups.len();
            folded.emitted.columns[0].values = Values::Floats(vec![0.0; rows]);
        }
        Attack::ShortColumn => match &mut folded.emitted_row(target).columns[0].values {
            Values::Integers(values) => drop(values.pop()),
            _ => unreachable!("the first column holds integers"),
        },
        Attack::UnexpectedNull => {
            let rows = folded.emitted_row(target).groups.len();
            folded.emitted.columns[0].validity = vec![0; rows.div_ceil(8)];
        }
        Attack::LongValidity => folded.emitted_row(target).columns[0].validity = vec![255; 4_096],
        Attack::InvalidText => match &mut folded.emitted_row(target).columns[2].values {
            Values::Texts(texts) => texts.bytes.iter_mut().for_each(|byte| *byte = 0xff),
            _ => unreachable!("the third column holds texts"),
        },
        Attack::RowForNobody => folded.emit(groups, 1),
        Attack::RowsOutOfOrder => {
            folded.emit(target, 1);
            folded.emitted.groups.insert(0, u32::MAX);
            folded.emitted.groups.pop();
        }
        Attack::NanPayload => match &mut folded.emitted_row(target).columns[1].values {
            Values::Floats(values) => {
                values.iter_mut().for_each(|value| *value = f64::from_bits(0xfff8_dead_beef_0001))
            }
            _ => unreachable!("the second column holds floats"),
        },
        Attack::ManyTimers => folded.timers = (0..2_000_000).map(|time| Timer { group: target, time }).collect(),
        Attack::PastTimers => {
            folded.timers = (0..1_000).map(|time| Timer { group: target, time: i64::MIN + time }).collect();
        }
        Attack::TimerForNobody => folded.timers.push(Timer { group: groups, time: 0 }),
        _ => {}
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn allocate() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(std::hint::black_box(Vec::with_capacity(1 << 20)));
    }
}

/// Takes nothing of linear memory: it is the native stack that ends first.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX { depth } else { (recurse(depth + 1) ^ depth).rotate_left(1) }
}

/// What an honest answer is put together with.
impl Folded {
    fn empty() -> Self {
        let emitted = Emitted { groups: vec![], columns: vec![] };
        Self { states: ByteStrings::empty(), emitted, timers: vec![], failures: vec![] }
    }

    fn fail(&mut self, group: u32, message: &str) {
        self.failures.push(Failure { group, message: message.into() });
    }

    /// Emits `rows` rows more of `group`, as if they came last.
    fn emit(&mut self, group: u32, rows: usize) {
        if self.emitted.columns.is_empty() {
            let texts = Values::Texts(ByteStrings::empty());
            let values = [Values::Integers(vec![]), Values::Floats(vec![]), texts];
            self.emitted.columns = values.into_iter().map(|values| Column { validity: vec![], values }).collect();
        }
        for _ in 0..rows {
            self.emitted.groups.push(group);
            for column in &mut self.emitted.columns {
                match &mut column.values {
                    Values::Booleans(values) => values.push(0),
                    Values::Integers(values) => values.push(1),
                    Values::Floats(values) => values.push(1.0),
                    Values::Texts(values) => values.push(b"row"),
                }
            }
        }
    }

    /// What is emitted, with at least one row, of `group`.
    fn emitted_row(&mut self, group: u32) -> &mut Emitted {
        if self.emitted.groups.is_empty() {
            self.emit(group, 1);
        }
        &mut self.emitted
    }
}

impl ByteStrings {
    fn empty() -> Self {
        Self { ends: vec![], bytes: vec![] }
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    fn replace(&mut self, index: usize, value: &[u8]) {
        let mut replaced = Self::empty();
        (0..self.ends.len()).for_each(|other| replaced.push(if other == index { value } else { self.get(other) }));
        *self = replaced;
    }
}
