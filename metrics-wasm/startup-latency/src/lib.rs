//! Startup: how a requested stream comes to life, one row per request.
//!
//! - startup latency = t(few processed segments) − t(first processed segment)
//! - prompt to playable = t(few processed segments) − t(stream request)
//! - end-to-end latency, by proxy = t(runner sends first segment) − t(gateway sends first ingest segment)
//!
//! Each t is the *first* such event of the request, since they repeat after a swap of the orchestrator. A negative
//! difference is null: clocks differ between runner and gateway, and an event of the first attempt may be lost.
//!
//! **When a row is due.** The events of a start come within seconds but in any order, up to 33 s late, and some are
//! lost, so no event can be taken for the last one. A row is made when event time is `settle_ms` after the request's
//! earliest event (120 s by default, which leaves a swapped stream time for its second attempt), from the events up to
//! that moment alone. Both depend on event times only, so a row is the same whatever the order of arrival. What
//! happens later is the life of a stream, not its start. The state outlives the row, kept by the stream's statuses, so
//! that a request has one row even if a swap repeats its events hours later.

mod timeline;

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Metric, Output, Rows};
use timeline::Timeline;

/// How fast a requested stream starts, by whom, and whether it becomes playable.
#[derive(Metric)]
#[metric(
    name = "startup-latency",
    key = "data.request_id",
    filter("type" = ["stream_trace", "ai_stream_status"]),
    window(key, ttl = "1h")
)]
pub struct StartupLatency {
    /// Milliseconds from a request's earliest event to its row.
    #[setting(default = 120_000)]
    pub settle_ms: i64,
}

/// A step of the start, or a status of the running stream.
#[derive(Input)]
pub struct Step<'a> {
    #[at = "type"]
    event_type: Option<&'a str>,
    #[at = "data.type"]
    step: Option<&'a str>,
    #[at = "data.stream_id"]
    stream_id: Option<&'a str>,
    #[at = "data.orchestrator_info.address"]
    orchestrator: Option<&'a str>,
    #[at = "data.state"]
    state: Option<&'a str>,
    #[at = "data.inference_status.fps"]
    fps: Option<f64>,
}

/// The start of one request.
#[derive(Output)]
pub struct Startup<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// Its stream.
    pub stream_id: Option<&'a str>,
    /// Who took the request first: a swap counts against the one that was swapped out.
    pub orchestrator: Option<&'a str>,
    /// Whether the request itself was seen; it is missing where recording began later or the event was lost.
    pub requested: bool,
    /// Whether a first processed segment came.
    pub first_frame: bool,
    /// Whether a few processed segments came.
    pub playable: bool,
    /// Whether the orchestrator was swapped.
    pub swapped: bool,
    /// Whether a status came.
    pub status_seen: bool,
    /// Whether a status was past LOADING and a status had a frame rate above zero; null without a status.
    pub output_viable: Option<bool>,
    /// From the first processed segment to a few of them.
    pub startup_latency_ms: Option<i64>,
    /// From the request to a few processed segments.
    pub prompt_to_playable_ms: Option<i64>,
    /// From the gateway's first ingest segment to the runner's first processed one.
    pub e2e_latency_ms: Option<i64>,
}

impl Fold for StartupLatency {
    type Input = Step<'static>;
    type State = Timeline;
    type Output = Startup<'static>;

    fn update(
        &self,
        timeline: &mut Timeline,
        steps: Rows<Step>,
        context: &mut Context<Startup>,
    ) -> Result<(), Failure> {
        let due_before = self.due_ms(timeline);
        for step in steps {
            timeline.add(step.event_time_ms, &step);
        }
        match self.due_ms(timeline) {
            // Foreign events alone are no request.
            None => context.forget(),
            due if due == due_before || timeline.emitted => {}
            Some(due_ms) => context.timer_at(due_ms),
        }
        Ok(())
    }

    fn close(&self, timeline: &mut Timeline, _: CloseReason, context: &mut Context<Startup>) -> Result<(), Failure> {
        // An earlier event that came later moved the row to an earlier timer. Expiry makes the row where the time to
        // live is shorter than the settle time.
        if let Some(due_ms) = self.due_ms(timeline)
            && !timeline.emitted
        {
            context.emit(timeline.startup(context.key(), due_ms));
            timeline.emitted = true;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.settle_ms <= 0 { Err("settle_ms must be positive".into()) } else { Ok(()) }
    }
}

impl StartupLatency {
    /// When the row is due; `None` before the first event of a start.
    fn due_ms(&self, timeline: &Timeline) -> Option<i64> {
        timeline.earliest_ms().map(|earliest_ms| earliest_ms.saturating_add(self.settle_ms))
    }
}

tidemark_metric::export!(StartupLatency);

#[cfg(test)]
mod tests;
