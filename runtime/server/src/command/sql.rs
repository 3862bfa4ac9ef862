//! `tidemark sql`.

use super::environment;
use crate::cli::SqlArguments;
use crate::config::overrides::Overrides;
use crate::config::{Config, Draft};
use crate::exit::Failure;
use std::io::{self, BufWriter, ErrorKind};
use tidemark_query::{Place, QueryError, query_blocking};

/// Answers the query on standard output.
pub fn execute(arguments: &SqlArguments) -> Result<(), Failure> {
    let place = match &arguments.config {
        None => Place::named(&arguments.data),
        Some(file) => place_of(Draft::read(file, &environment, &Overrides::default())?.into_config()?),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    match query_blocking(&place, &arguments.query, arguments.format, &mut out) {
        Ok(()) => Ok(()),
        // Who reads the answer has seen enough, as `head` does.
        Err(QueryError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error @ (QueryError::Refused(_) | QueryError::NoData(_))) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::failed(error)),
    }
}

/// Where a job's Parquet files lie.
fn place_of(config: Config) -> Place {
    match config.sinks.store {
        None => Place::Folder(config.data.dir),
        Some(store) => Place::Store { store, data: Some(config.data.dir) },
    }
}
