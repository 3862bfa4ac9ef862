//! Swap rate: the share of an orchestrator's requests that were swapped away from it. The target is less than 5 %.
//!
//! swap rate = swapped requests / requests, from the rows of `startup-outcome`. It is counted there and not from
//! `orchestrator_swap` traces themselves, because a rate needs its denominator: the trace of a request names no
//! orchestrator, so whose request it was is known only where all events of the request come together.
//!
//! A request counts for the orchestrator that took it first, once, however often it was swapped: the first swap is
//! that of the one who took it first. Requests that nobody took count for nobody. A request belongs to the hour in which
//! its session ends, because only then is it known that no swap came.

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Merge, Metric, Output, Rows, State};

/// The share of an orchestrator's requests that were swapped away from it, each hour.
#[derive(Metric)]
#[metric(
    name = "swap-rate",
    key = "data.orchestrator",
    filter("type" = "metric.startup-outcome", "data.orchestrator" = present),
    window(tumbling = "1h"),
    mergeable
)]
pub struct SwapRate;

/// A row of `startup-outcome`: one request.
#[derive(Input)]
pub struct Request {
    #[at = "data.swaps"]
    swaps: Option<i64>,
}

/// The hour of an orchestrator so far.
#[derive(State, Default)]
pub struct Hour {
    requested: i64,
    swapped: i64,
}

/// The share, and the counts that it comes from.
#[derive(Output)]
pub struct Swaps {
    /// Requests.
    pub requested: i64,
    /// Those of them that were swapped.
    pub swapped: i64,
    /// `swapped / requested`, from 0 to 1.
    pub swap_rate: f64,
}

impl Fold for SwapRate {
    type Input = Request;
    type State = Hour;
    type Output = Swaps;

    fn update(&self, hour: &mut Hour, requests: Rows<Request>, _: &mut Context<Swaps>) -> Result<(), Failure> {
        for request in requests {
            hour.requested += 1;
            hour.swapped += i64::from(request.swaps > Some(0));
        }
        Ok(())
    }

    fn close(&self, hour: &mut Hour, _: CloseReason, context: &mut Context<Swaps>) -> Result<(), Failure> {
        let Hour { requested, swapped } = *hour;
        // An hour without a request has no window, so this divides by one at least.
        context.emit(Swaps { requested, swapped, swap_rate: swapped as f64 / requested as f64 });
        Ok(())
    }
}

impl Merge for SwapRate {
    fn merge(&self, hour: &mut Hour, later: Hour) -> Result<(), Failure> {
        hour.requested += later.requested;
        hour.swapped += later.swapped;
        Ok(())
    }
}

tidemark_metric::export!(SwapRate);

#[cfg(test)]
mod tests;
