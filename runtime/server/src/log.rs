//! Log lines on standard error: for people, or as JSON.

use crate::config::log::{LogFormat, LogSettings};
use std::io::IsTerminal as _;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging. The level is for our own crates; the libraries' warnings are always told. A second call changes
/// nothing.
pub fn start(settings: &LogSettings) {
    let level: Level = settings.level.parse().unwrap_or(Level::INFO);
    let targets = Targets::new()
        .with_default(level.min(Level::WARN))
        .with_targets(
            ["tidemark", "tidemark_server", "tidemark_engine", "tidemark_connectors"].map(|name| (name, level)),
        )
        .with_targets(["tidemark_state", "tidemark_wasm_host", "tidemark_dataflow"].map(|name| (name, level)));
    let registry = tracing_subscriber::registry().with(targets);
    let started = match settings.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours)).try_init()
        }
        LogFormat::Json => registry.with(layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
    // Only tests start twice in one process.
    drop(started);
}
