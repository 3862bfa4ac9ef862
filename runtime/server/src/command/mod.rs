//! The commands, one file each.

pub mod build;
pub mod fail_points;
pub mod generate;
pub mod health;
pub mod module;
pub mod new;
pub mod run;
pub mod serve;
pub mod sql;
pub mod test;
pub mod validate;

use crate::cli::{Cli, Command, ModuleCommand};
use crate::exit::Failure;

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
        Command::Test(arguments) | Command::Module(ModuleCommand::Test(arguments)) => test::execute(arguments),
        Command::Module(ModuleCommand::Inspect { file }) => module::inspect(file),
        Command::Sql(arguments) => sql::execute(arguments),
        Command::FailPoints => fail_points::execute(),
    }
}

/// A variable of the process's environment, if it is there and is text.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
