//! `tidemark fail-points`.

use crate::exit::Failure;
use crate::{cluster, savepoint};

/// Every step at which [`crate::kill`] can end the process, in the order in which an epoch reaches them: the
/// engine's, the Parquet sink's, those of its uploads, the ClickHouse sink's, the Kafka sink's, the checkpoint
/// store's, and those of changes of the metrics; behind them those of `tidemark savepoint restore`, of one process and of
/// nodes.
#[must_use]
pub fn all() -> Vec<&'static str> {
    let engine = tidemark_engine::fail_point::ALL;
    let parquet = tidemark_connectors::sink::parquet::FAIL_POINTS;
    let uploads = tidemark_connectors::sink::parquet::UPLOAD_FAIL_POINTS;
    let clickhouse = tidemark_connectors::sink::clickhouse::FAIL_POINTS;
    let checkpoint = tidemark_connectors::checkpoint::FAIL_POINTS;
    let kafka = tidemark_connectors::sink::kafka::FAIL_POINTS;
    let changes = tidemark_engine::fail_point::OF_CHANGES;
    let sinks = parquet.into_iter().chain(uploads).chain(clickhouse).chain(kafka);
    let epoch = engine.into_iter().chain(sinks).chain(checkpoint).chain(changes);
    epoch.chain(savepoint::FAIL_POINTS).chain(cluster::savepoint::FAIL_POINTS).collect()
}

/// Lists them, one a line.
pub fn execute() -> Result<(), Failure> {
    all().iter().for_each(|name| println!("{name}"));
    Ok(())
}
