//! `tidemark serve`.

use super::environment;
use crate::cli::ServeArguments;
use crate::config::overrides::Overrides;
use crate::config::{Config, Draft};
use crate::exit::Failure;
use crate::http::{self, Api};
use crate::log;
use crate::row_store;
use crate::telemetry::Exporter;
use std::sync::Arc;
use tidemark_engine::telemetry::Telemetry;
use tokio::signal::unix::{SignalKind, signal};

/// Serves until a signal comes.
pub fn execute(arguments: &ServeArguments, overrides: &Overrides) -> Result<(), Failure> {
    let config = Draft::read(&arguments.config, &environment, overrides)?.into_config()?;
    log::start(&config.log);
    if config.http.listen.is_none() {
        let hint = "add `[http] listen = \"127.0.0.1:9464\"`, or set TIDEMARK_HTTP_LISTEN";
        return Err(Failure::Usage(format!("{} does not say where to listen: {hint}", arguments.config.display())));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let served = runtime.block_on(serve(&config));
    // A query that still runs is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let exporter = Arc::new(Exporter::new(&config.job.name, Arc::new(Telemetry::default())));
    let store = row_store::open(config).map_err(Failure::failed)?;
    let api = Api::new(exporter.clone(), config.http.limits.clone(), store);
    let server = http::start(&config.http, Arc::new(api)).await;
    let _server = server.map_err(|error| Failure::failed(format!("cannot listen for HTTP: {error}")))?;
    exporter.set_ready(true);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
