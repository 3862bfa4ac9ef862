//! Failure rate: the share of an orchestrator's requests of which nothing came out. The target is less than 1 %.
//!
//! failure rate = failed requests / requests, from the rows of `startup-outcome`. A request failed if all its statuses
//! said LOADING, or if none had a frame rate above zero. Most that fail do both, and count once.
//!
//! It is not counted from the statuses themselves: those of a request that begins shortly before a full hour fall into
//! two windows, and in the first they say LOADING alone. A request belongs to the hour in which its session ends, and
//! counts for the orchestrator that took it first. One without any status is not known to have failed: it counts as
//! requested, and in `without_status`.

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Merge, Metric, Output, Rows, State};

/// The share of an orchestrator's requests of which nothing came out, each hour.
#[derive(Metric)]
#[metric(
    name = "failure-rate",
    key = "data.orchestrator",
    filter("type" = "metric.startup-outcome", "data.orchestrator" = present),
    window(tumbling = "1h"),
    mergeable
)]
pub struct FailureRate;

/// A row of `startup-outcome`: one request. Both are null for a request without a status.
#[derive(Input)]
pub struct Request {
    #[at = "data.loading_only"]
    loading_only: Option<bool>,
    #[at = "data.zero_fps"]
    zero_fps: Option<bool>,
}

/// The hour of an orchestrator so far.
#[derive(State, Default)]
pub struct Hour {
    requested: i64,
    failed: i64,
    loading_only: i64,
    zero_fps: i64,
    without_status: i64,
}

/// The share, and the counts that it comes from.
#[derive(Output)]
pub struct Failures {
    /// Requests.
    pub requested: i64,
    /// Those of which nothing came out.
    pub failed: i64,
    /// Those that never got beyond LOADING.
    pub loading_only: i64,
    /// Those that never had a frame rate above zero.
    pub zero_fps: i64,
    /// Those of which no status came.
    pub without_status: i64,
    /// `failed / requested`, from 0 to 1.
    pub failure_rate: f64,
}

impl Fold for FailureRate {
    type Input = Request;
    type State = Hour;
    type Output = Failures;

    fn update(&self, hour: &mut Hour, requests: Rows<Request>, _: &mut Context<Failures>) -> Result<(), Failure> {
        for request in requests {
            let (loading_only, zero_fps) = (request.loading_only == Some(true), request.zero_fps == Some(true));
            hour.requested += 1;
            hour.failed += i64::from(loading_only || zero_fps);
            hour.loading_only += i64::from(loading_only);
            hour.zero_fps += i64::from(zero_fps);
            hour.without_status += i64::from(request.loading_only.is_none());
        }
        Ok(())
    }

    fn close(&self, hour: &mut Hour, _: CloseReason, context: &mut Context<Failures>) -> Result<(), Failure> {
        let Hour { requested, failed, loading_only, zero_fps, without_status } = *hour;
        // An hour without a request has no window, so this divides by one at least.
        let failure_rate = failed as f64 / requested as f64;
        context.emit(Failures { requested, failed, loading_only, zero_fps, without_status, failure_rate });
        Ok(())
    }
}

impl Merge for FailureRate {
    fn merge(&self, hour: &mut Hour, later: Hour) -> Result<(), Failure> {
        hour.requested += later.requested;
        hour.failed += later.failed;
        hour.loading_only += later.loading_only;
        hour.zero_fps += later.zero_fps;
        hour.without_status += later.without_status;
        Ok(())
    }
}

tidemark_metric::export!(FailureRate);

#[cfg(test)]
mod tests;
