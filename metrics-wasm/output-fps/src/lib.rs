//! Output frame rate: how many frames a second a stream puts out, by its statuses.
//!
//! - mean = Σ fps / n
//! - the p-quantile of the sorted rates x₀ … xₙ₋₁ is xⱼ + g · (xⱼ₊₁ − xⱼ), with j and g the whole and the fractional part of
//!   p · (n − 1). It is type 7 of Hyndman and Fan (*Sample Quantiles in Statistical Packages*, The American
//!   Statistician 50, 1996): what R, NumPy, `percentile_cont` of SQL and ClickHouse's `quantileExactInclusive` compute.
//!
//! Rates of zero are left out and counted apart, as the network's own figures do: they say that nothing came out, not
//! how fast. A status without a frame rate, or with a negative one, is no sample.
//!
//! **Bound.** A quantile needs every sample. A status comes every ten seconds, so a window holds a few; of more than
//! `MAX_RATES` none is kept, and the quantiles are null: those of a part would be a quiet lie. Everything else stays
//! exact.

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, LatestText, Merge, Metric, Output, Rows, State};

/// Most rates of a window that are kept: eleven hours of one stream, 32 KiB.
const MAX_RATES: usize = 4096;

/// Mean, median, 95th percentile and extremes of a stream's frame rate, each minute.
#[derive(Metric)]
#[metric(
    name = "output-fps",
    key = "data.stream_id",
    filter("type" = "ai_stream_status"),
    window(tumbling = "60s"),
    mergeable
)]
pub struct OutputFps;

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
    sum: f64,
    /// The samples, in no order; none once there were too many.
    rates: Vec<f64>,
    min: Option<f64>,
    max: Option<f64>,
    orchestrator: LatestText,
    pipeline: LatestText,
}

/// The frame rate of a window. All figures leave zeros out, and are null where nothing else came.
#[derive(Output)]
pub struct FrameRate<'a> {
    /// Statuses with a frame rate above zero.
    pub samples: i64,
    /// Statuses with a frame rate of zero.
    pub zero_samples: i64,
    /// Mean.
    pub mean_fps: Option<f64>,
    /// Median; null for too many samples.
    pub p50_fps: Option<f64>,
    /// 95th percentile; null for too many samples.
    pub p95_fps: Option<f64>,
    /// Least.
    pub min_fps: Option<f64>,
    /// Greatest.
    pub max_fps: Option<f64>,
    /// The last one of the window.
    pub orchestrator: Option<&'a str>,
    /// The last one of the window.
    pub pipeline: Option<&'a str>,
}

impl Fold for OutputFps {
    type Input = Status<'static>;
    type State = FrameRates;
    type Output = FrameRate<'static>;

    fn update(&self, rates: &mut FrameRates, rows: Rows<Status>, _: &mut Context<FrameRate>) -> Result<(), Failure> {
        for status in rows {
            rates.orchestrator.offer(status.event_time_ms, status.orchestrator);
            rates.pipeline.offer(status.event_time_ms, status.pipeline);
            match status.fps {
                Some(0.0) => rates.zero_samples += 1,
                Some(fps) if fps > 0.0 => rates.add(fps),
                _ => {}
            }
        }
        Ok(())
    }

    fn close(&self, rates: &mut FrameRates, _: CloseReason, context: &mut Context<FrameRate>) -> Result<(), Failure> {
        rates.rates.sort_unstable_by(f64::total_cmp);
        context.emit(FrameRate {
            samples: rates.samples as i64,
            zero_samples: rates.zero_samples as i64,
            mean_fps: (rates.samples > 0).then(|| rates.sum / rates.samples as f64),
            p50_fps: quantile(&rates.rates, 0.5),
            p95_fps: quantile(&rates.rates, 0.95),
            min_fps: rates.min,
            max_fps: rates.max,
            orchestrator: rates.orchestrator.get(),
            pipeline: rates.pipeline.get(),
        });
        Ok(())
    }
}

impl Merge for OutputFps {
    fn merge(&self, rates: &mut FrameRates, later: FrameRates) -> Result<(), Failure> {
        rates.samples += later.samples;
        rates.zero_samples += later.zero_samples;
        rates.sum += later.sum;
        rates.keep(&later.rates);
        later.min.into_iter().chain(later.max).for_each(|fps| rates.widen(fps));
        rates.orchestrator.merge(later.orchestrator);
        rates.pipeline.merge(later.pipeline);
        Ok(())
    }
}

impl FrameRates {
    fn add(&mut self, fps: f64) {
        self.samples += 1;
        self.sum += fps;
        self.keep(&[fps]);
        self.widen(fps);
    }

    /// Keeps samples that are counted already, while all of them fit.
    fn keep(&mut self, rates: &[f64]) {
        if self.samples > MAX_RATES as u64 {
            self.rates = Vec::new();
        } else {
            self.rates.extend_from_slice(rates);
        }
    }

    fn widen(&mut self, fps: f64) {
        self.min = Some(self.min.map_or(fps, |min| min.min(fps)));
        self.max = Some(self.max.map_or(fps, |max| max.max(fps)));
    }
}

/// The `p`-quantile of `sorted`, by the formula at the top of this file; nothing of nothing.
fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let place = p * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + place.fract() * (above - below))
}

tidemark_metric::export!(OutputFps);

#[cfg(test)]
mod tests;
