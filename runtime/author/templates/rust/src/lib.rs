//! Requests of a service that took too long, each minute.

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Metric, Output, Rows, State};

/// Requests of a service that took too long, each minute.
#[derive(Metric)]
#[metric(
    name = "{{name}}",
    key = "data.service",
    filter("type" = "request", "data.user" = present),
    window(tumbling = "1m")
)]
pub struct SlowRequests {
    /// Milliseconds from which a request is slow.
    #[setting(default = 500)]
    limit_ms: i64,
}

#[derive(Input)]
pub struct Request<'a> {
    #[at = "data.duration_ms"]
    duration_ms: Option<i64>,
    #[at = "data.path"]
    path: Option<&'a str>,
}

/// The requests of a minute so far.
#[derive(State, Default)]
pub struct Minute {
    requests: i64,
    slow: i64,
    slowest_ms: i64,
    slowest_path: Option<String>,
}

#[derive(Output)]
pub struct Slow<'a> {
    pub requests: i64,
    pub slow: i64,
    pub slowest_path: Option<&'a str>,
}

impl Fold for SlowRequests {
    type Input = Request<'static>;
    type State = Minute;
    type Output = Slow<'static>;

    fn update(&self, minute: &mut Minute, requests: Rows<Request>, _: &mut Context<Slow>) -> Result<(), Failure> {
        for request in requests {
            let duration_ms = request.duration_ms.unwrap_or(0);
            minute.requests += 1;
            minute.slow += i64::from(duration_ms > self.limit_ms);
            if duration_ms > minute.slowest_ms {
                minute.slowest_ms = duration_ms;
                minute.slowest_path = request.path.map(str::to_owned);
            }
        }
        Ok(())
    }

    fn close(&self, minute: &mut Minute, _: CloseReason, context: &mut Context<Slow>) -> Result<(), Failure> {
        context.emit(Slow {
            requests: minute.requests,
            slow: minute.slow,
            slowest_path: minute.slowest_path.as_deref(),
        });
        Ok(())
    }
}

tidemark_metric::export!(SlowRequests);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemark_metric::testing::MetricTestDriver;

    #[test]
    fn requests_over_the_limit_are_slow() {
        let mut driver = MetricTestDriver::new(SlowRequests { limit_ms: 500 });
        for (timestamp, duration_ms, path) in [(1_000, 700, "/report"), (2_000, 20, "/")] {
            driver.event(&format!(
                r#"{{"type": "request", "timestamp": {timestamp},
                     "data": {{"service": "api", "user": "u", "duration_ms": {duration_ms}, "path": "{path}"}}}}"#
            ));
        }
        driver.advance_watermark(59_999);

        let row = &driver.rows()[0];
        assert_eq!((row.key, row.window_start_ms), ("api", 0));
        assert_eq!((row.requests, row.slow, row.slowest_path), (2, 1, Some("/report")));
    }
}
