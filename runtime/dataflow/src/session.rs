//! Session windows: the sessions of one key, merged as rows close the gaps between them. Follows Flink's
//! `EventTimeSessionWindows` and `MergingWindowSet`.

use crate::time::{EventTime, Window};

/// What adding a row did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    /// The session that the row belongs to now.
    pub session: Window,
    /// Sessions that were open before and are part of it now, oldest first. Empty: the session is new. One equal to
    /// `session`: the row changed no bounds.
    pub absorbed: Vec<Window>,
}

/// The session that one row alone makes: `[time, time + gap)`.
#[must_use]
pub fn session_of(time: EventTime, gap_ms: i64) -> Window {
    Window { start: time, end: time.plus_ms(gap_ms) }
}

/// Whether two sessions are one. Sessions that only touch are one, as in Flink (`TimeWindow.intersects`).
#[must_use]
pub fn intersects(a: Window, b: Window) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// What adding a row at `time` to the open sessions of a key would do; they are disjoint and sorted by start.
#[must_use]
pub fn merge(sessions: &[Window], time: EventTime, gap_ms: i64) -> Merge {
    let mut session = session_of(time, gap_ms);
    let absorbed = &sessions[absorbed_by(sessions, session)];
    if let (Some(oldest), Some(newest)) = (absorbed.first(), absorbed.last()) {
        session.start = session.start.min(oldest.start);
        session.end = session.end.max(newest.end);
    }
    Merge { session, absorbed: absorbed.to_vec() }
}

/// Adds a row at `time` to the open sessions of a key.
pub fn add(sessions: &mut Vec<Window>, time: EventTime, gap_ms: i64) -> Merge {
    let merge = merge(sessions, time, gap_ms);
    sessions.splice(absorbed_by(sessions, merge.session), [merge.session]);
    merge
}

/// The open session that a row at `time`, which was added, belongs to.
#[must_use]
pub fn place_of(sessions: &[Window], time: EventTime) -> Option<usize> {
    sessions.partition_point(|session| session.start <= time).checked_sub(1)
}

fn absorbed_by(sessions: &[Window], session: Window) -> std::ops::Range<usize> {
    let first = sessions.partition_point(|open| open.end < session.start);
    first..first + sessions[first..].partition_point(|open| open.start <= session.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_the_gap_joins_its_neighbours() {
        let mut sessions = Vec::new();
        assert_eq!(add(&mut sessions, EventTime(0), 10).absorbed, []);
        assert_eq!(add(&mut sessions, EventTime(20), 10).absorbed, []);
        assert_eq!(sessions, [Window::new(0, 10), Window::new(20, 30)]);
        let merge = add(&mut sessions, EventTime(10), 10);
        assert_eq!(merge.session, Window::new(0, 30));
        assert_eq!(merge.absorbed, [Window::new(0, 10), Window::new(20, 30)]);
        assert_eq!(sessions, [Window::new(0, 30)]);
        assert_eq!(add(&mut sessions, EventTime(5), 10).absorbed, [Window::new(0, 30)]);
        assert_eq!(add(&mut sessions, EventTime(-20), 10).session, Window::new(-20, -10));
        assert_eq!(sessions.len(), 2);
        assert_eq!([-20, 0, 29].map(|time| place_of(&sessions, EventTime(time))), [Some(0), Some(1), Some(1)]);
        assert_eq!(place_of(&sessions, EventTime(-21)), None);
    }

    #[test]
    fn the_end_of_time_has_a_session() {
        let mut sessions = Vec::new();
        add(&mut sessions, EventTime(i64::MAX - 3), 10);
        assert_eq!(add(&mut sessions, EventTime::MAX, 10).session, Window::new(i64::MAX - 3, i64::MAX));
        assert_eq!(place_of(&sessions, EventTime::MAX), Some(0));
    }
}
