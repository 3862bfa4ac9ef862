//! Grouping: the rows of a tick, brought together by (key, window).

use super::StageInput;
use super::route::{RoutedRow, RowRef};
use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use hashbrown::HashTable;
use tidemark_dataflow::join::RowOrder;
use tidemark_dataflow::{EventTime, KeyGroup, Window};
use xxhash_rust::xxh3::xxh3_64;

/// One (key, window) that has rows in this tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// XXH3 of the key.
    pub(crate) hash: u64,
    /// A row that has the key.
    pub(crate) key_at: RowRef,
    pub(crate) window: Window,
}

/// The groups of a tick and their rows, group by group, each in canonical order.
pub(crate) struct GroupedRows<'a> {
    pub(crate) groups: Vec<Group>,
    /// Rows of group `i`: `rows[row_ends[i-1]..row_ends[i]]`.
    pub(crate) rows: Vec<RowRef>,
    pub(crate) row_ends: Vec<u32>,
    keys: Vec<&'a StringArray>,
}

impl GroupedRows<'_> {
    /// The key of group `index`.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        key_at(&self.keys, self.groups[index].key_at)
    }

    /// The rows of group `index`.
    pub(crate) fn rows(&self, index: usize) -> &[RowRef] {
        let start = if index == 0 { 0 } else { self.row_ends[index - 1] as usize };
        &self.rows[start..self.row_ends[index] as usize]
    }

    /// The key group of group `index`.
    pub(crate) fn key_group(&self, index: usize, input: &StageInput<'_>) -> KeyGroup {
        input.key_groups.of_hash(self.groups[index].hash)
    }
}

fn key_at<'a>(keys: &[&'a StringArray], at: RowRef) -> &'a [u8] {
    keys[at.batch as usize].value(at.row as usize).as_bytes()
}

/// Collects rows into groups.
pub(crate) struct Grouper<'a> {
    input: StageInput<'a>,
    keys: Vec<&'a StringArray>,
    table: HashTable<u32>,
    groups: Vec<Group>,
    members: Vec<(u32, RowRef)>,
}

impl<'a> Grouper<'a> {
    /// For rows of the stage's consumer `consumer`.
    pub(crate) fn new(input: StageInput<'a>, consumer: usize, expected: usize) -> Self {
        let slot = input.stage.consumers[consumer].key;
        let keys = input.batches.iter().map(|batch| batch.columns[slot].as_string()).collect();
        Self { input, keys, table: HashTable::new(), groups: Vec::new(), members: Vec::with_capacity(expected) }
    }

    /// Adds a row to the group of its key and `window`.
    pub(crate) fn add(&mut self, row: RoutedRow, window: Window) {
        let (keys, groups) = (&self.keys, &mut self.groups);
        let hash_of = |group: &Group| mix(group.hash, group.window);
        let found = self.table.find(mix(row.hash, window), |index| {
            let group = &groups[*index as usize];
            group.hash == row.hash && group.window == window && key_at(keys, group.key_at) == key_at(keys, row.at)
        });
        let index = match found {
            Some(index) => *index,
            None => {
                let index = groups.len() as u32;
                groups.push(Group { hash: row.hash, key_at: row.at, window });
                self.table.insert_unique(mix(row.hash, window), index, |index| hash_of(&groups[*index as usize]));
                index
            }
        };
        self.members.push((index, row.at));
    }

    /// The groups, each with its rows in (event time, partition, offset) order.
    pub(crate) fn finish(self) -> GroupedRows<'a> {
        let mut row_ends = vec![0_u32; self.groups.len()];
        self.members.iter().for_each(|(group, _)| row_ends[*group as usize] += 1);
        let mut sum = 0;
        let mut next: Vec<u32> = Vec::with_capacity(row_ends.len());
        for end in &mut row_ends {
            next.push(sum);
            sum += *end;
            *end = sum;
        }
        let mut rows = vec![RowRef { batch: 0, row: 0 }; self.members.len()];
        for (group, at) in &self.members {
            let place = &mut next[*group as usize];
            rows[*place as usize] = *at;
            *place += 1;
        }
        let mut start = 0;
        for end in &row_ends {
            let members = &mut rows[start..*end as usize];
            if !members.is_sorted_by_key(|at| self.input.order(*at)) {
                members.sort_unstable_by_key(|at| self.input.order(*at));
            }
            start = *end as usize;
        }
        GroupedRows { groups: self.groups, rows, row_ends, keys: self.keys }
    }
}

fn mix(hash: u64, window: Window) -> u64 {
    hash ^ (window.start.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl StageInput<'_> {
    /// A row's place in the canonical order.
    pub(crate) fn order(&self, at: RowRef) -> RowOrder {
        let batch = &self.batches[at.batch as usize];
        RowOrder {
            time: EventTime(batch.event_times[at.row as usize]),
            partition: batch.partition.0,
            offset: batch.offsets[at.row as usize].0,
        }
    }

    /// What tells rows emitted by an update from those of another one of the same group: the newest row that it saw.
    pub(crate) fn identity(&self, newest: RowRef) -> u64 {
        let order = self.order(newest);
        xxh3_64(&[u64::from(order.partition).to_le_bytes(), order.offset.to_le_bytes()].concat())
    }

    /// The key of a row that reached consumer `consumer`.
    pub(crate) fn key_of(&self, consumer: usize, at: RowRef) -> &[u8] {
        let keys = &self.batches[at.batch as usize].columns[self.stage.consumers[consumer].key];
        keys.as_string::<i32>().value(at.row as usize).as_bytes()
    }

    /// A row's event time.
    pub(crate) fn time(&self, at: RowRef) -> EventTime {
        EventTime(self.batches[at.batch as usize].event_times[at.row as usize])
    }
}
