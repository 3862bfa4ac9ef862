//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process at once.

use crate::exit;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tidemark_engine::telemetry::Telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// An engine that makes no tick for this long, asked to stop, is waiting for input that may never come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether somebody asked the process to end.
#[derive(Clone, Debug, Default)]
pub struct StopRequest(Arc<AtomicBool>);

impl StopRequest {
    /// Starts listening, on the running tokio runtime. `telemetry` tells whether the engine still makes progress.
    pub fn listen(telemetry: Arc<Telemetry>) -> io::Result<Self> {
        let request = Self::default();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(request.clone().wait(terminate, interrupt, telemetry));
        Ok(request)
    }

    /// Whether it came.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Relaxed)
    }

    async fn wait(self, mut terminate: Signal, mut interrupt: Signal, telemetry: Arc<Telemetry>) {
        next(&mut terminate, &mut interrupt).await;
        self.0.store(true, Relaxed);
        tracing::info!("stopping behind the running epoch; a second signal stops at once");
        tokio::select! {
            () = next(&mut terminate, &mut interrupt) => {
                eprintln!("stopped at once; the next start recovers");
                process::exit(i32::from(exit::FAILURE));
            }
            () = silence(&telemetry) => {
                // Everything up to the last epoch is committed; what is open is read again by the next start.
                eprintln!("stopped while waiting for input, behind epoch {}", telemetry.epoch.get());
                process::exit(i32::from(exit::FINE));
            }
        }
    }
}

/// A flag that SIGTERM or SIGINT sets, for commands that run on without an engine; a second one ends the process.
pub fn flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let set = Arc::clone(&flag);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            next(&mut terminate, &mut interrupt).await;
            set.store(true, Relaxed);
            next(&mut terminate, &mut interrupt).await;
            process::exit(i32::from(exit::FAILURE));
        });
    })?;
    Ok(flag)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Ends when the engine has made no tick and no commit for a while.
async fn silence(telemetry: &Telemetry) {
    let progress = || (telemetry.ticks.get(), telemetry.epoch.get());
    let mut before = progress();
    loop {
        tokio::time::sleep(PATIENCE).await;
        let now = progress();
        if now == before {
            return;
        }
        before = now;
    }
}
