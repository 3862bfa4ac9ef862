//! The results, as questions that an operator of the network would ask.

use super::{CRASHED, tidemark};
use crate::process;
use anyhow::Result;

/// A question and the query that answers it.
struct Question {
    title: &'static str,
    query: &'static str,
}

const QUESTIONS: [Question; 6] = [
    Question {
        title: "How many rows did each metric give?",
        query: "SELECT metric, COUNT(*) AS rows, COUNT(DISTINCT key) AS keys, MIN(event_time) AS first, \
                MAX(event_time) AS last FROM metrics GROUP BY metric ORDER BY metric",
    },
    Question {
        title: "How long does a viewer wait for the first frame? (prompt-to-first-frame, ms)",
        query: "SELECT COUNT(*) AS requests, COUNT(*) FILTER (WHERE matched) AS answered, \
                CAST(approx_percentile_cont(latency_ms, 0.5) AS BIGINT) AS p50_ms, \
                CAST(approx_percentile_cont(latency_ms, 0.9) AS BIGINT) AS p90_ms, \
                CAST(approx_percentile_cont(latency_ms, 0.99) AS BIGINT) AS p99_ms FROM prompt_to_first_frame",
    },
    Question {
        title: "Do streams start? (startup-latency: requests and the time until they are playable, ms)",
        query: "SELECT COUNT(*) FILTER (WHERE requested) AS requested, COUNT(*) FILTER (WHERE playable) AS playable, \
                COUNT(*) FILTER (WHERE swapped) AS swapped, \
                CAST(approx_percentile_cont(startup_latency_ms, 0.5) AS BIGINT) AS startup_p50_ms, \
                CAST(approx_percentile_cont(startup_latency_ms, 0.9) AS BIGINT) AS startup_p90_ms FROM startup_latency",
    },
    Question {
        title: "How steady are the streams? (jitter-coefficient by minute: σ/μ of the frame rate, good is at most 0.1)",
        query: "SELECT pipeline, COUNT(*) AS minutes, ROUND(AVG(mean_fps), 1) AS mean_fps, \
                ROUND(approx_percentile_cont(jitter, 0.5), 3) AS jitter_p50, \
                ROUND(approx_percentile_cont(jitter, 0.9), 3) AS jitter_p90, \
                ROUND(100.0 * COUNT(*) FILTER (WHERE jitter <= 0.1) / COUNT(jitter), 1) AS good_percent \
                FROM jitter_coefficient GROUP BY pipeline ORDER BY minutes DESC",
    },
    Question {
        title: "Which orchestrators serve best? (sla-score by hour: 0 to 100)",
        query: "SELECT key AS orchestrator, COUNT(score) AS hours, ROUND(AVG(score), 1) AS mean_score, \
                ROUND(AVG(reliability), 2) AS mean_reliability, ROUND(AVG(quality), 2) AS mean_quality, \
                SUM(requested) AS requests FROM sla_score WHERE score IS NOT NULL \
                GROUP BY key ORDER BY mean_score DESC LIMIT 5",
    },
    Question {
        title: "What could not be used, and why? (dead letters: kept with position, reason and payload)",
        query: "SELECT reason, COUNT(*) AS records, COALESCE(string_agg(DISTINCT metric, ', '), '') AS metric, \
                substr(MIN(detail), 1, 48) AS for_example FROM dead_letters GROUP BY reason ORDER BY records DESC",
    },
];

/// Asks them all.
pub(super) fn show() -> Result<()> {
    for Question { title, query } in &QUESTIONS {
        println!("\n  {title}");
        let answer = process::output_of(tidemark().args(["sql", "--data", CRASHED, query]))?;
        // The last line counts the rows that everybody sees.
        let rows = answer.lines().filter(|line| line.starts_with(['┌', '│', '╞', '└']));
        rows.for_each(|line| println!("  {line}"));
    }
    Ok(())
}
