//! `tidemark savepoint`: of a job that is stopped by its configuration, of one that runs by its API.

use super::{environment, fail_points};
use crate::cli::{SavepointArguments, SavepointCommand};
use crate::client::{Client, JSON};
use crate::cluster::savepoint as cluster;
use crate::config::overrides::Overrides;
use crate::config::paths::check_name;
use crate::config::{Config, Draft};
use crate::exit::Failure;
use crate::kill;
use crate::savepoint;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

/// Where the API has them.
const PATH: &str = "/api/v1/savepoints";

/// Carries out one of the commands.
pub fn execute(arguments: &SavepointArguments, overrides: &Overrides) -> Result<(), Failure> {
    let read = |file| -> Result<Config, Failure> { Ok(Draft::read(file, &environment, overrides)?.into_config()?) };
    let client = || Client::new(&arguments.server);
    match &arguments.command {
        SavepointCommand::Create { name, config } => {
            let config = config.as_deref().map(read).transpose()?;
            let of = match &config {
                Some(config) if config.cluster.is_some() => format!("{} pieces", cluster::create(config, name)?),
                Some(config) => format!("epoch {}", savepoint::create(config, name)?),
                None => {
                    let wanted = json!({ "name": name }).to_string();
                    let kept = client()?.done(Method::POST, PATH, wanted.into(), JSON)?;
                    format!("epoch {}", number(&kept, "epoch"))
                }
            };
            println!("savepoint {name}: the state of {of}");
        }
        SavepointCommand::List { config: Some(config) } => {
            let config = read(config)?;
            if config.cluster.is_some() {
                for (name, pieces) in cluster::list(&config)? {
                    println!("{name:24} {pieces} pieces");
                }
                return Ok(());
            }
            for savepoint in savepoint::list(&config)? {
                print(&savepoint.name.unwrap_or_default(), savepoint.epoch.0, savepoint.bytes);
            }
        }
        SavepointCommand::List { config: None } => {
            for savepoint in client()?.get(PATH)?["savepoints"].as_array().into_iter().flatten() {
                let name = savepoint["name"].as_str().unwrap_or_default();
                print(name, number(savepoint, "epoch"), number(savepoint, "bytes"));
            }
        }
        SavepointCommand::Restore { name, config } => {
            let config = read(config)?;
            let fail_point =
                kill::arm(environment(kill::VARIABLE).as_deref(), &fail_points::all()).map_err(Failure::Usage)?;
            let of = match &config.cluster {
                Some(_) => format!("{} pieces", cluster::restore(&config, name, &fail_point)?),
                None => format!("epoch {}", savepoint::restore(&config, name, &fail_point)?),
            };
            println!("the state is that of savepoint {name}, {of}; the next run goes on from there");
        }
        SavepointCommand::Remove { name, config } => {
            match config {
                Some(config) => {
                    let config = read(config)?;
                    match &config.cluster {
                        Some(_) => cluster::remove(&config, name)?,
                        None => savepoint::remove(&config, name)?,
                    }
                }
                None => {
                    check_name(name).map_err(Failure::failed)?;
                    client()?.done(Method::DELETE, &format!("{PATH}/{name}"), Bytes::new(), JSON)?;
                }
            }
            println!("savepoint {name} is removed");
        }
    }
    Ok(())
}

fn number(answer: &Value, field: &str) -> u64 {
    answer[field].as_u64().unwrap_or_default()
}

fn print(name: &str, epoch: u64, bytes: u64) {
    println!("{name:24} epoch {epoch:>10}  {bytes:>14} bytes");
}
