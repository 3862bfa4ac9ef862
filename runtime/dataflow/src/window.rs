//! Window assignment and the life of a window. Follows Flink's `TumblingEventTimeWindows`,
//! `SlidingEventTimeWindows`, `EventTimeTrigger` and `WindowOperator`.

use crate::time::{EventTime, Window};

/// Aligned windows: which ones a row belongs to depends on its time alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AlignedWindows {
    size_ms: i64,
    slide_ms: i64,
    /// In `0..slide_ms`.
    offset_ms: i64,
}

impl AlignedWindows {
    /// `[n·size + offset, (n+1)·size + offset)`. `None` unless `size_ms > 0` and `0 ≤ |offset_ms| < size_ms`.
    #[must_use]
    pub fn tumbling(size_ms: i64, offset_ms: i64) -> Option<Self> {
        Self::sliding(size_ms, size_ms, offset_ms)
    }

    /// Windows of `size_ms`, one starting every `slide_ms`. `None` unless both are positive and
    /// `|offset_ms| < slide_ms`, Flink's conditions.
    #[must_use]
    pub fn sliding(size_ms: i64, slide_ms: i64, offset_ms: i64) -> Option<Self> {
        let sane = size_ms > 0 && slide_ms > 0 && offset_ms.checked_abs().is_some_and(|offset| offset < slide_ms);
        sane.then(|| Self { size_ms, slide_ms, offset_ms: offset_ms.rem_euclid(slide_ms) })
    }

    /// How long each is.
    #[must_use]
    pub const fn size_ms(self) -> i64 {
        self.size_ms
    }

    /// The most windows that one row can belong to.
    #[must_use]
    pub const fn windows_per_row(self) -> i64 {
        (self.size_ms - 1) / self.slide_ms + 1
    }

    /// The windows that `time` belongs to, the latest first. With a slide greater than the size there may be none.
    ///
    /// At the ends of time windows are cut off at [`EventTime::MIN`] and [`EventTime::MAX`].
    pub fn assign(self, time: EventTime) -> impl Iterator<Item = Window> {
        // Both remainders are in 0..slide, so that nothing overflows.
        let since_start = (time.0.rem_euclid(self.slide_ms) - self.offset_ms).rem_euclid(self.slide_ms);
        let last_start = time.0.saturating_sub(since_start);
        let starts = std::iter::successors(Some(last_start), move |start| start.checked_sub(self.slide_ms));
        starts
            .take_while(move |start| time.0.saturating_sub(*start) < self.size_ms)
            .map(move |start| Window::new(start, start.saturating_add(self.size_ms)))
    }
}

/// When a window's state is dropped: it fired at [`Window::last`], and `allowed_lateness_ms` later nothing can change
/// it any more.
#[must_use]
pub const fn cleanup_time(window: Window, allowed_lateness_ms: i64) -> EventTime {
    window.last().plus_ms(allowed_lateness_ms)
}

/// Whether a row for `window` comes too late: the window's state is gone.
#[must_use]
pub fn is_window_late(window: Window, allowed_lateness_ms: i64, watermark: EventTime) -> bool {
    cleanup_time(window, allowed_lateness_ms) <= watermark
}

/// Whether a row at `time` that is in no open window is late, and not merely in a gap between windows
/// (`WindowOperator.isElementLate`).
#[must_use]
pub fn is_row_late(time: EventTime, allowed_lateness_ms: i64, watermark: EventTime) -> bool {
    time.plus_ms(allowed_lateness_ms) <= watermark
}

/// Whether a row that changes `window` fires it at once, because the watermark has passed its end already.
#[must_use]
pub fn fires_at_once(window: Window, watermark: EventTime) -> bool {
    window.last() <= watermark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(windows: AlignedWindows, time: i64) -> Vec<i64> {
        windows.assign(EventTime(time)).map(|window| window.start.0).collect()
    }

    #[test]
    fn windows_align_to_the_epoch_on_both_sides() {
        let minute = AlignedWindows::tumbling(60, 0).unwrap();
        assert_eq!(
            [starts(minute, 0), starts(minute, 59), starts(minute, 60), starts(minute, -1)].concat(),
            [0, 0, 60, -60]
        );
        assert_eq!(starts(AlignedWindows::tumbling(60, 15).unwrap(), 14), [-45]);
        assert_eq!(starts(AlignedWindows::tumbling(60, -15).unwrap(), 44), [-15]);
    }

    #[test]
    fn a_row_is_in_every_window_that_covers_it() {
        let sliding = AlignedWindows::sliding(10, 4, 0).unwrap();
        assert_eq!(starts(sliding, 9), [8, 4, 0]);
        assert_eq!(starts(sliding, 10), [8, 4], "half-open: [0, 10) is over");
        assert_eq!(starts(AlignedWindows::sliding(2, 5, 0).unwrap(), 3), Vec::<i64>::new(), "a gap");
    }

    #[test]
    fn the_ends_of_time_have_windows_too() {
        let sizes = [(1, 1), (60_000, 60_000), (i64::MAX, i64::MAX), (1 << 62, 1 << 61), (10, 3)];
        for (size, slide) in sizes {
            for offset in [0, slide - 1, 1 - slide] {
                let windows = AlignedWindows::sliding(size, slide, offset).unwrap();
                for time in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1] {
                    let mut assigned = windows.assign(EventTime(time)).peekable();
                    assert!(assigned.peek().is_some(), "{time} in {windows:?}");
                    assert!(assigned.all(|window| window.start.0 <= time && time < window.end.0), "{time} {windows:?}");
                    assert!(windows.assign(EventTime(time)).count() as i64 <= windows.windows_per_row());
                }
            }
        }
    }

    #[test]
    fn lateness_counts_from_the_last_millisecond() {
        let window = Window::new(0, 60);
        assert!(!is_window_late(window, 0, EventTime(58)));
        assert!(is_window_late(window, 0, EventTime(59)));
        assert!(!is_window_late(window, 10, EventTime(68)));
        assert!(is_window_late(window, 10, EventTime(69)));
        assert!(!is_window_late(Window::new(0, i64::MAX), 10, EventTime(i64::MAX - 1)));
    }

    #[test]
    fn impossible_windows_are_refused() {
        assert!(AlignedWindows::tumbling(0, 0).is_none());
        assert!(AlignedWindows::sliding(10, 0, 0).is_none());
        assert!(AlignedWindows::tumbling(10, 10).is_none());
        assert!(AlignedWindows::tumbling(10, i64::MIN).is_none());
    }
}
