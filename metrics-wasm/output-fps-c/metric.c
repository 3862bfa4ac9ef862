/* Output frame rate: how many frames a second a stream puts out, by its statuses.
 *
 * - mean = Σ fps / n
 * - the p-quantile of the sorted rates x₀ … xₙ₋₁ is xⱼ + g · (xⱼ₊₁ − xⱼ), with j and g the whole and the fractional part
 *   of p · (n − 1): type 7 of Hyndman and Fan (Sample Quantiles in Statistical Packages, The American Statistician 50,
 *   1996).
 *
 * Rates of zero are left out and counted apart, as the network's own figures do. A status without a frame rate, or with
 * a negative one, is no sample. A quantile needs every sample: of more than MAX_RATES none is kept, and the quantiles
 * are null.
 *
 * This is ../output-fps in C: the same rows, and the same bytes of state.
 */
#include <math.h>
#include <stdlib.h>
#include <tidemark.h>

/* Most rates of a window that are kept: eleven hours of one stream, 32 KiB. */
enum { MAX_RATES = 4096 };

/* What a status says of the stream. */
TM_INPUT(status,
    (double, fps, "data.inference_status.fps"),
    (tm_text, orchestrator, "data.orchestrator_info.address"),
    (tm_text, pipeline, "data.pipeline"))

TM_LIST(doubles, double)
TM_OPTIONAL(optional_double, double)

/* The frame rates of a window so far. */
TM_STATE(frame_rates,
    (uint64_t, samples),
    (uint64_t, zero_samples),
    (double, sum),
    (doubles, rates), /* the samples, in no order; none once there were too many */
    (optional_double, min),
    (optional_double, max),
    (tm_latest_text, orchestrator),
    (tm_latest_text, pipeline))

/* The frame rate of a window. All figures leave zeros out, and are null where nothing else came. */
TM_OUTPUT(frame_rate,
    (int64_t, samples),                 /* statuses with a frame rate above zero */
    (int64_t, zero_samples),            /* statuses with a frame rate of zero */
    (double, mean_fps, nullable),       /* mean */
    (double, p50_fps, nullable),        /* median; null for too many samples */
    (double, p95_fps, nullable),        /* 95th percentile; null for too many samples */
    (double, min_fps, nullable),        /* least */
    (double, max_fps, nullable),        /* greatest */
    (tm_text, orchestrator, nullable),  /* the last one of the window */
    (tm_text, pipeline, nullable))      /* the last one of the window */

/* Keeps samples that are counted already, while all of them fit. */
static void keep(frame_rates *rates, const double *more, size_t count) {
    if (rates->samples > MAX_RATES) {
        rates->rates = (doubles){0};
        return;
    }
    for (size_t place = 0; place < count; place++) add_to_doubles(&rates->rates, more[place]);
}

static void widen(frame_rates *rates, double fps) {
    if (!rates->min.is_some || fps < rates->min.value) rates->min = (optional_double){true, fps};
    if (!rates->max.is_some || fps > rates->max.value) rates->max = (optional_double){true, fps};
}

static void update(frame_rates *rates, const status *status, tm_context *context) {
    (void)context;
    tm_offer_latest(&rates->orchestrator, status->event_time_ms, status->orchestrator);
    tm_offer_latest(&rates->pipeline, status->event_time_ms, status->pipeline);
    if (status->fps == NULL) return;
    double fps = *status->fps;
    if (fps == 0.0) {
        rates->zero_samples += 1;
    } else if (fps > 0.0) {
        rates->samples += 1;
        rates->sum += fps;
        keep(rates, &fps, 1);
        widen(rates, fps);
    }
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The p-quantile of sorted rates, by the formula at the top of this file. */
static double quantile(const doubles *sorted, double p) {
    double place = p * (double)(sorted->length - 1), whole = floor(place);
    double below = sorted->items[(size_t)whole], above = sorted->items[(size_t)ceil(place)];
    return below + (place - whole) * (above - below);
}

static void close_window(frame_rates *rates, tm_close_reason reason, tm_context *context) {
    (void)reason;
    doubles *kept = &rates->rates;
    double mean = rates->sum / (double)rates->samples, p50 = 0.0, p95 = 0.0;
    if (kept->length > 0) {
        qsort(kept->items, kept->length, sizeof *kept->items, ascending);
        p50 = quantile(kept, 0.5);
        p95 = quantile(kept, 0.95);
    }
    emit_frame_rate(context, (frame_rate){
        .samples = (int64_t)rates->samples,
        .zero_samples = (int64_t)rates->zero_samples,
        .mean_fps = rates->samples > 0 ? &mean : NULL,
        .p50_fps = kept->length > 0 ? &p50 : NULL,
        .p95_fps = kept->length > 0 ? &p95 : NULL,
        .min_fps = rates->min.is_some ? &rates->min.value : NULL,
        .max_fps = rates->max.is_some ? &rates->max.value : NULL,
        .orchestrator = tm_latest(&rates->orchestrator),
        .pipeline = tm_latest(&rates->pipeline),
    });
}

static void merge(frame_rates *rates, const frame_rates *later, tm_context *context) {
    (void)context;
    rates->samples += later->samples;
    rates->zero_samples += later->zero_samples;
    rates->sum += later->sum;
    keep(rates, later->rates.items, later->rates.length);
    if (later->min.is_some) widen(rates, later->min.value);
    if (later->max.is_some) widen(rates, later->max.value);
    tm_merge_latest(&rates->orchestrator, &later->orchestrator);
    tm_merge_latest(&rates->pipeline, &later->pipeline);
}

TM_FOLD(status, frame_rates, frame_rate,
    .name = "output-fps",
    .version = "1.0.0",
    .doc = "Mean, median, 95th percentile and extremes of a stream's frame rate, each minute.",
    .key = "data.stream_id",
    .filter = {TM_IS("type", "ai_stream_status")},
    .window = TM_TUMBLING(TM_MINUTE),
    .update = update,
    .close = close_window,
    .merge = merge)
