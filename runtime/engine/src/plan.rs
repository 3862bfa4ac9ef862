//! What decoding must extract: the union of the paths that the active metrics, their keys and filters need.

use crate::descriptor::ColumnType;
use crate::metric::METRIC_TYPE;
use std::collections::BTreeMap;

/// A dotted path into an event, for example `data.inference_status.fps`. The first segment names an envelope field:
/// `id`, `type`, `timestamp`, `gateway` or `data`, whatever the source calls them, or `enrich` for a field that a
/// lookup table adds (`enrich.<table>.<field>`). A segment that is a number indexes an array.
pub type EventPath = String;

/// A column that decoding fills: one path read as one type. Two metrics that read one path as two types get two slots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot {
    /// Where in the event.
    pub path: EventPath,
    /// Read as what. See [`ColumnType`] for the conversions.
    pub kind: ColumnType,
}

/// A column's place in [`crate::batch::EventBatch::columns`].
pub type SlotIndex = usize;

/// The slots of a job and which event types each consumer wants. Rebuilt when the set of metrics changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtractionPlan {
    slots: Vec<Slot>,
    /// For an event type, the consumers (bit numbers) whose filter accepts it.
    interest: BTreeMap<String, u64>,
    /// Consumers whose filter does not name types.
    any_type: u64,
    consumers: usize,
}

impl ExtractionPlan {
    /// The most consumers (metric inputs; a join has two) a job can have: one bit of a row's interest each.
    pub const MAX_CONSUMERS: usize = 64;

    /// The index of the slot for `path` as `kind`, added if it is new.
    pub fn slot(&mut self, path: &str, kind: ColumnType) -> SlotIndex {
        let found = self.slots.iter().position(|slot| slot.path == path && slot.kind == kind);
        found.unwrap_or_else(|| {
            self.slots.push(Slot { path: path.to_owned(), kind });
            self.slots.len() - 1
        })
    }

    /// Says that consumer `bit` wants events of these types, or of every type where `types` is `None`.
    ///
    /// # Panics
    /// If `bit` is not below [`Self::MAX_CONSUMERS`]; the engine checks the number of metrics before.
    pub fn want(&mut self, bit: usize, types: Option<&[String]>) {
        assert!(bit < Self::MAX_CONSUMERS, "consumer {bit} of at most {}", Self::MAX_CONSUMERS);
        self.consumers = self.consumers.max(bit + 1);
        match types {
            None => self.any_type |= 1 << bit,
            Some(types) => {
                for name in types {
                    *self.interest.entry(name.clone()).or_default() |= 1 << bit;
                }
            }
        }
    }

    /// How many consumers there are: the next free bit.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.consumers
    }

    /// Every slot, in the order of [`crate::batch::EventBatch::columns`].
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The consumers of an event of type `name`, one bit each.
    #[must_use]
    pub fn interest(&self, name: &str) -> u64 {
        // Who reads a metric's rows must say so.
        let any = if name.starts_with(METRIC_TYPE) { 0 } else { self.any_type };
        any | self.interest_by_name(name)
    }

    /// The consumers that name the event type `name`: who reads a metric's rows must.
    pub(crate) fn interest_by_name(&self, name: &str) -> u64 {
        self.interest.get(name).copied().unwrap_or(0)
    }
}
