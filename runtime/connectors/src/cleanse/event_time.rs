//! Which of an event's times is its event time.

use super::cursor::Value;
use super::number;
use super::settings::CleanseSettings;
use tidemark_engine::dead_letter::Reason;

/// Most paths that may hold the event time, the envelope's included.
pub(crate) const MAX_TIMES: usize = 8;

/// What an event has at one of those paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Moment {
    /// Nothing, or nothing that is a number.
    #[default]
    Absent,
    /// Milliseconds since the epoch, if the event uses them.
    At(i64),
}

impl Moment {
    /// Reads a number or a text of one; a text's escapes must be resolved.
    pub(crate) fn read(value: Value<'_>) -> Self {
        match value {
            Value::Number(text) | Value::Text(text) => number::milliseconds(text).map_or(Self::Absent, Self::At),
            _ => Self::Absent,
        }
    }
}

/// The rule by which one of the candidates is taken.
#[derive(Clone, Debug)]
pub(crate) struct EventTimeRule {
    min: i64,
    max: i64,
    max_ahead: i64,
    /// Candidates, in order; the moments behind them are not.
    candidates: usize,
    /// Which moment is the envelope's.
    envelope: usize,
}

impl EventTimeRule {
    /// The rule, and the event path of each moment it looks at.
    pub(crate) fn new(settings: &CleanseSettings, mistakes: &mut Vec<String>) -> (Self, Vec<String>) {
        let mut paths = settings.event_time.clone();
        let candidates = paths.len();
        let envelope = paths.iter().position(|path| path == "timestamp").unwrap_or_else(|| {
            paths.push("timestamp".to_owned());
            candidates
        });
        if candidates == 0 {
            mistakes.push("cleanse.event_time: name at least one path".to_owned());
        }
        if paths.len() > MAX_TIMES {
            mistakes.push(format!("cleanse.event_time: {candidates} paths, at most {} are possible", MAX_TIMES - 1));
        }
        let (min, max) = (settings.min_event_time_ms, settings.max_event_time_ms);
        if min > max {
            mistakes.push(format!("cleanse.min_event_time_ms: {min} is after max_event_time_ms, {max}"));
        }
        if settings.max_ahead_of_envelope_ms < 0 {
            mistakes.push("cleanse.max_ahead_of_envelope_ms: must not be negative".to_owned());
        }
        (Self { min, max, max_ahead: settings.max_ahead_of_envelope_ms, candidates, envelope }, paths)
    }

    /// The event time, or why there is none.
    #[inline]
    pub(crate) fn choose(&self, moments: &[Moment; MAX_TIMES]) -> Result<i64, (Reason, String)> {
        let limit = match moments[self.envelope] {
            Moment::At(envelope) if self.sane(envelope) => self.max.min(envelope.saturating_add(self.max_ahead)),
            _ => self.max,
        };
        for (place, moment) in moments[..self.candidates].iter().enumerate() {
            if let Moment::At(time) = *moment
                && time >= self.min
                && (time <= limit || place == self.envelope && time <= self.max)
            {
                return Ok(time);
            }
        }
        Err(self.refuse(moments, limit))
    }

    /// The event time of a metric's row: what the engine gave it.
    pub(crate) fn of_row(&self, moments: &[Moment; MAX_TIMES]) -> Result<i64, (Reason, String)> {
        match moments[self.envelope] {
            Moment::At(time) => Ok(time),
            Moment::Absent => Err((Reason::NoEventTime, "a metric's row without a time".to_owned())),
        }
    }

    fn sane(&self, time: i64) -> bool {
        (self.min..=self.max).contains(&time)
    }

    #[cold]
    fn refuse(&self, moments: &[Moment; MAX_TIMES], limit: i64) -> (Reason, String) {
        let found = moments[..self.candidates].iter().find_map(|moment| match moment {
            Moment::At(time) => Some(*time),
            Moment::Absent => None,
        });
        match found {
            Some(time) => {
                let detail = format!("event time {time} is not between {} and {limit} ms since the epoch", self.min);
                (Reason::TimeOutOfBounds, detail)
            }
            None => (Reason::NoEventTime, "no event time: no number at any of the configured paths".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_908_945_298;

    fn choose(data: Moment, envelope: Moment) -> Result<i64, Reason> {
        let (rule, paths) = EventTimeRule::new(&CleanseSettings::default(), &mut Vec::new());
        assert_eq!(paths, ["data.timestamp", "timestamp"]);
        let mut moments = [Moment::Absent; MAX_TIMES];
        moments[..2].copy_from_slice(&[data, envelope]);
        rule.choose(&moments).map_err(|(reason, _)| reason)
    }

    #[test]
    fn the_first_usable_time_counts() {
        use Moment::{Absent, At};
        for (data, envelope, expected) in [
            (At(NOW), At(NOW + 44), Ok(NOW)),
            (Absent, At(NOW), Ok(NOW)),
            (At(NOW), Absent, Ok(NOW)),
            // Monotonic seconds, epoch seconds, negative, microseconds, a clock far ahead.
            (At(51_233), At(NOW), Ok(NOW)),
            (At(NOW / 1000), At(NOW), Ok(NOW)),
            (At(-5), At(NOW), Ok(NOW)),
            (At(NOW * 1000), At(NOW), Ok(NOW)),
            (At(NOW + 3_600_001), At(NOW), Ok(NOW)),
            (At(NOW + 3_600_000), At(NOW), Ok(NOW + 3_600_000)),
            // An envelope that is wrong itself is no measure.
            (At(NOW), At(NOW / 1000), Ok(NOW)),
            (At(NOW / 1000), At(NOW / 1000), Err(Reason::TimeOutOfBounds)),
            (Absent, At(NOW * 1000), Err(Reason::TimeOutOfBounds)),
            (Absent, Absent, Err(Reason::NoEventTime)),
        ] {
            assert_eq!(choose(data, envelope), expected, "{data:?} {envelope:?}");
        }
    }

    #[test]
    fn texts_and_numbers_are_moments() {
        assert_eq!(Moment::read(Value::Text(b"1767908945298")), Moment::At(NOW));
        assert_eq!(Moment::read(Value::Number(b"1767908945298.0")), Moment::At(NOW));
        assert_eq!(Moment::read(Value::Text(b"2026-01-08T21:49:05Z")), Moment::Absent);
        assert_eq!(Moment::read(Value::Null), Moment::Absent);
    }
}
