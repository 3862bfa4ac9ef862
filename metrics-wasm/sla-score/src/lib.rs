//! SLA score: how well an orchestrator serves in an hour, from 0 to 100, from the rows of three other metrics.
//!
//! - score = 100 · coverage · (0.7 · reliability + 0.3 · quality), within 0 and 100
//! - reliability = 0.4 · startup success + 0.2 · no swap + 0.4 · output viability, each a share of requested sessions
//! - quality = 0.6 · latency + 0.4 · frame rate, with latency = 0.6 · prompt to first frame + 0.4 · end to end
//! - coverage = signals seen / signals expected, at most 1; three are expected of each requested session: a status, a
//!   first processed segment, a few processed segments
//!
//! This is the score of the network's own analytics. Where that is silent, this is what is done here:
//!
//! - A quality score is that of the *mean* of the hour. Sums of milliseconds are exact, so rows may come in any order.
//! - The mean frame rate leaves zero samples out, as the network's frame-rate figures do: they count against output
//!   viability, and would count twice.
//! - A session whose output nobody reported is not counted against output viability; it is missing in coverage.
//! - An hour without a requested session has neither coverage, reliability nor score: they are null.
//! - Benchmarks come from the configuration; without one, the score that it is for is the neutral 0.5. One per pipeline
//!   and model takes one deployment of this metric for each.

mod quality;

pub use quality::{FrameRateBenchmark, LatencyBenchmark};
use quality::{share, shrink};
use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Merge, Metric, Output, Rows, State};

/// Samples from which a latency score counts in full.
const FULL_LATENCY_SAMPLES: i64 = 10;
/// Samples from which a frame-rate score counts in full.
const FULL_FRAME_RATE_SAMPLES: i64 = 30;
/// Signals that are expected of a requested session.
const SIGNALS_PER_SESSION: i64 = 3;

/// How well an orchestrator serves, from 0 to 100, each hour.
#[derive(Metric)]
#[metric(
    name = "sla-score",
    key = "data.orchestrator",
    filter(
        "type" = ["metric.prompt-to-first-frame", "metric.startup-latency", "metric.jitter-coefficient"],
        "data.orchestrator" = present
    ),
    window(tumbling = "1h"),
    mergeable
)]
pub struct SlaScore {
    /// Benchmark of prompt to first frame, in milliseconds.
    pub prompt_to_first_frame_ms: Option<LatencyBenchmark>,
    /// Benchmark of the end-to-end latency, in milliseconds.
    pub e2e_latency_ms: Option<LatencyBenchmark>,
    /// Benchmark of the output frame rate.
    pub fps: Option<FrameRateBenchmark>,
}

/// A row of one of the three metrics; each has some of these columns.
#[derive(Input)]
pub struct Measured {
    #[at = "data.latency_ms"]
    prompt_to_first_frame_ms: Option<i64>,
    #[at = "data.e2e_latency_ms"]
    e2e_latency_ms: Option<i64>,
    #[at = "data.requested"]
    requested: Option<bool>,
    #[at = "data.first_frame"]
    first_frame: Option<bool>,
    #[at = "data.playable"]
    playable: Option<bool>,
    #[at = "data.swapped"]
    swapped: Option<bool>,
    #[at = "data.status_seen"]
    status_seen: Option<bool>,
    #[at = "data.output_viable"]
    output_viable: Option<bool>,
    #[at = "data.samples"]
    samples: Option<i64>,
    #[at = "data.zero_samples"]
    zero_samples: Option<i64>,
    #[at = "data.mean_fps"]
    mean_fps: Option<f64>,
}

/// The hour of an orchestrator so far.
#[derive(State, Default)]
pub struct Hour {
    requested: i64,
    playable: i64,
    swapped: i64,
    not_viable: i64,
    signals: i64,
    first_frames: i64,
    first_frames_ms: i64,
    e2e_latencies: i64,
    e2e_latencies_ms: i64,
    frame_rates: i64,
    frame_rates_sum: f64,
}

/// The score, its parts, and the counts that they come from.
#[derive(Output)]
#[expect(missing_docs, reason = "the parts of the score are explained at the top of this file")]
pub struct Score {
    pub score: Option<f64>,
    pub coverage: Option<f64>,
    pub reliability: Option<f64>,
    pub quality: f64,
    pub startup_success: Option<f64>,
    pub no_swap: Option<f64>,
    pub output_viability: Option<f64>,
    pub prompt_to_first_frame_score: f64,
    pub e2e_latency_score: f64,
    pub fps_score: f64,
    pub requested: i64,
    pub playable: i64,
    pub swapped: i64,
    pub not_viable: i64,
    pub signals: i64,
    pub prompt_to_first_frame_samples: i64,
    pub e2e_latency_samples: i64,
    pub fps_samples: i64,
}

impl Fold for SlaScore {
    type Input = Measured;
    type State = Hour;
    type Output = Score;

    fn update(&self, hour: &mut Hour, rows: Rows<Measured>, _: &mut Context<Score>) -> Result<(), Failure> {
        rows.for_each(|row| hour.add(&row));
        Ok(())
    }

    fn close(&self, hour: &mut Hour, _: CloseReason, context: &mut Context<Score>) -> Result<(), Failure> {
        context.emit(self.score(hour));
        Ok(())
    }

    fn validate(&self) -> Result<(), Failure> {
        let latencies =
            [("prompt_to_first_frame_ms", &self.prompt_to_first_frame_ms), ("e2e_latency_ms", &self.e2e_latency_ms)];
        for (name, benchmark) in latencies {
            if benchmark.as_ref().is_some_and(|benchmark| benchmark.p90 <= benchmark.p50) {
                return Err(format!("{name}: p90 must be greater than p50").into());
            }
        }
        if self.fps.as_ref().is_some_and(|benchmark| benchmark.p10 >= benchmark.p50) {
            return Err("fps: p10 must be less than p50".into());
        }
        Ok(())
    }
}

impl Merge for SlaScore {
    fn merge(&self, hour: &mut Hour, later: Hour) -> Result<(), Failure> {
        hour.requested += later.requested;
        hour.playable += later.playable;
        hour.swapped += later.swapped;
        hour.not_viable += later.not_viable;
        hour.signals += later.signals;
        hour.first_frames += later.first_frames;
        hour.first_frames_ms += later.first_frames_ms;
        hour.e2e_latencies += later.e2e_latencies;
        hour.e2e_latencies_ms += later.e2e_latencies_ms;
        hour.frame_rates += later.frame_rates;
        hour.frame_rates_sum += later.frame_rates_sum;
        Ok(())
    }
}

impl Hour {
    fn add(&mut self, row: &Measured) {
        let yes = |column: Option<bool>| i64::from(column == Some(true));
        if row.requested == Some(true) {
            self.requested += 1;
            self.playable += yes(row.playable);
            self.swapped += yes(row.swapped);
            self.not_viable += i64::from(row.output_viable == Some(false));
            self.signals += yes(row.status_seen) + yes(row.first_frame) + yes(row.playable);
        }
        if let Some(latency_ms) = row.prompt_to_first_frame_ms {
            self.first_frames += 1;
            self.first_frames_ms += latency_ms;
        }
        if let Some(latency_ms) = row.e2e_latency_ms {
            self.e2e_latencies += 1;
            self.e2e_latencies_ms += latency_ms;
        }
        if let (Some(samples), Some(mean_fps)) = (row.samples, row.mean_fps) {
            self.frame_rates += samples - row.zero_samples.unwrap_or(0);
            self.frame_rates_sum += mean_fps * samples as f64;
        }
    }
}

impl SlaScore {
    fn score(&self, hour: &Hour) -> Score {
        let latency_score = |benchmark: &Option<LatencyBenchmark>, sum_ms: i64, samples: i64| {
            let raw =
                benchmark.as_ref().zip(share(sum_ms as f64, samples)).map(|(benchmark, mean)| benchmark.score(mean));
            shrink(raw, samples, FULL_LATENCY_SAMPLES)
        };
        let first_frame = latency_score(&self.prompt_to_first_frame_ms, hour.first_frames_ms, hour.first_frames);
        let e2e_latency = latency_score(&self.e2e_latency_ms, hour.e2e_latencies_ms, hour.e2e_latencies);
        let mean_fps = share(hour.frame_rates_sum, hour.frame_rates);
        let raw_fps = self.fps.as_ref().zip(mean_fps).map(|(benchmark, mean)| benchmark.score(mean));
        let fps = shrink(raw_fps, hour.frame_rates, FULL_FRAME_RATE_SAMPLES);
        let quality = 0.6 * (0.6 * first_frame + 0.4 * e2e_latency) + 0.4 * fps;

        let of_requested = |count: i64| share(count as f64, hour.requested);
        let startup_success = of_requested(hour.playable);
        let no_swap = of_requested(hour.requested - hour.swapped);
        let output_viability = of_requested(hour.requested - hour.not_viable);
        let coverage = share(hour.signals as f64, SIGNALS_PER_SESSION * hour.requested).map(|share| share.min(1.0));
        let reliability = match (startup_success, no_swap, output_viability) {
            (Some(startup), Some(swap), Some(output)) => Some(0.4 * startup + 0.2 * swap + 0.4 * output),
            _ => None,
        };
        let score = coverage
            .zip(reliability)
            .map(|(coverage, reliability)| (100.0 * coverage * (0.7 * reliability + 0.3 * quality)).clamp(0.0, 100.0));
        Score {
            score,
            coverage,
            reliability,
            quality,
            startup_success,
            no_swap,
            output_viability,
            prompt_to_first_frame_score: first_frame,
            e2e_latency_score: e2e_latency,
            fps_score: fps,
            requested: hour.requested,
            playable: hour.playable,
            swapped: hour.swapped,
            not_viable: hour.not_viable,
            signals: hour.signals,
            prompt_to_first_frame_samples: hour.first_frames,
            e2e_latency_samples: hour.e2e_latencies,
            fps_samples: hour.frame_rates,
        }
    }
}

tidemark_metric::export!(SlaScore);

#[cfg(test)]
mod tests;
