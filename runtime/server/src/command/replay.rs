//! `tidemark replay`.

use super::verify::with_scratch;
use crate::cli::ReplayArguments;
use crate::config::overrides::Overrides;
use crate::exit::Failure;
use crate::verify::{Replayed, replay};

/// Derives rows again into a folder.
pub fn execute(arguments: &ReplayArguments, overrides: &Overrides) -> Result<(), Failure> {
    let ReplayArguments { rows, into } = arguments;
    let Replayed { since, rows: count } = with_scratch(rows, overrides, |config, host, selection, scratch| {
        replay(config, host, selection, scratch, into)
    })?;
    println!("{count} rows of epochs after {since}: tidemark sql --data {} \"SELECT …\"", into.display());
    Ok(())
}
