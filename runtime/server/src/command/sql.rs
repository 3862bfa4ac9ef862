//! `tidemark sql`.

use crate::cli::SqlArguments;
use crate::exit::Failure;
use std::io::{self, BufWriter, ErrorKind};
use tidemark_query::{QueryError, query_blocking};

/// Answers the query on standard output.
pub fn execute(arguments: &SqlArguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match query_blocking(&arguments.data, &arguments.query, arguments.format, &mut out) {
        Ok(()) => Ok(()),
        // Who reads the answer has seen enough, as `head` does.
        Err(QueryError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error @ (QueryError::Refused(_) | QueryError::NoData(_))) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::failed(error)),
    }
}
