//! What an event costs a metric in SQL, beside the same work in the sandbox.

use super::pinned;
use crate::process::output_of;
use crate::workspace;
use anyhow::Result;

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let program = workspace::built("examples/sql_jitter");
    let output = output_of(&mut pinned::command(&program, "0"))?;
    print!("{output}");
    Ok(format!(
        "The jitter of one column of floats, a Welford update an event; nanoseconds an event, medians of alternating \
         rounds, {}. `statement` is the SQL metric, `module` the same fold in the sandbox, `jitter-coefficient` the shipped \
         metric, which keeps two texts besides.\n\
         Command: `cargo xtask bench sql`.\n\n\
         ```text\n{}\n```\n",
        pinned::describe("0"),
        output.trim_end(),
    ))
}
