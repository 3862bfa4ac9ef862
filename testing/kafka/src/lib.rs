//! A real Apache Kafka broker for tests: one node in KRaft mode, started from the jars that `cargo xtask setup` put in
//! the target folder, on free ports of the loopback interface, with its data in a folder that goes away with it.
//!
//! Nothing here knows Tidemark: tests of any crate can use it. With the feature `client` there is a client, too.
//!
//! ```no_run
//! # fn main() {
//! let Some(broker) = test_kafka::shared("my_crate::my_test") else { return };
//! println!("bootstrap.servers = {}", broker.address());
//! # }
//! ```

mod broker;
mod jars;
#[cfg(feature = "client")]
pub mod outside;
#[cfg(feature = "client")]
mod rights;
mod probe;
mod process;

pub use broker::{Broker, Settings};
pub use jars::{VERSION, install, is_installed};

use std::io::Write;
use std::sync::OnceLock;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Something is not installed.
    #[error("{0}: run `cargo xtask setup`")]
    Missing(String),
    /// It is, and does not work.
    #[error("the Kafka broker does not start: {0}")]
    Broken(String),
}

/// The broker that all tests of this process share; ends with the process. `None` where there can be no broker: the
/// test, which is named, was not run then.
///
/// # Panics
/// Where `CI` is set and there is no broker: there every test must run.
pub fn shared(test: &str) -> Option<&'static Broker> {
    static BROKER: OnceLock<Result<Broker, Unavailable>> = OnceLock::new();
    match BROKER.get_or_init(|| Broker::start(&Settings::default())) {
        Ok(broker) => Some(broker),
        Err(error) => not_run(test, error),
    }
}

/// A broker for one test, which may stop it. `None` and panics as with [`shared`].
pub fn own(test: &str, settings: &Settings) -> Option<Broker> {
    Broker::start(settings).map_or_else(|error| not_run(test, &error), Some)
}

/// Reports past the test harness, which keeps the output of tests that pass to itself.
fn not_run<T>(test: &str, error: &Unavailable) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{test} needs a Kafka broker: {error}");
    // A report that cannot be written changes nothing.
    let _ = writeln!(std::io::stdout(), "not run: {test}: {error}");
    None
}
