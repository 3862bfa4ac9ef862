//! Prompt to first frame: how long a user waits from the request of a stream to its first processed segment.
//!
//! `t(gateway_receive_first_processed_segment) − t(gateway_receive_stream_request)`, joined by request. The bounds are
//! those of the network's own analytics: −10 s, because events of one request overtake each other, to +60 s. After a
//! swap of the orchestrator the first segment repeats under the same request: the first one counts. A request that no
//! segment follows is a row too, without latency; so is one whose segment seems to come before it, which no user saw.

use tidemark_metric::{Context, Failure, Input, Join, Metric, Output};

/// Milliseconds from the request of a stream to its first processed segment.
#[derive(Metric)]
#[metric(
    name = "prompt-to-first-frame",
    key = "data.request_id",
    filter("type" = "stream_trace"),
    window(
        join,
        left("data.type" = "gateway_receive_stream_request"),
        right("data.type" = "gateway_receive_first_processed_segment"),
        lower = "-10s",
        upper = "60s",
        take = first,
        unmatched = left
    )
)]
pub struct PromptToFirstFrame;

/// The gateway received a request: the left side.
#[derive(Input)]
pub struct Request<'a> {
    #[at = "data.stream_id"]
    stream_id: Option<&'a str>,
    #[at = "gateway"]
    gateway: Option<&'a str>,
}

/// The gateway received the first processed segment: the right side.
#[derive(Input)]
pub struct FirstSegment<'a> {
    #[at = "data.timestamp"]
    timestamp_ms: Option<i64>,
    #[at = "timestamp"]
    envelope_timestamp_ms: Option<i64>,
    #[at = "data.orchestrator_info.address"]
    orchestrator: Option<&'a str>,
}

/// One request.
#[derive(Output)]
pub struct Latency<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// Its stream.
    pub stream_id: Option<&'a str>,
    /// The gateway that received it.
    pub gateway: Option<&'a str>,
    /// Who sent the first segment; null for a request without one.
    pub orchestrator: Option<&'a str>,
    /// Null for a request without a segment, and where the difference is negative.
    pub latency_ms: Option<i64>,
    /// Whether a segment followed.
    pub matched: bool,
}

impl Join for PromptToFirstFrame {
    type Left = Request<'static>;
    type Right = FirstSegment<'static>;
    type Output = Latency<'static>;

    fn matched(&self, request: Request, segment: FirstSegment, context: &mut Context<Latency>) -> Result<(), Failure> {
        let latency_ms = segment.time_ms().map(|time_ms| time_ms - context.window_start_ms());
        context.emit(Latency {
            orchestrator: segment.orchestrator.filter(|address| !address.is_empty()),
            latency_ms: latency_ms.filter(|latency_ms| *latency_ms >= 0),
            matched: true,
            ..request.without_segment(context.key())
        });
        Ok(())
    }

    fn unmatched_left(&self, request: Request, context: &mut Context<Latency>) -> Result<(), Failure> {
        context.emit(request.without_segment(context.key()));
        Ok(())
    }
}

impl<'a> Request<'a> {
    fn without_segment(&self, request_id: &'a str) -> Latency<'a> {
        Latency {
            request_id,
            stream_id: self.stream_id.filter(|stream_id| !stream_id.is_empty()),
            gateway: self.gateway.filter(|gateway| !gateway.is_empty()),
            orchestrator: None,
            latency_ms: None,
            matched: false,
        }
    }
}

impl FirstSegment<'_> {
    /// When it came. A pair has only one event time, that of its later side, and here the segment may be the earlier.
    fn time_ms(&self) -> Option<i64> {
        self.timestamp_ms.or(self.envelope_timestamp_ms)
    }
}

tidemark_metric::export!(PromptToFirstFrame);

#[cfg(test)]
mod tests;
