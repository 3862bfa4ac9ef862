//! `tidemark validate`.

use super::{environment, stored};
use crate::catalogue::{self, Deployed};
use crate::cli::ValidateArguments;
use crate::config::overrides::Overrides;
use crate::config::{Config, Draft};
use crate::describe;
use crate::exit::Failure;
use tidemark_wasm_host::{Host, HostSettings};

/// Instances at a time: modules are only asked to describe themselves, one after the other.
const INSTANCES: u32 = 16;

/// Checks the configuration and its modules and says what the job is.
pub fn execute(arguments: &ValidateArguments, overrides: &Overrides) -> Result<(), Failure> {
    let mut draft = Draft::read(&arguments.config, &environment, overrides)?;
    // No cache: a check leaves nothing behind.
    let host = Host::new(HostSettings { instances: INSTANCES, ..HostSettings::default() }).map_err(Failure::failed)?;
    let mut deployed = Vec::new();
    match catalogue::deploy(draft.config(), draft.document(), &host, &stored(draft.config()), &mut |_| ()) {
        Ok(metrics) => deployed = metrics,
        Err(mistakes) => draft.add(mistakes),
    }
    let config = draft.into_config()?;
    println!("{} is valid", arguments.config.display());
    print(&config, &deployed);
    Ok(())
}

fn print(config: &Config, deployed: &[Deployed]) {
    println!("  job      {}, {} key groups", config.job.name, config.job.key_groups.count());
    println!("  source   {}", config.source);
    println!("  data     {}", config.data.dir.display());
    for sink in config.sinks.describe() {
        println!("  sink     {sink}");
    }
    for Deployed { spec, .. } in deployed {
        println!(
            "  metric   {} {} ({}), {}",
            spec.name,
            spec.version,
            spec.digest.short(),
            describe::window(&spec.window)
        );
    }
}
