//! The `tidemark` program.

use clap::Parser as _;
use mimalloc::MiMalloc;
use std::process::ExitCode;
use tidemark_server::cli::Cli;
use tidemark_server::{command, memory};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    memory::share_pools();
    match command::execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
