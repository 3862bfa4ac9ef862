//! The sink against the real engine.

#[path = "../../../../tests/support/clickhouse_engine.rs"]
mod clickhouse_engine;
mod cold;
mod crashes;
mod driver;
mod faults;
mod migrations;
mod proxy;
mod roll_ups;
