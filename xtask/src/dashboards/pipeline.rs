//! The pipeline's own health: how far behind it is, how long epochs take, what it holds, and which modules fail.

use super::panel::Panel;
use super::{Dashboard, PROMETHEUS, Row, data_source};
use serde_json::{Value, json};

/// Which processes are looked at.
const WHICH: &str = "instance=~\"$instance\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "tidemark-pipeline",
        title: "Pipeline health",
        about: "Tidemark's own telemetry.",
        from: "now-1h",
        refresh: "10s",
        variables: vec![instance()],
        rows: vec![
            Row { title: "At a glance", height: 4, panels: at_a_glance() },
            Row { title: "How far", height: 8, panels: how_far() },
            Row { title: "Throughput", height: 8, panels: throughput() },
            Row { title: "Epochs", height: 8, panels: epochs() },
            Row { title: "State", height: 8, panels: state() },
            Row { title: "Modules", height: 8, panels: modules() },
            Row { title: "What was not used", height: 8, panels: not_used() },
            Row { title: "Process", height: 7, panels: process() },
        ],
    }
}

fn instance() -> Value {
    let query = "label_values(tidemark_ready, instance)";
    json!({
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": data_source(PROMETHEUS),
        "query": {"query": query, "refId": "instances"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

/// `name` of the processes that are looked at.
fn of(name: &str) -> String {
    format!("{name}{{{WHICH}}}")
}

/// The rate of a counter.
fn rate(name: &str) -> String {
    format!("rate({}[$__rate_interval])", of(name))
}

fn at_a_glance() -> Vec<Panel> {
    vec![
        Panel::number("Running", "none")
            .base("red")
            .thresholds(&[(1.0, "green")])
            .expression("{{instance}}", &of("tidemark_ready")),
        Panel::number("Records", "rps").expression("{{instance}}", &rate("tidemark_source_records_total")),
        Panel::number("Behind real time", "s")
            .about("How far the watermark is behind the clock.")
            .thresholds(&[(120.0, "yellow"), (600.0, "red")])
            .expression("{{instance}}", &format!("time() - {}", of("tidemark_watermark_seconds"))),
        Panel::number("Last commit", "s")
            .thresholds(&[(1.0, "yellow"), (10.0, "red")])
            .expression("{{instance}}", &of("tidemark_commit_seconds")),
        Panel::number("Quarantined metrics", "none")
            .thresholds(&[(1.0, "red")])
            .expression("{{instance}}", &format!("sum by (instance) ({})", of("tidemark_metric_quarantined"))),
        Panel::number("Up for", "s").expression("{{instance}}", &of("tidemark_uptime_seconds")),
    ]
}

fn how_far() -> Vec<Panel> {
    vec![
        Panel::lines("Watermark delay", "s")
            .about("Time between the clock and the watermark: of the source, and of each metric.")
            .expression("source", &format!("time() - {}", of("tidemark_watermark_seconds")))
            .expression("{{metric}}", &format!("time() - {}", of("tidemark_metric_watermark_seconds"))),
        Panel::lines("Kafka lag", "short")
            .about("Records that are there and not read yet, by partition.")
            .expression("{{partition}}", &of("tidemark_source_lag")),
    ]
}

fn throughput() -> Vec<Panel> {
    vec![
        Panel::lines("Records read", "rps").expression("{{instance}}", &rate("tidemark_source_records_total")),
        Panel::lines("Bytes read", "Bps").expression("{{instance}}", &rate("tidemark_source_bytes_total")),
        Panel::lines("Rows emitted", "rps")
            .expression("{{metric}}", &format!("sum by (metric) ({})", rate("tidemark_metric_rows_out_total"))),
    ]
}

fn epochs() -> Vec<Panel> {
    let quantile = |level: &str, name: &str| {
        format!("histogram_quantile({level}, sum by (le) ({}))", rate(&format!("{name}_bucket")))
    };
    let both = |title, name: &str| {
        Panel::lines(title, "s").expression("median", &quantile("0.5", name)).expression("p99", &quantile("0.99", name))
    };
    vec![
        both("Epoch time", "tidemark_epoch_duration_seconds")
            .about("From the first tick of an epoch until its rows are visible."),
        both("Commit time", "tidemark_commit_duration_seconds")
            .about("The part of it in which sinks and state are written."),
        Panel::lines("Epochs and checkpoints", "ops")
            .expression("epochs", &rate("tidemark_epoch_duration_seconds_count"))
            .expression("checkpoints", &rate("tidemark_checkpoints_total")),
    ]
}

fn state() -> Vec<Panel> {
    vec![
        Panel::lines("State size", "bytes")
            .expression("files", &of("tidemark_state_file_bytes"))
            .expression("write buffers", &of("tidemark_state_memtable_bytes"))
            .expression("cache", &of("tidemark_state_cache_bytes"))
            .expression("not committed yet", &of("tidemark_state_dirty_bytes")),
        Panel::lines("Keys", "short")
            .expression("all, about", &of("tidemark_state_estimated_keys"))
            .expression("in memory", &of("tidemark_state_cache_entries")),
        Panel::lines("Reads answered from memory", "percentunit").max(1.0).expression(
            "share",
            &format!(
                "{hits} / ({hits} + {misses})",
                hits = rate("tidemark_state_cache_hits_total"),
                misses = rate("tidemark_state_cache_misses_total")
            ),
        ),
    ]
}

fn modules() -> Vec<Panel> {
    vec![
        Panel::lines("Groups that failed", "ops")
            .about("Groups on which a module failed; each is a dead letter.")
            .expression("{{metric}}", &format!("sum by (metric) ({})", rate("tidemark_metric_poison_total"))),
        Panel::lines("Calls that failed", "ops")
            .expression("trap {{metric}}", &rate("tidemark_sandbox_traps_total"))
            .expression("time {{metric}}", &rate("tidemark_sandbox_timeouts_total"))
            .expression("memory {{metric}}", &rate("tidemark_sandbox_memory_limits_total"))
            .expression("nonsense {{metric}}", &rate("tidemark_sandbox_malformed_total")),
        Panel::lines("Time in modules", "percentunit")
            .about("Processor time per second, over all workers.")
            .expression("{{metric}}", &format!("sum by (metric) ({})", rate("tidemark_metric_guest_seconds_total"))),
    ]
}

fn not_used() -> Vec<Panel> {
    vec![
        Panel::bars("Dead letters", "ops")
            .expression("{{reason}}", &format!("sum by (reason) ({})", rate("tidemark_dead_letters_total"))),
        Panel::lines("Late rows", "ops")
            .expression("{{metric}}", &format!("sum by (metric) ({})", rate("tidemark_metric_late_total"))),
        Panel::lines("Duplicates and lookups without a row", "ops")
            .expression("duplicates", &rate("tidemark_duplicates_total"))
            .expression("lookups", &rate("tidemark_enrichment_misses_total")),
    ]
}

fn process() -> Vec<Panel> {
    vec![
        Panel::lines("Memory", "bytes").expression("{{instance}}", &of("process_resident_memory_bytes")),
        Panel::lines("Processor", "percentunit")
            .about("Cores that are busy.")
            .expression("{{instance}}", &rate("process_cpu_seconds_total")),
        Panel::lines("Open files", "short").expression("{{instance}}", &of("process_open_fds")),
    ]
}
