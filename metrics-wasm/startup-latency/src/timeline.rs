//! What is known of a request so far: when each step of its start happened first.

use crate::{Startup, Step};
use tidemark_metric::{EarliestText, State, keep_earliest};

/// The steps of one request.
#[derive(State, Default)]
pub struct Timeline {
    request_ms: Option<i64>,
    ingest_sent_ms: Option<i64>,
    runner_sent_ms: Option<i64>,
    first_segment_ms: Option<i64>,
    few_segments_ms: Option<i64>,
    swap_ms: Option<i64>,
    status_ms: Option<i64>,
    loaded_ms: Option<i64>,
    frames_ms: Option<i64>,
    stream_id: EarliestText,
    orchestrator: EarliestText,
    /// Whether the row was made.
    pub emitted: bool,
}

impl Timeline {
    /// Adds an event; foreign ones change nothing.
    pub fn add(&mut self, time_ms: i64, step: &Step) {
        let moment = match (step.event_type, step.step) {
            (Some("ai_stream_status"), _) => {
                if step.state != Some("LOADING") {
                    keep_earliest(&mut self.loaded_ms, time_ms);
                }
                if step.fps > Some(0.0) {
                    keep_earliest(&mut self.frames_ms, time_ms);
                }
                &mut self.status_ms
            }
            (_, Some("gateway_receive_stream_request")) => &mut self.request_ms,
            (_, Some("gateway_send_first_ingest_segment")) => &mut self.ingest_sent_ms,
            (_, Some("runner_send_first_processed_segment")) => &mut self.runner_sent_ms,
            (_, Some("gateway_receive_first_processed_segment")) => &mut self.first_segment_ms,
            (_, Some("gateway_receive_few_processed_segments")) => &mut self.few_segments_ms,
            (_, Some("orchestrator_swap")) => &mut self.swap_ms,
            _ => return,
        };
        keep_earliest(moment, time_ms);
        self.stream_id.offer(time_ms, step.stream_id);
        self.orchestrator.offer(time_ms, step.orchestrator);
    }

    /// When the first of all steps happened.
    pub fn earliest_ms(&self) -> Option<i64> {
        let steps = [
            self.request_ms,
            self.ingest_sent_ms,
            self.runner_sent_ms,
            self.first_segment_ms,
            self.few_segments_ms,
            self.swap_ms,
            self.status_ms,
        ];
        steps.into_iter().flatten().min()
    }

    /// The row, from what happened up to `due_ms`.
    pub fn startup<'a>(&'a self, request_id: &'a str, due_ms: i64) -> Startup<'a> {
        let known = |moment: Option<i64>| moment.filter(|time_ms| *time_ms <= due_ms);
        let between = |start: Option<i64>, end: Option<i64>| {
            let difference_ms = known(end)? - known(start)?;
            (difference_ms >= 0).then_some(difference_ms)
        };
        let status_seen = known(self.status_ms).is_some();
        let output_viable = known(self.loaded_ms).is_some() && known(self.frames_ms).is_some();
        Startup {
            request_id,
            stream_id: self.stream_id.until(due_ms),
            orchestrator: self.orchestrator.until(due_ms),
            requested: known(self.request_ms).is_some(),
            first_frame: known(self.first_segment_ms).is_some(),
            playable: known(self.few_segments_ms).is_some(),
            swapped: known(self.swap_ms).is_some(),
            status_seen,
            output_viable: status_seen.then_some(output_viable),
            startup_latency_ms: between(self.first_segment_ms, self.few_segments_ms),
            prompt_to_playable_ms: between(self.request_ms, self.few_segments_ms),
            e2e_latency_ms: between(self.ingest_sent_ms, self.runner_sent_ms),
        }
    }
}
