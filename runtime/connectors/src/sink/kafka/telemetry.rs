//! How far publishing is, for people and for Prometheus. Never read by the sink itself.

use crate::kafka::Connection;
use std::sync::Arc;
use tidemark_engine::telemetry::{Counter, Gauge};

/// Of one sink.
pub struct KafkaSinkTelemetry {
    connection: Arc<Connection>,
    /// Records published.
    pub records: Counter,
    /// The last published epoch.
    pub epoch: Gauge,
    /// Attempts to publish an epoch that had to be repeated.
    pub repeated: Counter,
}

impl KafkaSinkTelemetry {
    pub(super) fn new(connection: &Arc<Connection>) -> Arc<Self> {
        Arc::new(Self {
            connection: Arc::clone(connection),
            records: Counter::default(),
            epoch: Gauge::default(),
            repeated: Counter::default(),
        })
    }

    /// Whether brokers answer.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connection.is_up()
    }
}
