//! The `tidemark` program.

use clap::Parser as _;
use mimalloc::MiMalloc;
use std::panic;
use std::process::{self, ExitCode};
use tidemark_connectors::kafka::wait_for_clients;
use tidemark_server::cli::Cli;
use tidemark_server::{command, memory};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    end_quietly_without_a_reader();
    memory::share_pools();
    let ended = command::execute(&Cli::parse());
    wait_for_clients();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Whoever reads what is printed may have seen enough, as in `tidemark … | head`. That is no failure.
fn end_quietly_without_a_reader() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout: Broken pipe") {
            process::exit(0);
        }
        report(panic);
    }));
}
