//! Watermarks: how far event time has come, per source partition and merged.
//!
//! A watermark `w` says that no further event with a time `≤ w` is expected. Follows Flink's
//! `BoundedOutOfOrdernessWatermarks` (per partition: greatest time seen − bound − 1 ms) and
//! `CombinedWatermarkStatus` (merged: the minimum over partitions that are neither idle nor ended).

use crate::time::EventTime;
use std::collections::BTreeMap;

/// What a partition is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Activity {
    /// Events are expected: it holds the merged watermark back, from the start on.
    #[default]
    Active,
    /// Silent for longer than its timeout: left out until its next event.
    Idle,
    /// It has no further events, ever.
    Ended,
}

/// One partition's progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionProgress {
    /// Greatest event time seen; [`EventTime::MIN`] before the first event.
    pub max_seen: EventTime,
    /// What it is doing.
    pub activity: Activity,
}

impl Default for PartitionProgress {
    fn default() -> Self {
        Self { max_seen: EventTime::MIN, activity: Activity::Active }
    }
}

/// What one of several writers of a partition says of its own watermark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// What the writer reads: the topic whose partitions have a writer each.
    pub family: String,
    /// Which of them, from 0.
    pub writer: u32,
    /// How many there are.
    pub writers: u32,
    /// Its watermark; [`EventTime::MIN`] while it has none.
    pub watermark: EventTime,
    /// Whether it has nothing to write for now, and is not to be waited for.
    pub idle: bool,
}

/// The writers of one partition, which several write: its watermark is the least of theirs.
///
/// A family is what one topic's partitions feed. Which families there are is known from the start; how many writers one has, it
/// says itself. Until every one of them has been heard of, there is no watermark.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Writers {
    /// By family: how many writers, and what each said last.
    pub families: BTreeMap<String, Family>,
}

/// The writers that read one topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Family {
    /// How many there are; 0 while none was heard of.
    pub count: u32,
    /// What each said last: its watermark, and whether it is idle.
    pub said: BTreeMap<u32, (EventTime, bool)>,
}

impl Writers {
    /// Of these families, none of which has been heard of.
    #[must_use]
    pub fn expect(families: &[String]) -> Self {
        Self { families: families.iter().map(|family| (family.clone(), Family::default())).collect() }
    }

    /// A writer said something. Its watermark never goes back. What an unknown family says counts from then on.
    pub fn hear(&mut self, mark: &Mark) {
        let family = self.families.entry(mark.family.clone()).or_default();
        // A topic only ever gets more partitions; one that started earlier may not know of the newest.
        family.count = family.count.max(mark.writers).max(mark.writer.saturating_add(1));
        let said = family.said.entry(mark.writer).or_insert((EventTime::MIN, false));
        *said = (said.0.max(mark.watermark), mark.idle);
    }

    /// What follows for the partition; `None` while a writer has not been heard of.
    #[must_use]
    pub fn merged(&self) -> Option<Merged> {
        let families = self.families.values();
        let complete = |family: &Family| family.count > 0 && family.said.len() == family.count as usize;
        if self.families.is_empty() || !families.clone().all(complete) {
            return None;
        }
        let active = families.flat_map(|family| family.said.values()).filter(|(_, idle)| !idle);
        Some(active.map(|(watermark, _)| *watermark).min().map_or(Merged::Idle, Merged::At))
    }
}

/// What the writers of a partition say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// The least watermark of those that have something to write.
    At(EventTime),
    /// All of them have nothing to write.
    Idle,
}

/// The watermarks of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watermarks {
    bound_ms: i64,
    partitions: Vec<PartitionProgress>,
    /// Of partitions that several write, by place.
    writers: BTreeMap<usize, Writers>,
    merged: EventTime,
}

impl Watermarks {
    /// For events that come at most `bound_ms` behind the newest one of their partition.
    #[must_use]
    pub fn new(bound_ms: i64) -> Self {
        Self { bound_ms, partitions: Vec::new(), writers: BTreeMap::new(), merged: EventTime::MIN }
    }

    /// Continues from a snapshot: [`Self::partitions`], [`Self::writers`] and [`Self::current`] of an earlier run.
    #[must_use]
    pub fn restore(
        bound_ms: i64,
        partitions: Vec<PartitionProgress>,
        writers: BTreeMap<usize, Writers>,
        merged: EventTime,
    ) -> Self {
        Self { bound_ms, partitions, writers, merged }
    }

    /// Makes room for partitions `0..count`. A new one is active and holds the watermark back until its first event.
    pub fn ensure(&mut self, count: usize) {
        if count > self.partitions.len() {
            self.partitions.resize(count, PartitionProgress::default());
        }
    }

    /// An event, or the greatest time of several, was seen. Wakes an idle partition.
    pub fn observe(&mut self, partition: usize, event_time: EventTime) {
        let progress = &mut self.partitions[partition];
        // No event says that time is over: only the end of every partition does.
        progress.max_seen = progress.max_seen.max(event_time.min(EventTime(i64::MAX - 1)));
        if progress.activity == Activity::Idle {
            progress.activity = Activity::Active;
        }
    }

    /// Whoever wrote the partition says that its watermark is `watermark`: no event with a time up to it comes any more.
    /// Wakes an idle partition.
    pub fn carry(&mut self, partition: usize, watermark: EventTime) {
        // The same as the newest event from which it would follow.
        self.observe(partition, watermark.plus_ms(self.bound_ms).plus_ms(1));
    }

    /// The partition is written by these families of writers. Once said, or once one was heard of, it stays as it is.
    pub fn expect(&mut self, partition: usize, families: &[String]) {
        self.writers.entry(partition).or_insert_with(|| Writers::expect(families));
    }

    /// One of the writers of the partition said how far it is.
    pub fn hear(&mut self, partition: usize, mark: &Mark) {
        let writers = self.writers.entry(partition).or_default();
        writers.hear(mark);
        match writers.merged() {
            None => {}
            Some(Merged::Idle) => self.set_activity(partition, Activity::Idle),
            Some(Merged::At(EventTime::MIN)) => self.set_activity(partition, Activity::Active),
            Some(Merged::At(watermark)) => self.carry(partition, watermark),
        }
    }

    /// The partition fell silent or ended. An ended one stays so.
    pub fn set_activity(&mut self, partition: usize, activity: Activity) {
        let progress = &mut self.partitions[partition];
        if progress.activity != Activity::Ended {
            progress.activity = activity;
        }
    }

    /// Merges and returns the watermark. Monotone: it never goes back, whatever a partition does. While every
    /// partition is idle it stays; when every one has ended it is [`EventTime::MAX`].
    pub fn advance(&mut self) -> EventTime {
        self.advance_up_to(EventTime::MAX)
    }

    /// The same, but not beyond `at_most`: the end of time can be approached in steps.
    pub fn advance_up_to(&mut self, at_most: EventTime) -> EventTime {
        let next = if self.all_ended() { EventTime::MAX } else { self.least(|p| p.activity == Activity::Active) };
        self.merged = self.merged.max(next.min(at_most));
        self.merged
    }

    /// Whether no partition will have another event. Not so before there is a partition.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        !self.partitions.is_empty() && self.partitions.iter().all(|p| p.activity == Activity::Ended)
    }

    /// Whether every partition that has not ended is silent: nobody waits for what the source has to say. Not so before there
    /// is a partition.
    #[must_use]
    pub fn all_idle(&self) -> bool {
        !self.partitions.is_empty()
            && self.partitions.iter().all(|p| p.activity != Activity::Active)
            && !self.all_ended()
    }

    /// What the merged watermark would be if every partition that ever had an event still had some to come.
    #[must_use]
    pub fn as_if_active(&self) -> EventTime {
        self.least(|p| p.max_seen > EventTime::MIN)
    }

    fn least(&self, counts: impl Fn(&PartitionProgress) -> bool) -> EventTime {
        let counted = self.partitions.iter().filter(|p| counts(p));
        counted.map(|p| p.max_seen.plus_ms(self.bound_ms.saturating_neg()).plus_ms(-1)).min().unwrap_or(EventTime::MIN)
    }

    /// The merged watermark as of the last [`Self::advance`].
    #[must_use]
    pub fn current(&self) -> EventTime {
        self.merged
    }

    /// Every partition's progress, by place.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionProgress] {
        &self.partitions
    }

    /// The writers of partitions that several write, by place.
    #[must_use]
    pub fn writers(&self) -> &BTreeMap<usize, Writers> {
        &self.writers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bound_ms: i64, partitions: usize) -> Watermarks {
        let mut watermarks = Watermarks::new(bound_ms);
        watermarks.ensure(partitions);
        watermarks
    }

    #[test]
    fn the_slowest_active_partition_decides() {
        let mut watermarks = of(10, 2);
        watermarks.observe(0, EventTime(1_000));
        assert_eq!(watermarks.advance(), EventTime::MIN, "partition 1 has said nothing");
        watermarks.observe(1, EventTime(500));
        assert_eq!(watermarks.advance(), EventTime(489));
        watermarks.set_activity(1, Activity::Idle);
        assert_eq!(watermarks.advance(), EventTime(989));
        watermarks.observe(1, EventTime(600));
        assert_eq!(watermarks.advance(), EventTime(989), "never back");
        watermarks.set_activity(0, Activity::Ended);
        watermarks.observe(1, EventTime(2_000));
        assert_eq!(watermarks.advance(), EventTime(1_989));
        watermarks.set_activity(1, Activity::Ended);
        assert_eq!(watermarks.advance(), EventTime::MAX);
    }

    #[test]
    fn no_event_is_the_end() {
        let mut watermarks = of(0, 1);
        watermarks.observe(0, EventTime::MAX);
        assert_eq!(watermarks.advance(), EventTime(i64::MAX - 2));
        watermarks.set_activity(0, Activity::Ended);
        assert_eq!(watermarks.advance(), EventTime::MAX);
    }

    #[test]
    fn a_watermark_that_is_carried_is_the_partitions() {
        let mut watermarks = of(40, 2);
        watermarks.carry(0, EventTime(1_000));
        watermarks.carry(1, EventTime(700));
        assert_eq!(watermarks.advance(), EventTime(700));
        watermarks.carry(1, EventTime(600));
        assert_eq!(watermarks.advance(), EventTime(700), "never back");
        watermarks.carry(1, EventTime(2_000));
        assert_eq!(watermarks.advance(), EventTime(1_000));
    }

    fn mark(family: &str, writer: u32, writers: u32, watermark: i64, idle: bool) -> Mark {
        Mark { family: family.to_owned(), writer, writers, watermark: EventTime(watermark), idle }
    }

    #[test]
    fn of_several_writers_the_slowest_counts_and_all_are_waited_for() {
        let mut watermarks = of(40, 1);
        watermarks.expect(0, &["events".to_owned(), "rows".to_owned()]);
        watermarks.hear(0, &mark("events", 0, 2, 1_000, false));
        watermarks.hear(0, &mark("rows", 0, 1, 900, false));
        assert_eq!(watermarks.advance(), EventTime::MIN, "the second writer of events was not heard of");
        watermarks.hear(0, &mark("events", 1, 2, 700, false));
        assert_eq!(watermarks.advance(), EventTime(700));
        watermarks.hear(0, &mark("events", 1, 2, 600, false));
        watermarks.hear(0, &mark("events", 1, 2, 2_000, false));
        assert_eq!(watermarks.advance(), EventTime(900));
        watermarks.hear(0, &mark("events", 2, 3, 950, false));
        watermarks.hear(0, &mark("rows", 0, 1, 3_000, false));
        assert_eq!(watermarks.advance(), EventTime(950), "a partition that was added holds back from then on");
    }

    #[test]
    fn who_has_nothing_to_write_is_not_waited_for() {
        let mut watermarks = of(0, 1);
        watermarks.expect(0, &["events".to_owned()]);
        watermarks.hear(0, &mark("events", 0, 2, i64::MIN, true));
        watermarks.hear(0, &mark("events", 1, 2, 50, false));
        assert_eq!((watermarks.advance(), watermarks.all_idle()), (EventTime(50), false));
        watermarks.hear(0, &mark("events", 1, 2, 60, true));
        assert_eq!((watermarks.advance(), watermarks.all_idle()), (EventTime(50), true), "nobody says anything");
        watermarks.hear(0, &mark("events", 0, 2, i64::MIN, false));
        assert!(!watermarks.all_idle(), "it is back, and has no watermark yet");
        watermarks.hear(0, &mark("events", 1, 2, 80, false));
        assert_eq!(watermarks.advance(), EventTime(50));
        watermarks.hear(0, &mark("events", 0, 2, 70, false));
        assert_eq!(watermarks.advance(), EventTime(70));
    }

    #[test]
    fn all_idle_means_no_news() {
        let mut watermarks = of(0, 1);
        watermarks.observe(0, EventTime(7));
        watermarks.advance();
        watermarks.set_activity(0, Activity::Idle);
        assert_eq!(watermarks.advance(), EventTime(6));
    }
}
