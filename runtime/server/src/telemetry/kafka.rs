//! What the connectors to Kafka count: whether brokers answer, how far reading and publishing are.

use super::exposition::{Exposition, Kind::Counter, Kind::Gauge};
use std::sync::Arc;
use tidemark_connectors::sink::kafka::KafkaSinkTelemetry;
use tidemark_connectors::source::kafka::{KafkaTelemetry, PartitionTelemetry};

/// The connectors to Kafka that a job has.
#[derive(Clone, Default)]
pub struct KafkaWatch {
    /// Where events come from.
    pub source: Option<Arc<KafkaTelemetry>>,
    /// Where rows go.
    pub sink: Option<Arc<KafkaSinkTelemetry>>,
}

impl KafkaWatch {
    pub(super) fn render(&self, text: &mut Exposition) {
        if self.source.is_some() || self.sink.is_some() {
            text.family("tidemark_kafka_connected", Gauge, "1 while brokers answer.");
        }
        let connected = [
            ("source", self.source.as_ref().map(|source| source.connected())),
            ("sink", self.sink.as_ref().map(|sink| sink.connected())),
        ];
        for (connector, connected) in connected {
            if let Some(connected) = connected {
                text.sample(&[("connector", connector)], f64::from(u8::from(connected)));
            }
        }
        if let Some(source) = &self.source {
            render_partitions(&source.partitions(), text);
        }
        if let Some(sink) = &self.sink {
            let epoch = sink.epoch.get() as f64;
            text.single("tidemark_kafka_published_epoch", Gauge, "The last epoch that is published.", epoch);
            let (records, repeated) = (sink.records.get() as f64, sink.repeated.get() as f64);
            text.single("tidemark_kafka_published_records_total", Counter, "Records published.", records);
            let help = "Attempts to publish an epoch that had to be repeated.";
            text.single("tidemark_kafka_publish_repeats_total", Counter, help, repeated);
        }
    }
}

/// Takes one figure out of a partition's.
type Reading = fn(&PartitionTelemetry) -> f64;

fn render_partitions(partitions: &[Arc<PartitionTelemetry>], text: &mut Exposition) {
    let gauges: [(&str, &str, Reading); 3] = [
        ("tidemark_source_lag", "Offsets of the partition that are not read yet.", |partition| partition.lag() as f64),
        ("tidemark_source_position", "The offset that is read next.", |partition| partition.position.get() as f64),
        ("tidemark_source_end", "The offset behind the newest record.", |partition| partition.end.get() as f64),
    ];
    for (name, help, value) in gauges {
        text.family(name, Gauge, help);
        partitions.iter().for_each(|partition| text.sample(&[("partition", &partition.name)], value(partition)));
    }
}
