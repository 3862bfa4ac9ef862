//! The command line.

use crate::client::ServerArguments;
use crate::config::log::LogFormat;
use crate::config::overrides::{self, Overrides};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tidemark_author::Language;
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
    /// Serve the rows of a data folder over HTTP, without running its job.
    ///
    /// The REST API at the address of `[http]`, with everything that needs no running job: rows, the newest row of each
    /// key, SQL, dead letters. Beside a running job or long after it.
    Serve(ServeArguments),
    /// Check a configuration and its modules, and start nothing.
    Validate(ValidateArguments),
    /// Ask a running job whether it is well: exit code 0 means yes.
    Health(crate::command::health::HealthArguments),
    /// Make events like those of Livepeer's gateways, the same for the same seed.
    Generate(crate::command::generate::GenerateArguments),
    /// Make a project for a metric: source, tests, golden rows.
    New(NewArguments),
    /// Build a project's component: NAME.wasm.
    ///
    /// The toolchain of its language is found, or what to install is said. The component is admitted as a run admits it.
    Build(BuildArguments),
    /// Test a metric without a server: its contract, and its rows on events.
    ///
    /// The module runs in the real sandbox and engine. Events are JSON documents, one a line; a line such as
    /// {"watermark": 1700000100000} says that time has come so far. Without --input, a project's golden/events.ndjson is
    /// taken and compared with golden/rows.ndjson, and likewise in each folder below golden/.
    Test(TestArguments),
    /// Build a project and upload its component to a running job, which tries it out; the digest is printed.
    ///
    /// A `.wasm` file is uploaded as it is. Deploy it then: `tidemark metric deploy NAME --module sha256:…`.
    Push(PushArguments),
    /// Look at metric modules.
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Change the metrics of a running job.
    Metric(MetricArguments),
    /// Derive rows again from the archive, and compare them with those that were written. The job must not run.
    Verify(VerifyArguments),
    /// Derive a metric's rows again from the archive, into another folder. The job must not run.
    Replay(ReplayArguments),
    /// Keep the state of a job under a name, and come back to it. The job must not run.
    Savepoint(SavepointArguments),
    /// Query the tables of a data folder or an object store: events, metrics, dead_letters, and one view per metric.
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

/// `tidemark serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration, a TOML file.
    pub config: PathBuf,
    /// Serve this data folder instead of the configured one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `tidemark validate`.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// The configuration, a TOML file.
    pub config: PathBuf,
}

/// `tidemark new`.
#[derive(Debug, Args)]
pub struct NewArguments {
    /// The metric's name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The language.
    #[arg(long, value_name = "rust|go|python|js|ts|c")]
    pub lang: Language,
    /// The project's folder; NAME unless set.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Take the SDK from this clone of Tidemark, not from the language's package registry.
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

/// `tidemark build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// The project's folder, or the file with the metric.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub project: PathBuf,
    /// The component; NAME.wasm in the project's folder unless set.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `tidemark test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// The project's folder, which is built first, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    pub module: PathBuf,
    /// Events, one JSON document a line. Without --expect, the rows are printed.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The rows that the events should give, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
    /// Keep the rows as those that are expected from now on.
    #[arg(long)]
    pub update: bool,
    /// Test again whenever a file of the project changes.
    #[arg(long)]
    pub watch: bool,
    /// The module's configuration: a JSON object, or a file of one.
    #[arg(long, value_name = "JSON|FILE")]
    pub config: Option<String>,
    /// How far behind the newest event one may come, where the events have no watermark lines.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(i64).range(0..))]
    pub bound_ms: i64,
    /// How long after its end a window can still change.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub lateness_ms: i64,
    /// Say how long the module takes, and how much fuel, which is the same on every machine.
    #[arg(long)]
    pub measure: bool,
}

/// `tidemark push`.
#[derive(Debug, Args)]
pub struct PushArguments {
    /// The project's folder, which is built first, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    pub module: PathBuf,
    /// The ed25519 signature of its SHA-256 digest, as hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    pub signature: Option<String>,
    /// The job.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// `tidemark module`.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// Test a component, as `tidemark test` does.
    Test(TestArguments),
    /// Show what a module is and what it says of itself, or why it is refused; of a configuration, what its SQL
    /// metrics have become.
    Inspect {
        /// The component, a `.wasm` file, or a configuration, a `.toml` file.
        file: PathBuf,
    },
    /// Upload a module, as `tidemark push` does.
    Push(PushArguments),
    /// Have a running job pull a module from a registry of containers that its file names.
    Pull {
        /// The artifact, by the digest of its manifest.
        #[arg(value_name = "REGISTRY/REPOSITORY@sha256:…")]
        reference: String,
        /// The ed25519 signature of the component's SHA-256 digest, as hexadecimal digits.
        #[arg(long, value_name = "HEX")]
        signature: Option<String>,
        /// The job.
        #[command(flatten)]
        server: ServerArguments,
    },
    /// List the modules of a running job.
    List {
        /// The job.
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Show what a module of a running job says of itself.
    Show {
        /// Its digest.
        digest: String,
        /// The job.
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Remove a module that nothing needs from a running job.
    Remove {
        /// Its digest.
        digest: String,
        /// The job.
        #[command(flatten)]
        server: ServerArguments,
    },
}

/// `tidemark verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The configuration, a TOML file.
    pub config: PathBuf,
    /// The metric.
    #[arg(long, value_name = "NAME")]
    pub metric: String,
    /// Rows of this key only.
    #[arg(long)]
    pub key: Option<String>,
    /// Rows with an event time from here on, in milliseconds since 1970.
    #[arg(long, value_name = "MS")]
    pub from: Option<i64>,
    /// Rows with an event time before.
    #[arg(long, value_name = "MS")]
    pub until: Option<i64>,
    /// Begin with the job's first epoch instead of the oldest checkpoint. Takes as long as the job did.
    #[arg(long)]
    pub whole: bool,
    /// The data folder, where it is not the configured one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `tidemark replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// What is derived.
    #[command(flatten)]
    pub rows: VerifyArguments,
    /// The folder for the rows, which must not be there yet: `tidemark sql --data DIR` reads them.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
}

/// `tidemark savepoint`.
#[derive(Debug, Args)]
pub struct SavepointArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: SavepointCommand,
    /// The data folder, where it is not the configured one.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// The job, where it runs.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// What can be done with savepoints.
#[derive(Debug, Subcommand)]
pub enum SavepointCommand {
    /// Keep the state as it is; of a running job, as it is behind the next epoch.
    Create {
        /// Its name.
        name: String,
        /// The configuration of a job that is stopped, a TOML file. Without it, the running job at --url is asked.
        config: Option<PathBuf>,
    },
    /// List those that are kept.
    List {
        /// The configuration, a TOML file. Without it, the running job at --url is asked.
        config: Option<PathBuf>,
    },
    /// Make one the state of a job that is stopped: what came later is forgotten, and read again.
    Restore {
        /// Its name.
        name: String,
        /// The configuration, a TOML file.
        config: PathBuf,
    },
    /// Keep one no longer.
    Remove {
        /// Its name.
        name: String,
        /// The configuration of a job that is stopped, a TOML file. Without it, the running job at --url is asked.
        config: Option<PathBuf>,
    },
}

/// `tidemark metric`.
#[derive(Debug, Args)]
pub struct MetricArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: MetricCommand,
    /// The job.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// What can be done with the metrics of a running job.
#[derive(Debug, Subcommand)]
pub enum MetricCommand {
    /// Deploy a metric, or another version of it.
    Deploy(DeployArguments),
    /// List what the job runs.
    List,
    /// Show one metric.
    Show {
        /// Its name.
        name: String,
    },
    /// Let open windows end, and take no new ones.
    Pause {
        /// Its name.
        name: String,
    },
    /// End a pause.
    Resume {
        /// Its name.
        name: String,
    },
    /// Take a metric away, with its state.
    Undeploy {
        /// Its name.
        name: String,
    },
    /// Go back to the version before, from now on.
    Rollback {
        /// Its name.
        name: String,
        /// As if the later version had never run: its windows are made again from the archive.
        #[arg(long)]
        replay: bool,
        /// Drop state that the version cannot take over.
        #[arg(long)]
        reset_state: bool,
    },
    /// Run a candidate beside the live metric.
    Shadow(DeployArguments),
    /// Compare the candidate with the live metric.
    Diff {
        /// The live metric.
        name: String,
    },
    /// Put the candidate in the place of the live metric.
    Promote {
        /// The live metric.
        name: String,
        /// Drop state that the candidate cannot take over.
        #[arg(long)]
        reset_state: bool,
    },
    /// Take the candidate away.
    Discard {
        /// The live metric.
        name: String,
    },
}

/// What to deploy.
#[derive(Debug, Args)]
pub struct DeployArguments {
    /// The metric's name.
    pub name: String,
    /// The module: `sha256:…`, or a `.wasm` file or a project's folder, which is pushed first.
    #[arg(long, value_name = "DIGEST|FILE|DIR")]
    pub module: Option<String>,
    /// A TOML file with further fields of `[[metric]]`.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Drop state that the version cannot take over.
    #[arg(long)]
    pub reset_state: bool,
    /// Begin with the archived events since this moment: milliseconds since 1970, or 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "MOMENT")]
    pub backfill_from: Option<String>,
}

/// `tidemark sql`.
#[derive(Debug, Args)]
pub struct SqlArguments {
    /// The query.
    pub query: String,
    /// The data folder, or the object store that the job writes to, as `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URL", default_value = "./data", env = "TIDEMARK_DATA_DIR")]
    pub data: String,
    /// Where the job of this configuration keeps its files, instead of --data.
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
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
            Command::Serve(serve) => Overrides { data: serve.data.clone(), ..logging },
            Command::Verify(verify) => Overrides { data: verify.data.clone(), ..logging },
            Command::Replay(replay) => Overrides { data: replay.rows.data.clone(), ..logging },
            Command::Savepoint(savepoint) => Overrides { data: savepoint.data.clone(), ..logging },
            _ => logging,
        }
    }
}
