/* Jitter coefficient: σ / μ of a stream's frame rate over a window, the population standard deviation over the mean.
 *
 * A steady stream is near 0; the target is at most 0.1. Mean and deviation are kept by Welford's method (Note on a
 * method for calculating corrected sums of squares and products, Technometrics 4, 1962), which does not lose digits
 * where the mean is large and the deviation small; two windows are merged by the formula of Chan, Golub and LeVeque
 * (Updating formulae and a pairwise algorithm for computing sample variances, 1979).
 *
 * A status without a frame rate is no sample; a frame rate of zero is one, and counted.
 */
#include <math.h>
#include <tidemark.h>

/* What a status says of the stream. */
TM_INPUT(status,
    (double, fps, "data.inference_status.fps"),
    (tm_text, orchestrator, "data.orchestrator_info.address"),
    (tm_text, pipeline, "data.pipeline"))

/* The frame rates of a window so far. */
TM_STATE(frame_rates,
    (uint64_t, samples),
    (uint64_t, zero_samples),
    (double, mean),
    (double, squares), /* sum of the squared distances from the mean */
    (tm_latest_text, orchestrator),
    (tm_latest_text, pipeline))

/* The evenness of a window. */
TM_OUTPUT(jitter,
    (int64_t, samples),             /* statuses with a frame rate */
    (int64_t, zero_samples),        /* those of them with a frame rate of zero */
    (double, mean_fps, nullable),   /* null without samples */
    (double, jitter, nullable),     /* null for fewer than two samples and for a mean of zero */
    (tm_text, orchestrator, nullable),  /* the last one of the window */
    (tm_text, pipeline, nullable))      /* the last one of the window */

/* Welford's step. */
static void add(frame_rates *rates, double fps) {
    rates->samples += 1;
    rates->zero_samples += fps == 0.0;
    double distance = fps - rates->mean;
    rates->mean += distance / (double)rates->samples;
    rates->squares += distance * (fps - rates->mean);
}

static void update(frame_rates *rates, const status *status, tm_context *context) {
    (void)context;
    tm_offer_latest(&rates->orchestrator, status->event_time_ms, status->orchestrator);
    tm_offer_latest(&rates->pipeline, status->event_time_ms, status->pipeline);
    if (status->fps != NULL) add(rates, *status->fps);
}

static void close_window(frame_rates *rates, tm_close_reason reason, tm_context *context) {
    (void)reason;
    double coefficient = sqrt(rates->squares / (double)rates->samples) / rates->mean;
    emit_jitter(context, (jitter){
        .samples = (int64_t)rates->samples,
        .zero_samples = (int64_t)rates->zero_samples,
        .mean_fps = rates->samples > 0 ? &rates->mean : NULL,
        .jitter = rates->samples >= 2 && rates->mean != 0.0 ? &coefficient : NULL,
        .orchestrator = tm_latest(&rates->orchestrator),
        .pipeline = tm_latest(&rates->pipeline),
    });
}

/* Chan's step. An empty side changes nothing, not even a rounding. */
static void merge(frame_rates *rates, const frame_rates *later, tm_context *context) {
    (void)context;
    tm_merge_latest(&rates->orchestrator, &later->orchestrator);
    tm_merge_latest(&rates->pipeline, &later->pipeline);
    double own = (double)rates->samples, others = (double)later->samples;
    double distance = later->mean - rates->mean;
    if (rates->samples == 0) {
        rates->mean = later->mean;
        rates->squares = later->squares;
    } else if (later->samples != 0) {
        rates->mean = rates->mean + distance * others / (own + others);
        rates->squares = rates->squares + later->squares + distance * distance * own * others / (own + others);
    }
    rates->samples += later->samples;
    rates->zero_samples += later->zero_samples;
}

TM_FOLD(status, frame_rates, jitter,
    .name = "jitter-coefficient",
    .version = "1.0.0",
    .doc = "The standard deviation of a stream's frame rate over its mean, each minute.",
    .key = "data.stream_id",
    .filter = {TM_IS("type", "ai_stream_status")},
    .window = TM_TUMBLING(TM_MINUTE),
    .update = update,
    .close = close_window,
    .merge = merge)
