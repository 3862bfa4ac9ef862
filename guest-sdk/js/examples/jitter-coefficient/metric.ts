/**
 * Jitter coefficient: σ / μ of a stream's frame rate over a window, the population standard deviation over the mean.
 *
 * A steady stream is near 0; the target is at most 0.1. Mean and deviation are kept by Welford's method (*Note on a
 * method for calculating corrected sums of squares and products*, Technometrics 4, 1962), which does not lose digits
 * where the mean is large and the deviation small; two windows are merged by the formula of Chan, Golub and LeVeque
 * (*Updating formulae and a pairwise algorithm for computing sample variances*, 1979).
 *
 * A status without a frame rate is no sample; a frame rate of zero is one, and counted.
 */

import { State, float, fold, integer, latestText, nullable, text, tumbling } from "@tidemark/metric";

/** The frame rates of a window so far. */
class FrameRates extends State({
  samples: integer,
  zeroSamples: integer,
  mean: float,
  /** Sum of the squared distances from the mean. */
  squares: float,
  orchestrator: latestText,
  pipeline: latestText,
}) {
  /** Welford's step. */
  add(fps: number) {
    this.samples += 1;
    this.zeroSamples += Number(fps === 0);
    const distance = fps - this.mean;
    this.mean += distance / this.samples;
    this.squares += distance * (fps - this.mean);
  }

  /** Chan's step. An empty side changes nothing, not even a rounding. */
  merge(other: FrameRates) {
    this.orchestrator.merge(other.orchestrator);
    this.pipeline.merge(other.pipeline);
    const [own, others] = [this.samples, other.samples];
    const distance = other.mean - this.mean;
    if (own === 0) {
      [this.mean, this.squares] = [other.mean, other.squares];
    } else if (others !== 0) {
      this.mean = this.mean + (distance * others) / (own + others);
      this.squares = this.squares + other.squares + (distance * distance * own * others) / (own + others);
    }
    this.samples += other.samples;
    this.zeroSamples += other.zeroSamples;
  }

  get jitter(): number | null {
    return this.samples >= 2 && this.mean !== 0 ? Math.sqrt(this.squares / this.samples) / this.mean : null;
  }
}

export default fold({
  name: "jitter-coefficient",
  version: "1.0.0",
  doc: "The standard deviation of a stream's frame rate over its mean, each minute.",
  key: "data.stream_id",
  filter: { type: "ai_stream_status" },
  window: tumbling("60s"),

  input: {
    fps: float("data.inference_status.fps"),
    orchestrator: text("data.orchestrator_info.address"),
    pipeline: text("data.pipeline"),
  },
  state: FrameRates,
  output: {
    /** Statuses with a frame rate. */
    samples: integer,
    /** Those of them with a frame rate of zero. */
    zero_samples: integer,
    /** Null without samples. */
    mean_fps: nullable(float),
    /** Null for fewer than two samples and for a mean of zero. */
    jitter: nullable(float),
    /** The last one of the window. */
    orchestrator: nullable(text),
    /** The last one of the window. */
    pipeline: nullable(text),
  },

  update(rates, statuses) {
    for (const status of statuses) {
      rates.orchestrator.offer(status.eventTimeMs, status.orchestrator);
      rates.pipeline.offer(status.eventTimeMs, status.pipeline);
      if (status.fps !== null) rates.add(status.fps);
    }
  },

  close(rates, _reason, context) {
    context.emit({
      samples: rates.samples,
      zero_samples: rates.zeroSamples,
      mean_fps: rates.samples > 0 ? rates.mean : null,
      jitter: rates.jitter,
      orchestrator: rates.orchestrator.get(),
      pipeline: rates.pipeline.get(),
    });
  },

  merge: (rates, later) => rates.merge(later),
});
