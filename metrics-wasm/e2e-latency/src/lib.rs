//! End-to-end latency, by proxy: how long a stream's first segment takes from the gateway through inference.
//!
//! `t(runner_send_first_processed_segment) − t(gateway_send_first_ingest_segment)`, one row per request. It is the
//! proxy of the network's own analytics: nobody follows one frame all the way.
//!
//! Each t is the *first* such event of the request, since both repeat after a swap of the orchestrator. A negative
//! difference is null, because runner and gateway have clocks of their own: that it was fast is all one can say. A
//! request of which only one of the two events came is a row too, without latency.
//!
//! A row is made when event time is `settle_ms` after the earlier of the two events, from what happened up to that
//! moment alone, so it is the same whatever the order of arrival. The state outlives the row for a day: a swap in that
//! time makes no second one.

use tidemark_metric::{
    CloseReason, Context, EarliestText, Failure, Fold, Input, Metric, Output, Rows, State, keep_earliest,
};

const SENT: &str = "gateway_send_first_ingest_segment";

/// Milliseconds from the gateway's first ingest segment to the runner's first processed one.
#[derive(Metric)]
#[metric(
    name = "e2e-latency",
    key = "data.request_id",
    filter(
        "type" = "stream_trace",
        "data.type" = ["gateway_send_first_ingest_segment", "runner_send_first_processed_segment"]
    ),
    window(key, ttl = "1d")
)]
pub struct E2eLatency {
    /// Milliseconds from a request's earlier event to its row.
    #[setting(default = 60_000)]
    pub settle_ms: i64,
}

/// The gateway sent a first segment, or the runner did.
#[derive(Input)]
pub struct Sent<'a> {
    #[at = "data.type"]
    step: Option<&'a str>,
    #[at = "data.stream_id"]
    stream_id: Option<&'a str>,
    #[at = "data.orchestrator_info.address"]
    orchestrator: Option<&'a str>,
}

/// The way of one request's first segment.
#[derive(State, Default)]
pub struct Way {
    sent_ms: Option<i64>,
    processed_ms: Option<i64>,
    stream_id: EarliestText,
    orchestrator: EarliestText,
    /// Whether the row was made.
    emitted: bool,
}

/// One request.
#[derive(Output)]
pub struct Latency<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// Its stream.
    pub stream_id: Option<&'a str>,
    /// Who got the first segment.
    pub orchestrator: Option<&'a str>,
    /// Null where one of the two events did not come, and where the difference is negative.
    pub latency_ms: Option<i64>,
    /// Whether both events came.
    pub matched: bool,
}

impl Fold for E2eLatency {
    type Input = Sent<'static>;
    type State = Way;
    type Output = Latency<'static>;

    fn update(&self, way: &mut Way, rows: Rows<Sent>, context: &mut Context<Latency>) -> Result<(), Failure> {
        let due_before = self.due_ms(way);
        for row in rows {
            let moment = if row.step == Some(SENT) { &mut way.sent_ms } else { &mut way.processed_ms };
            keep_earliest(moment, row.event_time_ms);
            way.stream_id.offer(row.event_time_ms, row.stream_id);
            way.orchestrator.offer(row.event_time_ms, row.orchestrator);
        }
        if let Some(due_ms) = self.due_ms(way)
            && due_before != Some(due_ms)
            && !way.emitted
        {
            context.timer_at(due_ms);
        }
        Ok(())
    }

    fn close(&self, way: &mut Way, _: CloseReason, context: &mut Context<Latency>) -> Result<(), Failure> {
        // An earlier event that came later moved the row to an earlier timer; this may be the one from before.
        if let Some(due_ms) = self.due_ms(way)
            && !way.emitted
        {
            context.emit(way.latency(context.key(), due_ms));
            way.emitted = true;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.settle_ms <= 0 { Err("settle_ms must be positive".into()) } else { Ok(()) }
    }
}

impl E2eLatency {
    /// When the row is due; `None` before the first event.
    fn due_ms(&self, way: &Way) -> Option<i64> {
        let earlier_ms = [way.sent_ms, way.processed_ms].into_iter().flatten().min()?;
        Some(earlier_ms.saturating_add(self.settle_ms))
    }
}

impl Way {
    /// The row, from what happened up to `due_ms`.
    fn latency<'a>(&'a self, request_id: &'a str, due_ms: i64) -> Latency<'a> {
        let known = |moment: Option<i64>| moment.filter(|time_ms| *time_ms <= due_ms);
        let difference_ms = known(self.sent_ms).zip(known(self.processed_ms)).map(|(sent, processed)| processed - sent);
        Latency {
            request_id,
            stream_id: self.stream_id.until(due_ms),
            orchestrator: self.orchestrator.until(due_ms),
            latency_ms: difference_ms.filter(|latency_ms| *latency_ms >= 0),
            matched: difference_ms.is_some(),
        }
    }
}

tidemark_metric::export!(E2eLatency);

#[cfg(test)]
mod tests;
