//! Jitter coefficient: σ / μ of a stream's frame rate over a window, the population standard deviation over the mean.
//!
//! A steady stream is near 0; the target is at most 0.1. Mean and deviation are kept by Welford's method (*Note on a
//! method for calculating corrected sums of squares and products*, Technometrics 4, 1962), which does not lose digits
//! where the mean is large and the deviation small; two windows are merged by the formula of Chan, Golub and LeVeque
//! (*Updating formulae and a pairwise algorithm for computing sample variances*, 1979).
//!
//! A status without a frame rate is no sample; a frame rate of zero is one, and counted.

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, LatestText, Merge, Metric, Output, Rows, State};

/// The standard deviation of a stream's frame rate over its mean, each minute.
#[derive(Metric)]
#[metric(
    name = "jitter-coefficient",
    key = "data.stream_id",
    filter("type" = "ai_stream_status"),
    window(tumbling = "60s"),
    mergeable
)]
pub struct JitterCoefficient;

/// What a status says of the stream.
#[derive(Input)]
pub struct Status<'a> {
    #[at = "data.inference_status.fps"]
    fps: Option<f64>,
    #[at = "data.orchestrator_info.address"]
    orchestrator: Option<&'a str>,
    #[at = "data.pipeline"]
    pipeline: Option<&'a str>,
}

/// The frame rates of a window so far.
#[derive(State, Default)]
pub struct FrameRates {
    samples: u64,
    zero_samples: u64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    orchestrator: LatestText,
    pipeline: LatestText,
}

/// The evenness of a window.
#[derive(Output)]
pub struct Jitter<'a> {
    /// Statuses with a frame rate.
    pub samples: i64,
    /// Those of them with a frame rate of zero.
    pub zero_samples: i64,
    /// Null without samples.
    pub mean_fps: Option<f64>,
    /// Null for fewer than two samples and for a mean of zero.
    pub jitter: Option<f64>,
    /// The last one of the window.
    pub orchestrator: Option<&'a str>,
    /// The last one of the window.
    pub pipeline: Option<&'a str>,
}

impl Fold for JitterCoefficient {
    type Input = Status<'static>;
    type State = FrameRates;
    type Output = Jitter<'static>;

    fn update(&self, rates: &mut FrameRates, rows: Rows<Status>, _: &mut Context<Jitter>) -> Result<(), Failure> {
        for status in rows {
            rates.orchestrator.offer(status.event_time_ms, status.orchestrator);
            rates.pipeline.offer(status.event_time_ms, status.pipeline);
            if let Some(fps) = status.fps {
                rates.add(fps);
            }
        }
        Ok(())
    }

    fn close(&self, rates: &mut FrameRates, _: CloseReason, context: &mut Context<Jitter>) -> Result<(), Failure> {
        context.emit(Jitter {
            samples: rates.samples as i64,
            zero_samples: rates.zero_samples as i64,
            mean_fps: (rates.samples > 0).then_some(rates.mean),
            jitter: rates.jitter(),
            orchestrator: rates.orchestrator.get(),
            pipeline: rates.pipeline.get(),
        });
        Ok(())
    }
}

impl Merge for JitterCoefficient {
    fn merge(&self, rates: &mut FrameRates, later: FrameRates) -> Result<(), Failure> {
        rates.merge(later);
        Ok(())
    }
}

impl FrameRates {
    /// Welford's step.
    fn add(&mut self, fps: f64) {
        self.samples += 1;
        self.zero_samples += u64::from(fps == 0.0);
        let distance = fps - self.mean;
        self.mean += distance / self.samples as f64;
        self.squares += distance * (fps - self.mean);
    }

    /// Chan's step. An empty side changes nothing, not even a rounding.
    fn merge(&mut self, other: Self) {
        self.orchestrator.merge(other.orchestrator);
        self.pipeline.merge(other.pipeline);
        let (own, others) = (self.samples as f64, other.samples as f64);
        let distance = other.mean - self.mean;
        (self.mean, self.squares) = match (self.samples, other.samples) {
            (_, 0) => (self.mean, self.squares),
            (0, _) => (other.mean, other.squares),
            _ => (
                self.mean + distance * others / (own + others),
                self.squares + other.squares + distance * distance * own * others / (own + others),
            ),
        };
        self.samples += other.samples;
        self.zero_samples += other.zero_samples;
    }

    fn jitter(&self) -> Option<f64> {
        let deviation = (self.squares / self.samples as f64).sqrt();
        (self.samples >= 2 && self.mean != 0.0).then(|| deviation / self.mean)
    }
}

tidemark_metric::export!(JitterCoefficient);

#[cfg(test)]
mod tests;
