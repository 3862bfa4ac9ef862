//! `tidemark verify`.

use super::environment;
use crate::cli::VerifyArguments;
use crate::config::overrides::Overrides;
use crate::config::{Config, Draft};
use crate::exit::Failure;
use crate::verify::{Selection, verify};
use std::path::Path;
use tidemark_wasm_host::{Host, HostSettings};

/// Derives rows again and says how many are as they were.
pub fn execute(arguments: &VerifyArguments, overrides: &Overrides) -> Result<(), Failure> {
    let report = with_scratch(arguments, overrides, verify)?;
    println!("{report}");
    if report.is_sound() { Ok(()) } else { Err(Failure::failed("some rows are not what the archive gives")) }
}

/// Does something with the rows that are named, and with a folder that is gone afterwards.
pub(super) fn with_scratch<T>(
    arguments: &VerifyArguments,
    overrides: &Overrides,
    work: impl FnOnce(&Config, Host, Selection, &Path) -> anyhow::Result<T>,
) -> Result<T, Failure> {
    let config = Draft::read(&arguments.config, &environment, overrides)?.into_config()?;
    config.refuse_cluster("running epochs again").map_err(Failure::Usage)?;
    let settings = HostSettings { cache: Some(config.data.modules()), ..HostSettings::default() };
    let host = Host::new(settings).map_err(Failure::failed)?;
    let scratch = config.data.dir.join(format!("verify-{}", std::process::id()));
    let selection = Selection {
        metric: arguments.metric.clone(),
        key: arguments.key.clone(),
        from: arguments.from,
        until: arguments.until,
        whole: arguments.whole,
    };
    std::fs::create_dir_all(&scratch)?;
    let done = work(&config, host, selection, &scratch);
    let removed = std::fs::remove_dir_all(&scratch);
    let done = done?;
    removed?;
    Ok(done)
}
