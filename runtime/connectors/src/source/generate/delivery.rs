//! The way from gateways to the log: events are lost, delayed, mixed up and repeated.

use super::event::Event;
use super::random::Random;
use super::settings::GenerateSettings;
use super::truth::Truth;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events on their way. Bounded by rate times delay.
#[derive(Default)]
pub(crate) struct Delivery {
    underway: BinaryHeap<Arrival>,
    sent: u64,
}

/// An event that arrives.
pub(crate) struct Arrival {
    pub(crate) event: Event,
    pub(crate) late: bool,
    pub(crate) duplicate: bool,
    /// When, in milliseconds since 1970.
    pub(crate) time: i64,
    number: u64,
}

impl Delivery {
    /// Sends an event, which may be lost.
    pub(crate) fn send(&mut self, event: Event, settings: &GenerateSettings, random: &mut Random, truth: &mut Truth) {
        if random.chance(settings.missing_share) {
            truth.missing += 1;
            return;
        }
        let late = random.chance(settings.late_share);
        let delay = if late {
            settings.disorder_ms + random.between(settings.late_ms, 2 * settings.late_ms)
        } else {
            random.between(0, settings.disorder_ms)
        };
        let time = event.sent_ms() + delay;
        self.push(event, time, late, false);
    }

    /// When the next event arrives.
    pub(crate) fn next_arrival(&self) -> Option<i64> {
        self.underway.peek().map(|arrival| arrival.time)
    }

    /// The event that arrives next; it may be sent again.
    pub(crate) fn receive(&mut self, settings: &GenerateSettings, random: &mut Random) -> Option<Arrival> {
        let arrival = self.underway.pop()?;
        if !arrival.duplicate && random.chance(settings.duplicate_share) {
            self.push(arrival.event.clone(), arrival.time + random.between(1_000, 5_000), arrival.late, true);
        }
        Some(arrival)
    }

    fn push(&mut self, event: Event, time: i64, late: bool, duplicate: bool) {
        self.underway.push(Arrival { event, late, duplicate, time, number: self.sent });
        self.sent += 1;
    }
}

impl Ord for Arrival {
    /// The earliest is the greatest, for a heap's top is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.number).cmp(&(self.time, self.number))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Arrival {}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
