//! The interval join of one key: rows of two sides that wait for each other, as Flink's `IntervalJoinOperator` does.
//!
//! A left row `l` and a right row `r` are a pair when `lower ≤ r.time − l.time ≤ upper`. Each pair comes out once, at
//! `max(l.time, r.time)`. Flink has neither [`Matches::First`] nor unmatched rows in its DataStream join; the latter
//! come when the watermark reaches the moment from which no partner can come, as in its SQL outer joins.

use crate::time::EventTime;

/// Left or right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The side that bounds are measured from.
    Left,
    /// The other one.
    Right,
}

/// Which matches count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matches {
    /// Every pair, as soon as both rows are there.
    All,
    /// For each left row the first right row in (time, partition, offset) order, once the watermark has reached it, so
    /// that none before it can still come.
    First,
}

/// The terms of a join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntervalJoin {
    lower_ms: i64,
    upper_ms: i64,
    matches: Matches,
    unmatched_left: bool,
    unmatched_right: bool,
}

impl IntervalJoin {
    /// Bounds on `right − left`, both inclusive; an exclusive bound is the next millisecond inwards. `None` if the
    /// interval is empty.
    #[must_use]
    pub fn new(lower_ms: i64, upper_ms: i64, matches: Matches) -> Option<Self> {
        let sane = lower_ms <= upper_ms;
        sane.then_some(Self { lower_ms, upper_ms, matches, unmatched_left: false, unmatched_right: false })
    }

    /// Emits rows of these sides that found no partner.
    #[must_use]
    pub fn with_unmatched(mut self, left: bool, right: bool) -> Self {
        (self.unmatched_left, self.unmatched_right) = (left, right);
        self
    }

    /// From when on a row of `side` at `time` can find no new partner (Flink's clean-up time).
    #[must_use]
    pub fn expiry(&self, side: Side, time: EventTime) -> EventTime {
        match side {
            Side::Left => time.plus_ms(self.upper_ms.max(0)),
            Side::Right => time.plus_ms(self.lower_ms.min(0).saturating_neg()),
        }
    }

    /// How far behind the watermark an emitted row can be: what downstream must subtract from this stage's watermark.
    #[must_use]
    pub fn output_delay_ms(&self) -> i64 {
        let left = if self.unmatched_left { self.upper_ms.max(0) } else { 0 };
        let right = if self.unmatched_right { self.lower_ms.min(0).saturating_neg() } else { 0 };
        left.max(right)
    }

    /// Whether a row at `time` comes too late to be joined at all (`IntervalJoinOperator.isLate`).
    #[must_use]
    pub fn is_late(time: EventTime, watermark: EventTime) -> bool {
        watermark != EventTime::MIN && time < watermark
    }

    /// The place of the first of `rights`, which are in canonical order, that is a partner of a left row at `left`.
    fn first_partner<P>(&self, left: EventTime, rights: &[Waiting<P>]) -> Option<usize> {
        let distance = |right: &Waiting<P>| i128::from(right.order.time.0) - i128::from(left.0);
        let place = rights.partition_point(|right| distance(right) < i128::from(self.lower_ms));
        let first = rights.get(place)?;
        (distance(first) <= i128::from(self.upper_ms)).then_some(place)
    }
}

/// A row's place in the canonical order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowOrder {
    /// Event time.
    pub time: EventTime,
    /// Source partition, or the stage that made the row.
    pub partition: u32,
    /// Position in it.
    pub offset: u64,
}

/// A waiting row; `P` is whatever the caller needs to emit it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting<P> {
    /// Its place.
    pub order: RowOrder,
    /// Its content.
    pub payload: P,
    /// Whether it was part of a pair.
    pub matched: bool,
}

/// What comes out of a join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Joined<P> {
    /// A pair.
    Pair {
        /// The left row.
        left: (RowOrder, P),
        /// The right row.
        right: (RowOrder, P),
    },
    /// A row without a partner.
    Unmatched {
        /// Its side.
        side: Side,
        /// The row.
        row: (RowOrder, P),
    },
}

/// The waiting rows of one key, each side in canonical order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinBuffer<P> {
    /// Left rows.
    pub left: Vec<Waiting<P>>,
    /// Right rows.
    pub right: Vec<Waiting<P>>,
}

impl<P> Default for JoinBuffer<P> {
    fn default() -> Self {
        Self { left: Vec::new(), right: Vec::new() }
    }
}

impl<P: Clone> JoinBuffer<P> {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty() && self.right.is_empty()
    }

    /// Number of waiting rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left.len() + self.right.len()
    }

    /// Adds a row that is not late. With [`Matches::All`] its pairs come out now.
    pub fn insert(&mut self, join: &IntervalJoin, side: Side, order: RowOrder, payload: P, out: &mut Vec<Joined<P>>) {
        let mut row = Waiting { order, payload, matched: false };
        let (own, other) = match side {
            Side::Left => (&mut self.left, &mut self.right),
            Side::Right => (&mut self.right, &mut self.left),
        };
        if join.matches == Matches::All {
            let (earliest, latest) = match side {
                Side::Left => (join.lower_ms, join.upper_ms),
                Side::Right => (join.upper_ms.saturating_neg(), join.lower_ms.saturating_neg()),
            };
            let from = other.partition_point(|waiting| waiting.order.time < order.time.plus_ms(earliest));
            for partner in &mut other[from..] {
                if partner.order.time > order.time.plus_ms(latest) {
                    break;
                }
                (partner.matched, row.matched) = (true, true);
                let (mine, theirs) = ((order, row.payload.clone()), (partner.order, partner.payload.clone()));
                let (left, right) = if side == Side::Left { (mine, theirs) } else { (theirs, mine) };
                out.push(Joined::Pair { left, right });
            }
        }
        let place = own.partition_point(|waiting| waiting.order <= order);
        own.insert(place, row);
    }

    /// Moves to `watermark`: first matches that are now certain, rows that stay without a partner, and forgetting.
    pub fn advance(&mut self, join: &IntervalJoin, watermark: EventTime, out: &mut Vec<Joined<P>>) {
        if join.matches == Matches::First {
            self.take_first(join, watermark, out);
        }
        Self::expire(&mut self.left, join, Side::Left, watermark, join.unmatched_left, out);
        Self::expire(&mut self.right, join, Side::Right, watermark, join.unmatched_right, out);
    }

    fn take_first(&mut self, join: &IntervalJoin, watermark: EventTime, out: &mut Vec<Joined<P>>) {
        let right = &mut self.right;
        self.left.retain(|left| {
            let first = join.first_partner(left.order.time, right).map(|place| &mut right[place]);
            let Some(first) = first.filter(|right| right.order.time <= watermark) else { return true };
            first.matched = true;
            out.push(Joined::Pair {
                left: (left.order, left.payload.clone()),
                right: (first.order, first.payload.clone()),
            });
            false
        });
    }

    fn expire(
        rows: &mut Vec<Waiting<P>>,
        join: &IntervalJoin,
        side: Side,
        watermark: EventTime,
        emit: bool,
        out: &mut Vec<Joined<P>>,
    ) {
        let gone = rows.partition_point(|row| join.expiry(side, row.order.time) <= watermark);
        for row in rows.drain(..gone) {
            if emit && !row.matched {
                out.push(Joined::Unmatched { side, row: (row.order, row.payload) });
            }
        }
    }

    /// The least watermark at which [`Self::advance`] will do something.
    #[must_use]
    pub fn next_due(&self, join: &IntervalJoin) -> Option<EventTime> {
        let expiry = |side, rows: &[Waiting<P>]| rows.first().map(|row| join.expiry(side, row.order.time));
        let first_match = (join.matches == Matches::First)
            .then(|| {
                let firsts = self.left.iter().filter_map(|left| join.first_partner(left.order.time, &self.right));
                firsts.min().map(|place| self.right[place].order.time)
            })
            .flatten();
        [expiry(Side::Left, &self.left), expiry(Side::Right, &self.right), first_match].into_iter().flatten().min()
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
