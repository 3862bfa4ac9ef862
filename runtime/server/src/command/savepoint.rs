//! `tidemark savepoint`.

use super::environment;
use crate::cli::{SavepointArguments, SavepointCommand};
use crate::config::Draft;
use crate::config::overrides::Overrides;
use crate::exit::Failure;
use crate::savepoint;

/// Carries out one of the commands.
pub fn execute(arguments: &SavepointArguments, overrides: &Overrides) -> Result<(), Failure> {
    let read = |file| -> Result<_, Failure> {
        let config = Draft::read(file, &environment, overrides)?.into_config()?;
        config.refuse_cluster("a savepoint").map_err(Failure::Usage)?;
        Ok(config)
    };
    match &arguments.command {
        SavepointCommand::Create { name, config } => {
            let epoch = savepoint::create(&read(config)?, name)?;
            println!("savepoint {name}: the state of epoch {epoch}");
        }
        SavepointCommand::List { config } => {
            for savepoint in savepoint::list(&read(config)?)? {
                let name = savepoint.name.unwrap_or_default();
                println!("{name:24} epoch {:>10}  {:>14} bytes", savepoint.epoch.0, savepoint.bytes);
            }
        }
        SavepointCommand::Restore { name, config } => {
            let epoch = savepoint::restore(&read(config)?, name)?;
            println!("the state is that of savepoint {name}, epoch {epoch}; the next run goes on from there");
        }
        SavepointCommand::Remove { name, config } => {
            savepoint::remove(&read(config)?, name)?;
            println!("savepoint {name} is removed");
        }
    }
    Ok(())
}
