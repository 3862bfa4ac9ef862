//! The command line.

use crate::config::log::LogFormat;
use crate::config::overrides::{self, Overrides};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tidemark_query::print::Format;

/// A stream processor whose metrics are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "tidemark",
    version,
    max_term_width = 120,
    after_help = "Exit codes: 0 fine, 1 failure at run time, 2 wrong configuration, command line or query."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How much is logged to standard error.
    #[arg(long, global = true, value_parser = overrides::parse_level, value_name = "LEVEL")]
    pub log_level: Option<&'static str>,
    /// The form of log lines.
    #[arg(long, global = true, value_parser = overrides::parse_format, value_name = "text|json")]
    pub log_format: Option<LogFormat>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job.
    ///
    /// A source that ends (files, standard input) ends the run. SIGTERM and SIGINT end it behind the running epoch;
    /// a second one ends it at once. Started again, a job goes on where it was.
    Run(RunArguments),
    /// Check a configuration and its modules, and start nothing.
    Validate(ValidateArguments),
    /// Make events like those of Livepeer's gateways, the same for the same seed.
    Generate(crate::command::generate::GenerateArguments),
    /// Look at metric modules.
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Query the tables of a data folder: events, metrics, dead_letters, and one view per metric.
    Sql(SqlArguments),
    /// List the steps at which a test can end the process.
    #[command(hide = true)]
    FailPoints,
}

/// `tidemark run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The configuration, a TOML file.
    pub config: PathBuf,
    /// Read events from this file or folder instead of the configured source; `-` is standard input.
    #[arg(long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Keep data in this folder instead of the configured one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Worker threads.
    #[arg(long, value_name = "N", value_parser = overrides::parse_workers)]
    pub workers: Option<usize>,
}

/// `tidemark validate`.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// The configuration, a TOML file.
    pub config: PathBuf,
}

/// `tidemark module`.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// Show what a module is and what it says of itself, or why it is refused.
    Inspect {
        /// The component, a `.wasm` file.
        file: PathBuf,
    },
}

/// `tidemark sql`.
#[derive(Debug, Args)]
pub struct SqlArguments {
    /// The query.
    pub query: String,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = "./data", env = "TIDEMARK_DATA_DIR")]
    pub data: PathBuf,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl Cli {
    /// What the command line sets instead of a configuration.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        let logging = Overrides { log_level: self.log_level, log_format: self.log_format, ..Overrides::default() };
        match &self.command {
            Command::Run(run) => {
                Overrides { input: run.input.clone(), data: run.data.clone(), workers: run.workers, ..logging }
            }
            _ => logging,
        }
    }
}
