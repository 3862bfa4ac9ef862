//! Which rows of a scan are kept: those of a page, or the newest of each key. Memory is bounded by what is asked for.
//!
//! A row that stands in place of an earlier one has its id, and so its key and event time. Which of two is the later is
//! told by their [`Place`]s, so files may be looked through in any order.

use super::{Order, Position};
use std::collections::BTreeMap;

/// Where a row lies. Of rows with one id the one with the greatest place is the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// Its file, in the order of dates and epochs.
    pub(super) file: u32,
    /// Its row group.
    pub(super) group: u32,
    /// Its row in the group.
    pub(super) row: u32,
}

/// The keys that may still be wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keys<'a> {
    /// Any.
    All,
    /// This one.
    One(&'a str),
    /// Those behind the first and up to the second.
    Between(Option<&'a str>, Option<&'a str>),
}

/// What a scan asks whether it must look at something, and tells what it found.
pub(super) trait Collect {
    /// The keys that may still be wanted.
    fn keys(&self) -> Keys<'_>;

    /// The least and the greatest event time that may still be wanted.
    fn times(&self) -> (i64, i64);

    /// Whether a row of this key and event time may be wanted.
    fn wants(&self, key: &str, event_time: i64) -> bool;

    /// Takes a row that is wanted.
    fn offer(&mut self, key: &str, position: Position, place: Place);
}

/// The first rows in the order of positions.
pub(super) struct Page<'a> {
    key: Option<&'a str>,
    /// Inclusive.
    times: (i64, i64),
    order: Order,
    after: Option<&'a Position>,
    /// One more than the page has, to know whether there is a next one.
    most: usize,
    found: BTreeMap<Position, Place>,
}

impl<'a> Page<'a> {
    /// Of `limit` rows with event times from `times.0` to `times.1`, both included.
    pub(super) fn new(
        key: Option<&'a str>,
        times: (i64, i64),
        order: Order,
        after: Option<&'a Position>,
        limit: usize,
    ) -> Self {
        Self { key, times, order, after, most: limit + 1, found: BTreeMap::new() }
    }

    /// The rows in order, and whether there are more.
    pub(super) fn finish(self) -> (Vec<(Position, Place)>, bool) {
        let limit = self.most - 1;
        let more = self.found.len() > limit;
        let found = self.found.into_iter();
        let rows = match self.order {
            Order::Ascending => found.take(limit).collect(),
            Order::Descending => found.rev().take(limit).collect(),
        };
        (rows, more)
    }

    /// The last row that is kept, if no more fit.
    fn worst(&self) -> Option<&Position> {
        let full = self.found.len() >= self.most;
        let (worst, _) = match self.order {
            Order::Ascending => self.found.last_key_value(),
            Order::Descending => self.found.first_key_value(),
        }?;
        full.then_some(worst)
    }

    fn is_in_range(&self, position: &Position) -> bool {
        let behind = |from: &Position| match self.order {
            Order::Ascending => position > from,
            Order::Descending => position < from,
        };
        self.after.is_none_or(behind) && self.worst().is_none_or(|worst| position == worst || !behind(worst))
    }
}

impl Collect for Page<'_> {
    fn keys(&self) -> Keys<'_> {
        self.key.map_or(Keys::All, Keys::One)
    }

    fn times(&self) -> (i64, i64) {
        let (mut from, mut until) = self.times;
        let (after, worst) = (self.after.map(|after| after.event_time), self.worst().map(|worst| worst.event_time));
        match self.order {
            Order::Ascending => {
                from = from.max(after.unwrap_or(from));
                until = until.min(worst.unwrap_or(until));
            }
            Order::Descending => {
                until = until.min(after.unwrap_or(until));
                from = from.max(worst.unwrap_or(from));
            }
        }
        (from, until)
    }

    fn wants(&self, key: &str, event_time: i64) -> bool {
        let (from, until) = self.times();
        self.key.is_none_or(|wanted| wanted == key) && (from..=until).contains(&event_time)
    }

    fn offer(&mut self, _key: &str, position: Position, place: Place) {
        if !self.is_in_range(&position) {
            return;
        }
        let kept = self.found.entry(position).or_insert(place);
        *kept = place.max(*kept);
        if self.found.len() > self.most {
            match self.order {
                Order::Ascending => self.found.pop_last(),
                Order::Descending => self.found.pop_first(),
            };
        }
    }
}

/// The newest row of each key.
pub(super) struct Newest<'a> {
    /// Inclusive.
    times: (i64, i64),
    after: Option<&'a str>,
    most: usize,
    found: BTreeMap<String, (Position, Place)>,
}

impl<'a> Newest<'a> {
    /// Of `limit` keys behind `after`.
    pub(super) fn new(times: (i64, i64), after: Option<&'a str>, limit: usize) -> Self {
        Self { times, after, most: limit + 1, found: BTreeMap::new() }
    }

    /// The rows by key, and whether there are more keys.
    pub(super) fn finish(self) -> (Vec<(String, Place)>, bool) {
        let limit = self.most - 1;
        let more = self.found.len() > limit;
        (self.found.into_iter().take(limit).map(|(key, (_, place))| (key, place)).collect(), more)
    }

    fn last(&self) -> Option<&str> {
        let full = self.found.len() >= self.most;
        self.found.last_key_value().filter(|_| full).map(|(key, _)| key.as_str())
    }
}

impl Collect for Newest<'_> {
    fn keys(&self) -> Keys<'_> {
        Keys::Between(self.after, self.last())
    }

    fn times(&self) -> (i64, i64) {
        self.times
    }

    fn wants(&self, key: &str, event_time: i64) -> bool {
        let (from, until) = self.times;
        (from..=until).contains(&event_time)
            && self.after.is_none_or(|after| key > after)
            && self.last().is_none_or(|last| key <= last)
            && self.found.get(key).is_none_or(|(newest, _)| event_time >= newest.event_time)
    }

    fn offer(&mut self, key: &str, position: Position, place: Place) {
        let offered = (position, place);
        match self.found.get_mut(key) {
            Some(newest) => {
                if offered > *newest {
                    *newest = offered;
                }
            }
            None => {
                self.found.insert(key.to_owned(), offered);
                if self.found.len() > self.most {
                    self.found.pop_last();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(event_time: i64) -> Position {
        Position { event_time, row_id: format!("{event_time:02}") }
    }

    fn place(row: usize) -> Place {
        Place { file: 0, group: 0, row: row as u32 }
    }

    proptest! {
        /// Whatever is offered in whatever order, paging through gives every id once, in order, with its last place.
        #[test]
        fn pages_are_everything_once(
            times in proptest::collection::vec(0_i64..40, 0..80),
            limit in 1_usize..9,
            backwards in any::<bool>(),
            newest_first in any::<bool>(),
        ) {
            let order = if backwards { Order::Descending } else { Order::Ascending };
            let mut expected: BTreeMap<i64, usize> = BTreeMap::new();
            times.iter().enumerate().for_each(|(row, time)| { expected.insert(*time, row); });
            let mut offers: Vec<(usize, i64)> = times.iter().copied().enumerate().collect();
            if newest_first { offers.reverse(); }
            let (mut paged, mut after) = (Vec::new(), None::<Position>);
            loop {
                let mut page = Page::new(None, (i64::MIN, i64::MAX), order, after.as_ref(), limit);
                for (row, time) in &offers {
                    if page.wants("", *time) {
                        page.offer("", position(*time), place(*row));
                    }
                }
                let (rows, more) = page.finish();
                paged.extend(rows.iter().map(|(position, place)| (position.event_time, place.row as usize)));
                after = rows.last().map(|(position, _)| position.clone());
                if !more { break; }
            }
            let mut expected: Vec<(i64, usize)> = expected.into_iter().collect();
            if backwards { expected.reverse(); }
            prop_assert_eq!(paged, expected);
        }

        #[test]
        fn the_newest_of_each_key_by_key(
            rows in proptest::collection::vec((0_u8..12, 0_i64..9), 0..80),
            limit in 1_usize..6,
        ) {
            let mut expected: BTreeMap<String, (i64, usize)> = BTreeMap::new();
            for (row, (key, time)) in rows.iter().enumerate() {
                let newest = expected.entry(format!("{key:02}")).or_insert((*time, row));
                *newest = (*newest).max((*time, row));
            }
            let (mut paged, mut after) = (Vec::new(), None::<String>);
            loop {
                let mut newest = Newest::new((i64::MIN, i64::MAX), after.as_deref(), limit);
                for (row, (key, time)) in rows.iter().enumerate() {
                    let key = format!("{key:02}");
                    if newest.wants(&key, *time) {
                        newest.offer(&key, position(*time), place(row));
                    }
                }
                let (found, more) = newest.finish();
                after = found.last().map(|(key, _)| key.clone());
                paged.extend(found.into_iter().map(|(key, place)| (key, place.row as usize)));
                if !more { break; }
            }
            let expected: Vec<(String, usize)> = expected.into_iter().map(|(key, (_, row))| (key, row)).collect();
            prop_assert_eq!(paged, expected);
        }
    }
}
