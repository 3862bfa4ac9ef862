//! How far a source is, for people and for Prometheus. Never read by the source itself.

use crate::kafka::Connection;
use crate::kafka::PartitionName;
use std::sync::{Arc, Mutex};
use tidemark_engine::telemetry::Gauge;

/// Of one source.
pub struct KafkaTelemetry {
    connection: Arc<Connection>,
    partitions: Mutex<Vec<Arc<PartitionTelemetry>>>,
}

/// Of one partition.
#[derive(Debug)]
pub struct PartitionTelemetry {
    /// `topic/7`.
    pub name: String,
    /// The offset that is read next; the engine may still have blocks before it to take.
    pub position: Gauge,
    /// The offset behind the newest record that the brokers have told of.
    pub end: Gauge,
}

impl PartitionTelemetry {
    pub(super) fn new(name: &PartitionName, position: u64, end: u64) -> Arc<Self> {
        let telemetry = Self { name: name.to_string(), position: Gauge::default(), end: Gauge::default() };
        telemetry.position.set(position as i64);
        telemetry.end.set(end as i64);
        Arc::new(telemetry)
    }

    /// Offsets that are not read yet. Those of transaction markers and compacted records are counted as well.
    #[must_use]
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end.get() - self.position.get()).unwrap_or(0)
    }
}

impl KafkaTelemetry {
    pub(super) fn new(connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Self { connection, partitions: Mutex::default() })
    }

    pub(super) fn add(&self, partition: Arc<PartitionTelemetry>) {
        if let Ok(mut partitions) = self.partitions.lock() {
            partitions.push(partition);
        }
    }

    /// Whether brokers answer.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connection.is_up()
    }

    /// Every partition that is read.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<PartitionTelemetry>> {
        self.partitions.lock().map(|partitions| partitions.clone()).unwrap_or_default()
    }
}
