//! The commands, one file each.

pub mod build;
pub mod fail_points;
pub mod generate;
pub mod health;
pub mod metric;
pub mod module;
pub mod new;
pub mod push;
pub mod run;
pub mod serve;
pub mod replay;
pub mod savepoint;
pub mod sql;
pub mod test;
pub mod validate;
pub mod verify;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::exit::Failure;
use tidemark_connectors::module_store::ModuleStore;
use tidemark_engine::ids::Digest;

/// Carries out what the command line says.
pub fn execute(cli: &Cli) -> Result<(), Failure> {
    let overrides = cli.overrides().with_fields(std::env::vars_os());
    match &cli.command {
        Command::Run(arguments) => run::execute(arguments, &overrides),
        Command::Serve(arguments) => serve::execute(arguments, &overrides),
        Command::Validate(arguments) => validate::execute(arguments, &overrides),
        Command::Health(arguments) => health::execute(arguments),
        Command::Generate(arguments) => generate::execute(arguments),
        Command::New(arguments) => new::execute(arguments),
        Command::Build(arguments) => build::execute(arguments),
        Command::Test(arguments) => test::execute(arguments),
        Command::Push(arguments) => push::execute(arguments),
        Command::Module(command) => module::execute(command),
        Command::Metric(arguments) => metric::execute(arguments),
        Command::Verify(arguments) => verify::execute(arguments, &overrides),
        Command::Replay(arguments) => replay::execute(arguments, &overrides),
        Command::Savepoint(arguments) => savepoint::execute(arguments, &overrides),
        Command::Sql(arguments) => sql::execute(arguments),
        Command::FailPoints => fail_points::execute(),
    }
}

/// Finds modules that are named by digest, without leaving anything behind.
fn stored(config: &Config) -> impl Fn(Digest) -> Result<Vec<u8>, String> + use<> {
    let (folder, remote) = (config.module_store(), config.checkpoint.store.clone());
    move |digest| {
        if !folder.exists() && remote.is_none() {
            return Err(format!("there is no module {digest}: push it to the running job, or name a file"));
        }
        let store = match &remote {
            None => ModuleStore::open(&folder),
            Some(remote) => ModuleStore::open_store(&folder, remote),
        };
        store.and_then(|store| store.get(digest)).map_err(|error| error.to_string())
    }
}

/// A variable of the process's environment, if it is there and is text.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
