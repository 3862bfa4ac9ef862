//! One track of a report: the video track is found in the array, and its numbers are read with care. Knows nothing of
//! windows.

use tidemark_metric::State;
use tidemark_metric::json::JsonValue;

/// Greatest number that is taken for a measurement: up to here a float is a whole number of something.
const GREATEST: f64 = 9_007_199_254_740_992.0;

/// What a report says of the video. Whatever is absent, negative or no number is `None`.
#[derive(PartialEq, Debug)]
pub struct VideoTrack {
    pub jitter_ms: Option<f64>,
    pub round_trip_ms: Option<f64>,
    lost: Option<f64>,
    received: Option<f64>,
}

/// The packet counters of the video at a moment. Ordered by time.
#[derive(State, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Packets {
    time_ms: i64,
    received: i64,
    lost: i64,
}

impl VideoTrack {
    /// The first video track in `tracks`, an array in JSON.
    pub fn find(tracks: &str) -> Option<Self> {
        let Ok(JsonValue::Array(tracks)) = JsonValue::parse(tracks) else { return None };
        let is_video = |track: &&JsonValue| track.get("type") == Some(&JsonValue::from("video"));
        tracks.iter().find(is_video).map(Self::read)
    }

    fn read(track: &JsonValue) -> Self {
        let number = |name| match track.get(name)? {
            JsonValue::Number(text) => text.parse().ok().filter(|number: &f64| number.abs() <= GREATEST),
            _ => None,
        };
        let measured = |name| number(name).filter(|number| *number >= 0.0);
        Self {
            jitter_ms: measured("jitter"),
            round_trip_ms: measured("rtt")
                .filter(|nanoseconds| *nanoseconds > 0.0)
                .map(|nanoseconds| nanoseconds / 1e6),
            // A packet that comes twice makes up for a lost one, so this may be below zero.
            lost: number("packets_lost"),
            received: measured("packets_received"),
        }
    }

    /// Its counters, if it has both.
    pub fn packets(&self, time_ms: i64) -> Option<Packets> {
        Some(Packets { time_ms, received: self.received? as i64, lost: self.lost? as i64 })
    }
}

impl Packets {
    /// Loss since the connection began.
    pub fn loss_pct(&self) -> Option<f64> {
        loss_pct(self.lost, self.received)
    }

    /// Loss since `earlier`; `None` if the counters began anew in between.
    pub fn loss_pct_since(&self, earlier: &Self) -> Option<f64> {
        let received = self.received - earlier.received;
        (received >= 0).then(|| loss_pct(self.lost - earlier.lost, received)).flatten()
    }
}

/// Nothing of no packets.
fn loss_pct(lost: i64, received: i64) -> Option<f64> {
    let lost = lost.max(0);
    (lost + received > 0).then(|| 100.0 * lost as f64 / (lost + received) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_video_track_is_found_by_its_type() {
        let video = r#"{"type": "video", "jitter": 7.5, "packets_lost": 1, "packets_received": 99, "rtt": 2500000}"#;
        let audio = r#"{"type": "audio", "jitter": 20.0}"#;
        let expected =
            VideoTrack { jitter_ms: Some(7.5), round_trip_ms: Some(2.5), lost: Some(1.0), received: Some(99.0) };
        for tracks in
            [format!("[{video}]"), format!("[{audio}, {video}, {audio}]"), format!("[null, 1, {{}}, {video}]")]
        {
            assert_eq!(VideoTrack::find(&tracks).as_ref(), Some(&expected), "{tracks}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for tracks in ["", "[]", "null", "7", &format!("[{audio}]"), video, "[{\"type\": \"video\"", &deep] {
            assert_eq!(VideoTrack::find(tracks), None, "{tracks}");
        }
    }

    #[test]
    fn what_is_no_measurement_is_none() {
        let track =
            |members: &str| VideoTrack::find(&format!(r#"[{{"type": "video"{members}}}]"#)).expect("a video track");
        let nothing = track("");
        assert_eq!(nothing, VideoTrack { jitter_ms: None, round_trip_ms: None, lost: None, received: None });
        assert_eq!(track(r#", "jitter": -1, "rtt": 0, "packets_received": -5"#), nothing);
        assert_eq!(track(r#", "jitter": "3", "rtt": null, "packets_lost": 1e999, "packets_received": []"#), nothing);
        assert_eq!(track(r#", "packets_lost": 1e16, "packets_received": 9007199254740993e3"#), nothing);
        assert_eq!(track(r#", "jitter": 0"#).jitter_ms, Some(0.0));
    }

    #[test]
    fn loss_is_that_between_two_reports() {
        let packets = |time_ms: i64, lost: i64, received: i64| Packets { time_ms, received, lost };
        let since = |lost: i64, received: i64| packets(9, lost, received).loss_pct_since(&packets(1, 10, 1000));
        assert_eq!(since(15, 1095), Some(5.0));
        assert_eq!(since(10, 1100), Some(0.0));
        assert_eq!(since(8, 1100), Some(0.0), "packets that came twice");
        assert_eq!(since(20, 1000), Some(100.0));
        assert_eq!(since(10, 1000), None, "no packet, or one report");
        assert_eq!(since(0, 50), None, "a new connection");
        assert_eq!(packets(1, 3, 9).loss_pct(), Some(25.0));
        assert_eq!(packets(1, 0, 0).loss_pct(), None);
        assert_eq!(packets(1, -3, 9).loss_pct(), Some(0.0));
    }
}
