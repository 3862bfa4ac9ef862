//! One stream's story: what it was asked for, what came out, and what happened on the way.

use super::panel::Panel;
use super::{CLICKHOUSE, Dashboard, Row, data_source};
use serde_json::{Value, json};

/// The data of an event. Republished events carry it as a text.
const DATA: &str = "if(JSONType(raw, 'data') = 'String', JSONExtractString(raw, 'data'), JSONExtractRaw(raw, 'data'))";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "tidemark-stream",
        title: "One stream's story",
        about: "Everything that is known of a stream, from its request to its end.",
        from: "now-3h",
        refresh: "30s",
        variables: vec![stream()],
        rows: vec![
            Row { title: "Starts", height: 7, panels: vec![starts()] },
            Row { title: "What came out", height: 8, panels: output() },
            Row { title: "What went in", height: 7, panels: ingest() },
            Row { title: "What happened", height: 12, panels: happened() },
        ],
    }
}

/// The streams of the time that is shown, the newest first.
fn stream() -> Value {
    let sql = "SELECT key FROM output_fps WHERE $__timeFilter(event_time) GROUP BY key ORDER BY max(event_time) DESC, key \
               LIMIT 500";
    json!({
        "name": "stream",
        "label": "Stream",
        "type": "query",
        "datasource": data_source(CLICKHOUSE),
        "query": sql,
        "definition": sql,
        // On every change of the time range.
        "refresh": 2,
        "sort": 0,
        "multi": false,
        "includeAll": false,
    })
}

fn starts() -> Panel {
    Panel::table("Requests").sql(
        "SELECT first.event_time AS time, first.request_id AS request, first.gateway AS gateway,
         first.orchestrator AS orchestrator, first.latency_ms AS first_frame_ms,
         start.startup_latency_ms AS startup_ms, start.prompt_to_playable_ms AS playable_ms,
         way.latency_ms AS through_ms, outcome.outcome AS outcome, outcome.swaps AS swaps, outcome.errors AS errors
         FROM (SELECT * FROM prompt_to_first_frame FINAL
               WHERE $__timeFilter(event_time) AND stream_id = ${stream:sqlstring}) AS first
         LEFT JOIN (SELECT * FROM startup_latency FINAL WHERE stream_id = ${stream:sqlstring}) AS start USING (key)
         LEFT JOIN (SELECT * FROM e2e_latency FINAL WHERE stream_id = ${stream:sqlstring}) AS way USING (key)
         LEFT JOIN (SELECT * FROM startup_outcome FINAL WHERE stream_id = ${stream:sqlstring}) AS outcome USING (key)
         ORDER BY time LIMIT 100",
    )
}

fn output() -> Vec<Panel> {
    vec![
        Panel::lines("Frames per second", "none").sql(
            "SELECT event_time AS time, mean_fps AS mean, p50_fps AS median, p95_fps AS p95, min_fps AS least
             FROM output_fps FINAL WHERE $__timeFilter(event_time) AND key = ${stream:sqlstring} ORDER BY time",
        ),
        Panel::lines("Jitter coefficient", "none").about("The target is 0.1.").thresholds(&[(0.1, "red")]).sql(
            "SELECT event_time AS time, jitter FROM jitter_coefficient FINAL
             WHERE $__timeFilter(event_time) AND key = ${stream:sqlstring} ORDER BY time",
        ),
    ]
}

fn ingest() -> Vec<Panel> {
    let query = |columns: &str| {
        format!(
            "SELECT event_time AS time, {columns} FROM ingest_quality FINAL
             WHERE $__timeFilter(event_time) AND key = ${{stream:sqlstring}} ORDER BY time"
        )
    };
    vec![
        Panel::lines("Jitter and round trip", "ms")
            .sql(&query("mean_jitter_ms AS jitter, max_jitter_ms AS worst, mean_rtt_ms AS round_trip")),
        Panel::lines("Loss", "percent").sql(&query("packet_loss_pct AS in_window, connection_loss_pct AS in_all")),
        Panel::lines("Reports of a bad connection", "percentunit").max(1.0).sql(&query("bad_share AS share")),
    ]
}

fn happened() -> Vec<Panel> {
    vec![
        Panel::states("State").about("As the gateway reports it, every ten seconds.").sql(&format!(
            "SELECT event_time AS time, JSONExtractString({DATA}, 'state') AS state FROM events
             WHERE type = 'ai_stream_status' AND $__timeFilter(event_time)
             AND JSONExtractString({DATA}, 'stream_id') = ${{stream:sqlstring}} ORDER BY time"
        )),
        Panel::table("Events").about("Traces and errors, without the regular reports.").sql(&format!(
            "SELECT event_time AS time, type, JSONExtractString({DATA}, 'type') AS what,
             JSONExtractString({DATA}, 'request_id') AS request, JSONExtractString({DATA}, 'message') AS message
             FROM events WHERE type IN ('stream_trace', 'ai_stream_events') AND $__timeFilter(event_time)
             AND JSONExtractString({DATA}, 'stream_id') = ${{stream:sqlstring}} ORDER BY time LIMIT 500"
        )),
    ]
}
