//! File names say which epochs a file holds, and nothing else.
//!
//! `e000000000012.parquet` is what epoch 12 wrote, `e000000000001-000000000016.t1.parquet` is one file for the epochs 1
//! to 16, merged once. Within a folder two ranges are either disjoint or one contains the other; the contained file is
//! superseded: readers ignore it and the sink removes it. One of the same tier is what is left of the other when its later
//! epochs are undone.

use std::fmt;
use tidemark_engine::ids::Epoch;

/// The name of a data file: its epochs, and how often its rows were merged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileName {
    pub(super) first: Epoch,
    pub(super) last: Epoch,
    /// 0 for a file that an epoch wrote, one more than its inputs for a merged one.
    pub(super) tier: u32,
}

impl FileName {
    pub(super) fn of_epoch(epoch: Epoch) -> Self {
        Self { first: epoch, last: epoch, tier: 0 }
    }

    /// Reads a name; `None` for anything that [`fmt::Display`] would not write.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix('e')?.strip_suffix(".parquet")?;
        let parsed = match stem.split_once('-') {
            None => Self::of_epoch(Epoch(stem.parse().ok()?)),
            Some((first, rest)) => {
                let (last, tier) = rest.split_once(".t")?;
                let (first, last) = (Epoch(first.parse().ok()?), Epoch(last.parse().ok()?));
                Self { first, last, tier: tier.parse().ok()? }
            }
        };
        (parsed.to_string() == name && parsed.first <= parsed.last).then_some(parsed)
    }

    /// Whether this file holds every row of `other`, and more.
    pub(super) fn supersedes(self, other: Self) -> bool {
        let contains = self.first <= other.first && other.last <= self.last;
        self != other && self.tier > 0 && self.tier >= other.tier && contains
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{:012}", self.first.0)?;
        if self.tier > 0 {
            write!(f, "-{:012}.t{}", self.last.0, self.tier)?;
        }
        f.write_str(".parquet")
    }
}

/// Splits names into visible ones, in epoch order, and superseded ones.
pub(super) fn split_visible(names: impl IntoIterator<Item = FileName>) -> (Vec<FileName>, Vec<FileName>) {
    let mut names: Vec<FileName> = names.into_iter().collect();
    // Widest first among those that start together, so that a superseding file always stands before what it supersedes.
    names.sort_unstable_by_key(|name| (name.first, std::cmp::Reverse((name.last, name.tier))));
    let (mut visible, mut superseded) = (Vec::<FileName>::new(), Vec::new());
    for name in names {
        match visible.last() {
            Some(newest) if newest.supersedes(name) => superseded.push(name),
            _ => visible.push(name),
        }
    }
    (visible, superseded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(first: u64, last: u64, tier: u32) -> FileName {
        FileName { first: Epoch(first), last: Epoch(last), tier }
    }

    #[test]
    fn names_read_back_and_foreign_ones_do_not() {
        for name in [FileName::of_epoch(Epoch(12)), merged(1, 16, 1), merged(3, 10_u64.pow(13), 4)] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(FileName::of_epoch(Epoch(12)).to_string(), "e000000000012.parquet");
        assert_eq!(merged(1, 16, 1).to_string(), "e000000000001-000000000016.t1.parquet");
        for foreign in ["e12.parquet", "e000000000012.parquet.tmp", "x", "e000000000009-000000000001.t1.parquet"] {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_merged_file_hides_exactly_its_range() {
        let plain = |epoch| FileName::of_epoch(Epoch(epoch));
        let all = [plain(1), plain(2), plain(3), plain(7), merged(1, 3, 1), merged(1, 5, 2), merged(4, 5, 1)];
        let (visible, superseded) = split_visible(all);
        assert_eq!(visible, [merged(1, 5, 2), plain(7)]);
        assert_eq!(superseded.len(), 5);
        let (visible, _) = split_visible([merged(1, 16, 2), merged(1, 7, 2)]);
        assert_eq!(visible, [merged(1, 16, 2)], "what is left of a file counts once that is gone");
    }
}
