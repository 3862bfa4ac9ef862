//! Scores from 0 to 1 against benchmarks.

use tidemark_metric::Setting;

/// What latencies are usual; less is better.
#[derive(Setting)]
pub struct LatencyBenchmark {
    /// Half of all are shorter: scores 1.
    pub p50: f64,
    /// Nine of ten are shorter: scores 0.
    pub p90: f64,
}

/// What frame rates are usual; more is better.
#[derive(Setting)]
pub struct FrameRateBenchmark {
    /// Half of all are higher: scores 1.
    pub p50: f64,
    /// Nine of ten are higher: scores 0.
    pub p10: f64,
}

impl LatencyBenchmark {
    pub(crate) fn score(&self, mean: f64) -> f64 {
        linear(mean, self.p50, self.p90)
    }
}

impl FrameRateBenchmark {
    pub(crate) fn score(&self, mean: f64) -> f64 {
        linear(mean, self.p50, self.p10)
    }
}

/// 1 at `good` and better, 0 at `bad` and worse, linear between.
fn linear(value: f64, good: f64, bad: f64) -> f64 {
    ((bad - value) / (bad - good)).clamp(0.0, 1.0)
}

/// A raw score drawn to the neutral 0.5, the more the fewer samples there are; 0.5 where there is none.
pub(crate) fn shrink(raw: Option<f64>, samples: i64, full_samples: i64) -> f64 {
    let weight = (samples as f64 / full_samples as f64).min(1.0);
    raw.map_or(0.5, |raw| 0.5 + (raw - 0.5) * weight)
}

/// `sum / count`; nothing of nothing.
pub(crate) fn share(sum: f64, count: i64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_linear_between_the_benchmarks_and_flat_outside() {
        let latency = LatencyBenchmark { p50: 2000.0, p90: 6000.0 };
        assert_eq!([1000.0, 2000.0, 3000.0, 6000.0, 9000.0].map(|ms| latency.score(ms)), [1.0, 1.0, 0.75, 0.0, 0.0]);
        let frame_rate = FrameRateBenchmark { p50: 16.0, p10: 8.0 };
        assert_eq!([20.0, 16.0, 10.0, 8.0, 0.0].map(|fps| frame_rate.score(fps)), [1.0, 1.0, 0.25, 0.0, 0.0]);
    }

    #[test]
    fn few_samples_say_little() {
        assert_eq!([0, 5, 10, 99].map(|samples| shrink(Some(1.0), samples, 10)), [0.5, 0.75, 1.0, 1.0]);
        assert_eq!(shrink(None, 99, 10), 0.5);
    }
}
