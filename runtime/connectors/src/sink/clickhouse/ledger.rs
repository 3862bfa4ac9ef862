//! The ledger: a small table in the database that says whose it is and since when each table has rows.

use super::client::{Client, ServerError};
use super::sql::literal;
use serde::Deserialize;
use tidemark_engine::ids::Epoch;

/// Its name. No metric's table can have it.
pub(super) const NAME: &str = "tidemark__ledger";

/// The entry of the job itself has no table's name.
const JOB: &str = "";

/// What the ledger says of the job.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Owner {
    /// The job that the database belongs to.
    pub(super) job: String,
    /// How often the job went back to an older checkpoint and rows were removed. Part of every token: a block that was
    /// removed and is made again is a new one.
    pub(super) incarnation: u32,
    /// A removal under way, see [`super::rewind`].
    pub(super) removing: Option<Removal>,
}

/// Rows that are being removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Removal {
    /// Rows of later epochs go.
    pub(super) after: u64,
    /// The first and the last hour, in seconds, whose roll-ups had such rows.
    pub(super) first_hour_s: i64,
    pub(super) last_hour_s: i64,
}

#[derive(Deserialize)]
struct Entry {
    job: String,
    incarnation: u32,
    removing: Vec<i64>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Since {
    first_epoch: u64,
}

/// Creates the ledger and reads who the database belongs to; `None`: nobody yet.
pub(super) fn open(client: &Client) -> Result<Option<Owner>, ServerError> {
    client.execute(&format!(
        "CREATE TABLE IF NOT EXISTS {NAME} (`name` String, `job` String, `first_epoch` UInt64, `incarnation` UInt32, \
         `removing` Array(Int64), `revision` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')) \
         ENGINE = ReplacingMergeTree(`revision`) ORDER BY `name`"
    ))?;
    let entries: Vec<Entry> =
        client.rows(&format!("SELECT job, incarnation, removing FROM {NAME} FINAL WHERE name = '{JOB}'"))?;
    Ok(entries.into_iter().next().map(|entry| Owner {
        job: entry.job,
        incarnation: entry.incarnation,
        removing: match entry.removing.as_slice() {
            [after, first, last] => {
                Some(Removal { after: after.unsigned_abs(), first_hour_s: *first, last_hour_s: *last })
            }
            _ => None,
        },
    }))
}

/// Writes the entry of the job.
pub(super) fn keep(client: &Client, owner: &Owner) -> Result<(), ServerError> {
    let removing =
        owner.removing.map(|removal| format!("{}, {}, {}", removal.after, removal.first_hour_s, removal.last_hour_s));
    client.execute(&format!(
        "INSERT INTO {NAME} (name, job, incarnation, removing) SETTINGS async_insert = 0 VALUES ('{JOB}', {}, {}, [{}])",
        literal(&owner.job),
        owner.incarnation,
        removing.unwrap_or_default(),
    ))
}

/// Names of the tables that have rows.
pub(super) fn tables(client: &Client) -> Result<Vec<String>, ServerError> {
    let names: Vec<Name> =
        client.rows(&format!("SELECT name FROM {NAME} FINAL WHERE name != '{JOB}' ORDER BY name"))?;
    Ok(names.into_iter().map(|entry| entry.name).collect())
}

/// The first epoch whose rows `table` has: as the ledger says, or `epoch` if the table is new, which the ledger then says.
pub(super) fn first_epoch(
    client: &Client,
    table: &str,
    is_new: bool,
    job: &str,
    epoch: Epoch,
) -> Result<Epoch, ServerError> {
    let query = format!("SELECT first_epoch FROM {NAME} FINAL WHERE name = {}", literal(table));
    let known: Vec<Since> = client.rows(&query)?;
    if let Some(since) = known.first().filter(|_| !is_new) {
        return Ok(Epoch(since.first_epoch));
    }
    client.execute(&format!(
        "INSERT INTO {NAME} (name, job, first_epoch) SETTINGS async_insert = 0 VALUES ({}, {}, {})",
        literal(table),
        literal(job),
        epoch.0
    ))?;
    Ok(epoch)
}

/// Says that every table has whatever comes after `committed`: the epochs are run again.
pub(super) fn go_back(client: &Client, committed: Epoch) -> Result<(), ServerError> {
    let next = committed.0 + 1;
    client.execute(&format!(
        "INSERT INTO {NAME} (name, job, first_epoch) SELECT name, job, {next} FROM {NAME} FINAL \
         WHERE name != '{JOB}' AND first_epoch > {next} SETTINGS async_insert = 0"
    ))
}
