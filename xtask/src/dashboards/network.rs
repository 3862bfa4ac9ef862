//! The network: how fast, how steady and how reliable streams are, over all of them and by orchestrator.

use super::panel::Panel;
use super::{Dashboard, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "tidemark-network",
        title: "Network overview",
        about: "Latency, jitter, outcomes and SLA of all streams.",
        from: "now-3h",
        refresh: "10s",
        variables: Vec::new(),
        rows: vec![
            Row { title: "At a glance", height: 4, panels: at_a_glance() },
            Row { title: "Latency", height: 8, panels: latency() },
            Row { title: "Steadiness", height: 8, panels: steadiness() },
            Row { title: "Reliability", height: 8, panels: reliability() },
            Row { title: "Orchestrators", height: 10, panels: orchestrators() },
        ],
    }
}

fn at_a_glance() -> Vec<Panel> {
    vec![
        Panel::number("Streams", "short")
            .about("Streams with a status in the time that is shown.")
            .sql("SELECT uniqExact(key) AS streams FROM output_fps WHERE $__timeFilter(event_time)"),
        Panel::number("Requests", "short")
            .sql("SELECT uniqExact(key) AS requests FROM prompt_to_first_frame WHERE $__timeFilter(event_time)"),
        Panel::number("First frame, median", "ms").thresholds(&[(5_000.0, "yellow"), (10_000.0, "red")]).sql(
            "SELECT quantile(0.5)(latency_ms) AS median FROM prompt_to_first_frame FINAL
             WHERE $__timeFilter(event_time)",
        ),
        Panel::number("Steady minutes", "percentunit")
            .about("Share of streams' minutes whose jitter coefficient is within the target of 0.1.")
            .sql(
                "SELECT countIf(jitter <= 0.1) / countIf(jitter IS NOT NULL) AS steady FROM jitter_coefficient FINAL
                 WHERE $__timeFilter(event_time)",
            ),
        Panel::number("Swapped", "percentunit")
            .about("Share of requests whose orchestrator was swapped. The target is less than 5 %.")
            .thresholds(&[(0.05, "red")])
            .sql(
                "SELECT countIf(swaps > 0) / count() AS swapped FROM startup_outcome FINAL
                 WHERE $__timeFilter(event_time)",
            ),
        Panel::number("Failed", "percentunit")
            .about("Share of requests that failed without an excuse.")
            .thresholds(&[(0.01, "yellow"), (0.05, "red")])
            .sql(
                "SELECT countIf(outcome = 'failed') / count() AS failed FROM startup_outcome FINAL
                 WHERE $__timeFilter(event_time)",
            ),
    ]
}

fn latency() -> Vec<Panel> {
    vec![
        Panel::lines("Prompt to first frame", "ms")
            .about("From the stream request to the first processed segment.")
            .sql(&percentiles("prompt_to_first_frame", "latency_ms")),
        Panel::lines("Startup", "ms")
            .about("From the first to the third processed segment.")
            .sql(&percentiles("startup_latency", "startup_latency_ms")),
        Panel::lines("Through gateway and runner", "ms")
            .about("From the first ingest segment at the gateway to the first processed one of the runner.")
            .sql(&percentiles("e2e_latency", "latency_ms")),
    ]
}

fn percentiles(table: &str, column: &str) -> String {
    format!(
        "SELECT $__timeInterval(event_time) AS time, quantile(0.5)({column}) AS p50, quantile(0.9)({column}) AS p90,
         quantile(0.99)({column}) AS p99 FROM {table} FINAL
         WHERE $__timeFilter(event_time) AND {column} IS NOT NULL GROUP BY time ORDER BY time"
    )
}

/// Upper bounds of the jitter coefficients that are counted together.
const JITTER: [&str; 7] = ["0.02", "0.05", "0.1", "0.2", "0.4", "0.8", "1.6"];

fn steadiness() -> Vec<Panel> {
    let buckets = JITTER.iter().enumerate().map(|(place, upper)| {
        let above = place.checked_sub(1).map_or("-1", |below| JITTER[below]);
        format!("countIf(jitter > {above} AND jitter <= {upper}) AS \"{upper}\"")
    });
    let buckets = buckets.collect::<Vec<_>>().join(", ");
    vec![
        Panel::heat_map("Jitter coefficient")
            .about("How many streams had which jitter, minute by minute. The target is 0.1.")
            .sql(&format!(
                "SELECT $__timeInterval(event_time) AS time, {buckets}, countIf(jitter > 1.6) AS \"+Inf\"
                 FROM jitter_coefficient FINAL WHERE $__timeFilter(event_time) GROUP BY time ORDER BY time"
            )),
        Panel::lines("Frames per second over streams", "none").sql(
            "SELECT $__timeInterval(event_time) AS time, quantile(0.1)(mean_fps) AS p10, quantile(0.5)(mean_fps) AS p50,
             quantile(0.9)(mean_fps) AS p90 FROM output_fps FINAL
             WHERE $__timeFilter(event_time) AND mean_fps IS NOT NULL GROUP BY time ORDER BY time",
        ),
        Panel::lines("Ingest", "none")
            .about("Median jitter (ms) and round trip (ms) of the video on its way in, and mean loss (%).")
            .sql(
                "SELECT $__timeInterval(event_time) AS time, quantile(0.5)(mean_jitter_ms) AS jitter_ms,
                 quantile(0.5)(mean_rtt_ms) AS round_trip_ms, avg(packet_loss_pct) AS loss_pct
                 FROM ingest_quality FINAL WHERE $__timeFilter(event_time) GROUP BY time ORDER BY time",
            ),
    ]
}

fn reliability() -> Vec<Panel> {
    vec![
        Panel::bars("Requests by outcome", "short").sql(
            "SELECT $__timeInterval(event_time) AS time, outcome, count() AS requests FROM startup_outcome FINAL
             WHERE $__timeFilter(event_time) GROUP BY time, outcome ORDER BY time",
        ),
        Panel::lines("Swap and failure rate, by hour", "percentunit")
            .about("Of all orchestrators' requests. The targets are less than 5 % and less than 1 %.")
            .thresholds(&[(0.05, "red")])
            .sql(
                "SELECT event_time AS time, sum(swapped) / sum(requested) AS swapped FROM swap_rate FINAL
                 WHERE $__timeFilter(event_time) GROUP BY time ORDER BY time",
            )
            .sql(
                "SELECT event_time AS time, sum(failed) / sum(requested) AS failed FROM failure_rate FINAL
                 WHERE $__timeFilter(event_time) GROUP BY time ORDER BY time",
            ),
        Panel::bars("Paid, by hour", "none").about("Face value of the tickets that gateways paid, in ETH.").sql(
            "SELECT event_time AS time, toFloat64(sum(toDecimal256OrZero(face_value_wei, 0))) / 1e18 AS eth
                 FROM payments FINAL WHERE $__timeFilter(event_time) GROUP BY time ORDER BY time",
        ),
    ]
}

fn orchestrators() -> Vec<Panel> {
    vec![
        Panel::lines("SLA score", "none").max(100.0).about("0 to 100, by orchestrator and hour.").sql(
            "SELECT event_time AS time, key AS orchestrator, score FROM sla_score FINAL
             WHERE $__timeFilter(event_time) AND score IS NOT NULL ORDER BY time, orchestrator",
        ),
        Panel::table("SLA by orchestrator").about("Over the time that is shown; the lowest scores first.").sql(
            "SELECT s.key AS orchestrator, round(sum(s.score * s.requested) / sum(s.requested), 1) AS score,
             sum(s.requested) AS requests, round(sum(s.playable) / sum(s.requested), 3) AS playable,
             round(sum(s.swapped) / sum(s.requested), 3) AS swapped, round(avg(s.reliability), 3) AS reliability,
             round(avg(s.quality), 3) AS quality
             FROM sla_score AS s FINAL WHERE $__timeFilter(s.event_time) AND s.score IS NOT NULL
             GROUP BY orchestrator ORDER BY score LIMIT 100",
        ),
    ]
}
