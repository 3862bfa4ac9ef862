//! Ingest quality: how well a stream's video reaches the gateway, from its reports of the WebRTC connection.
//!
//! - jitter: mean and greatest, in milliseconds as reported
//! - loss = 100 · lost / (lost + received), in packets. Gateways report counters that run since the connection began,
//!   so the loss *of a window* is that between its first and its last report. It is null for fewer than two reports, and
//!   where a new connection began and the counters with it. `connection_loss_pct` is the same since the beginning.
//! - round trip: mean, in milliseconds of the nanoseconds reported. Zero says that none was measured, and is no sample.
//! - `bad_share`: reports whose `conn_quality` is bad / reports that have one. It is bad where jitter is above 50 ms or
//!   loss since the beginning above 2 % on any track, audio as well (go-livepeer, `media/whip_connection.go`).
//!
//! Tracks come as an array in no fixed order: the video track is the first one whose type is `video`.

mod track;

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Json, Merge, Metric, Output, Rows, State};
use track::{Packets, VideoTrack};

/// Jitter, loss and round trips of a stream's video on its way to the gateway, each minute.
#[derive(Metric)]
#[metric(
    name = "ingest-quality",
    key = "data.stream_id",
    filter("type" = "stream_ingest_metrics"),
    window(tumbling = "60s"),
    mergeable
)]
pub struct IngestQuality;

/// What the gateway reports of the connection, every five seconds.
#[derive(Input)]
pub struct Report<'a> {
    #[at = "data.stats.track_stats"]
    tracks: Option<Json<'a>>,
    #[at = "data.stats.conn_quality"]
    quality: Option<&'a str>,
}

/// The reports of a window so far.
#[derive(State, Default)]
pub struct Reports {
    reports: i64,
    rated: i64,
    bad: i64,
    video: i64,
    jitters: i64,
    jitter_sum_ms: f64,
    jitter_max_ms: Option<f64>,
    round_trips: i64,
    round_trip_sum_ms: f64,
    first: Option<Packets>,
    last: Option<Packets>,
}

/// The quality of a window.
#[derive(Output)]
pub struct Quality {
    /// Reports.
    pub reports: i64,
    /// Those of them that have a video track.
    pub video_reports: i64,
    /// Null without a jitter of the video.
    pub mean_jitter_ms: Option<f64>,
    /// Null without a jitter of the video.
    pub max_jitter_ms: Option<f64>,
    /// Share of packets lost between the first and the last report of the window, from 0 to 100.
    pub packet_loss_pct: Option<f64>,
    /// Share of packets lost from the beginning of the connection to the last report, from 0 to 100.
    pub connection_loss_pct: Option<f64>,
    /// Null where no round trip was measured.
    pub mean_rtt_ms: Option<f64>,
    /// From 0 to 1; null where no report has a quality.
    pub bad_share: Option<f64>,
}

impl Fold for IngestQuality {
    type Input = Report<'static>;
    type State = Reports;
    type Output = Quality;

    fn update(&self, reports: &mut Reports, rows: Rows<Report>, _: &mut Context<Quality>) -> Result<(), Failure> {
        for report in rows {
            reports.reports += 1;
            reports.rated += i64::from(report.quality.is_some_and(|quality| !quality.is_empty()));
            reports.bad += i64::from(report.quality == Some("bad"));
            if let Some(track) = report.tracks.and_then(|tracks| VideoTrack::find(tracks.0)) {
                reports.add(report.event_time_ms, &track);
            }
        }
        Ok(())
    }

    fn close(&self, reports: &mut Reports, _: CloseReason, context: &mut Context<Quality>) -> Result<(), Failure> {
        context.emit(Quality {
            reports: reports.reports,
            video_reports: reports.video,
            mean_jitter_ms: share(reports.jitter_sum_ms, reports.jitters),
            max_jitter_ms: reports.jitter_max_ms,
            packet_loss_pct: reports.first.zip(reports.last).and_then(|(first, last)| last.loss_pct_since(&first)),
            connection_loss_pct: reports.last.and_then(|last| last.loss_pct()),
            mean_rtt_ms: share(reports.round_trip_sum_ms, reports.round_trips),
            bad_share: share(reports.bad as f64, reports.rated),
        });
        Ok(())
    }
}

impl Merge for IngestQuality {
    fn merge(&self, reports: &mut Reports, later: Reports) -> Result<(), Failure> {
        reports.reports += later.reports;
        reports.rated += later.rated;
        reports.bad += later.bad;
        reports.video += later.video;
        reports.jitters += later.jitters;
        reports.jitter_sum_ms += later.jitter_sum_ms;
        reports.jitter_max_ms = greater(reports.jitter_max_ms, later.jitter_max_ms);
        reports.round_trips += later.round_trips;
        reports.round_trip_sum_ms += later.round_trip_sum_ms;
        reports.first = reports.first.into_iter().chain(later.first).min();
        // Nothing is less than something.
        reports.last = reports.last.max(later.last);
        Ok(())
    }
}

impl Reports {
    fn add(&mut self, event_time_ms: i64, track: &VideoTrack) {
        self.video += 1;
        if let Some(jitter_ms) = track.jitter_ms {
            self.jitters += 1;
            self.jitter_sum_ms += jitter_ms;
            self.jitter_max_ms = greater(self.jitter_max_ms, Some(jitter_ms));
        }
        if let Some(round_trip_ms) = track.round_trip_ms {
            self.round_trips += 1;
            self.round_trip_sum_ms += round_trip_ms;
        }
        let packets = track.packets(event_time_ms);
        self.first = self.first.into_iter().chain(packets).min();
        self.last = self.last.max(packets);
    }
}

fn greater(left: Option<f64>, right: Option<f64>) -> Option<f64> {
    left.into_iter().chain(right).reduce(f64::max)
}

/// `sum / count`; nothing of nothing.
fn share(sum: f64, count: i64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

tidemark_metric::export!(IngestQuality);

#[cfg(test)]
mod tests;
