//! What the sections that concern Kafka say together: which job reads and writes which events, and how long what lasts.

use super::Config;
use super::source::SourceKind;

/// Checks them. `check` is told whether something holds, where it is said, and what to do otherwise.
pub(super) fn contradictions(config: &Config, check: &mut impl FnMut(bool, &str, &str)) {
    let job = &config.job;
    let source = match &config.source.kind {
        SourceKind::Kafka(source) => Some(source),
        _ => None,
    };
    let sink = config.sinks.kafka.as_ref();
    let events = sink.and_then(|sink| sink.events.as_ref());
    if job.metrics && !job.cleanse {
        check(
            source.is_some(),
            "job.jobs",
            "metrics alone read the topic that a job of cleansing has written: write `kind = \"kafka\"` in [source], or \
             add \"cleanse\"",
        );
        check(
            events.is_none(),
            "sink.kafka.events",
            "the events that this job reads are cleansed already: leave it out here, or add \"cleanse\" to `job.jobs`",
        );
    }
    if job.cleanse && !job.metrics {
        check(
            config.archive.enabled || events.is_some(),
            "job.jobs",
            "cleansing alone would write nothing: add [sink.kafka.events], turn the archive on, or add \"metrics\"",
        );
    }
    if let (Some(source), Some(sink), Some(events)) = (source, sink, events) {
        let same_cluster = source.brokers.iter().any(|broker| sink.brokers.contains(broker));
        check(
            !(same_cluster && source.topics.contains(&events.topic)),
            "sink.kafka.events.topic",
            "is what the source reads: choose another topic for the cleansed events",
        );
    }
    if let Some(Err(mistake)) = sink.map(|sink| sink.check_timeout(config.epoch.interval_ms)) {
        check(false, "sink.kafka.transaction_timeout_ms", mistake.trim_start_matches("transaction_timeout_ms "));
    }
}
