//! Watermarks: how far event time has come, per source partition and merged.
//!
//! A watermark `w` says that no further event with a time `≤ w` is expected. Follows Flink's
//! `BoundedOutOfOrdernessWatermarks` (per partition: greatest time seen − bound − 1 ms) and
//! `CombinedWatermarkStatus` (merged: the minimum over partitions that are neither idle nor ended).

use crate::time::EventTime;

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

/// The watermarks of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watermarks {
    bound_ms: i64,
    partitions: Vec<PartitionProgress>,
    merged: EventTime,
}

impl Watermarks {
    /// For events that come at most `bound_ms` behind the newest one of their partition.
    #[must_use]
    pub fn new(bound_ms: i64) -> Self {
        Self { bound_ms, partitions: Vec::new(), merged: EventTime::MIN }
    }

    /// Continues from a snapshot: [`Self::partitions`] and [`Self::current`] of an earlier run.
    #[must_use]
    pub fn restore(bound_ms: i64, partitions: Vec<PartitionProgress>, merged: EventTime) -> Self {
        Self { bound_ms, partitions, merged }
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

    #[test]
    fn all_idle_means_no_news() {
        let mut watermarks = of(0, 1);
        watermarks.observe(0, EventTime(7));
        watermarks.advance();
        watermarks.set_activity(0, Activity::Idle);
        assert_eq!(watermarks.advance(), EventTime(6));
    }
}
