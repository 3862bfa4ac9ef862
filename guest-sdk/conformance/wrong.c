/* The jitter coefficient, right unless it is compiled with one of the mistakes that the conformance suite has to find:
 *
 *   WRONG_OUTPUT       the deviation of a sample instead of the population's
 *   WRONG_ORDER        the text that came last instead of the latest one
 *   WRONG_FORGETFUL    the state of before is not read
 *   WRONG_REMEMBERING  something is kept beside the state, from call to call
 *   WRONG_STATE        two members of the state stand the other way round: rows are right, and nobody else can read it
 *   WRONG_DESCRIBE     it says that a column is never null that sometimes is
 */
#include <math.h>
#include <tidemark.h>

TM_INPUT(status,
    (double, fps, "data.inference_status.fps"),
    (tm_text, orchestrator, "data.orchestrator_info.address"),
    (tm_text, pipeline, "data.pipeline"))

#ifdef WRONG_STATE
TM_STATE(frame_rates,
    (uint64_t, samples),
    (uint64_t, zero_samples),
    (double, squares),
    (double, mean),
    (tm_latest_text, orchestrator),
    (tm_latest_text, pipeline))
#else
TM_STATE(frame_rates,
    (uint64_t, samples),
    (uint64_t, zero_samples),
    (double, mean),
    (double, squares),
    (tm_latest_text, orchestrator),
    (tm_latest_text, pipeline))
#endif

#ifdef WRONG_FORGETFUL
#define decode_frame_rates(bytes, state) ((void)(bytes), decode_frame_rates((tm_text){0}, state))
#endif

#ifdef WRONG_DESCRIBE
TM_OUTPUT(jitter,
    (int64_t, samples),
    (int64_t, zero_samples),
    (double, mean_fps, nullable),
    (double, jitter, nullable),
    (tm_text, orchestrator),
    (tm_text, pipeline, nullable))
#else
TM_OUTPUT(jitter,
    (int64_t, samples),
    (int64_t, zero_samples),
    (double, mean_fps, nullable),
    (double, jitter, nullable),
    (tm_text, orchestrator, nullable),
    (tm_text, pipeline, nullable))
#endif

static void update(frame_rates *rates, const status *status, tm_context *context) {
    (void)context;
#ifdef WRONG_ORDER
    if (status->orchestrator) rates->orchestrator = (tm_latest_text){true, {status->event_time_ms, *status->orchestrator}};
#else
    tm_offer_latest(&rates->orchestrator, status->event_time_ms, status->orchestrator);
#endif
    tm_offer_latest(&rates->pipeline, status->event_time_ms, status->pipeline);
    if (status->fps == NULL) return;
    double fps = *status->fps;
    rates->samples += 1;
    rates->zero_samples += fps == 0.0;
    double distance = fps - rates->mean;
    rates->mean += distance / (double)rates->samples;
    rates->squares += distance * (fps - rates->mean);
}

static void close_window(frame_rates *rates, tm_close_reason reason, tm_context *context) {
    (void)reason;
    double degrees = (double)rates->samples;
#ifdef WRONG_OUTPUT
    degrees -= 1.0;
#endif
    double coefficient = sqrt(rates->squares / degrees) / rates->mean;
    int64_t samples = (int64_t)rates->samples;
#ifdef WRONG_REMEMBERING
    static int64_t closed;
    samples += closed++;
#endif
#ifdef WRONG_DESCRIBE
    const tm_text *latest = tm_latest(&rates->orchestrator);
    tm_text orchestrator = latest ? *latest : tm_text_of("");
#else
    const tm_text *orchestrator = tm_latest(&rates->orchestrator);
#endif
    emit_jitter(context, (jitter){
        .samples = samples,
        .zero_samples = (int64_t)rates->zero_samples,
        .mean_fps = rates->samples > 0 ? &rates->mean : NULL,
        .jitter = rates->samples >= 2 && rates->mean != 0.0 ? &coefficient : NULL,
        .orchestrator = orchestrator,
        .pipeline = tm_latest(&rates->pipeline),
    });
}

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
