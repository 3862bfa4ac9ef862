//! Going back: the state was restored from an older checkpoint, and the server has rows of epochs after it.
//!
//! Rows are inserted only behind the commit point, so this happens to nobody who has not lost the state, or, for the last
//! epoch alone, the outbox. The rows are removed, with what roll-ups had of them, and the epochs come again with tokens of a new incarnation. What is to be
//! removed is written down first: a removal that was interrupted is finished by the next start.

use super::client::{Client, ServerError};
use super::layout::DEAD_LETTERS;
use super::ledger::{self, Owner, Removal};
use super::roll_up::{Step, StoredRollUp};
use super::sql::{identifier, list, literal};
use serde::Deserialize;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

const HOUR_S: i64 = 3600;

#[derive(Deserialize)]
struct Later {
    rows: u64,
    last_epoch: u64,
    first_s: i64,
    last_s: i64,
}

#[derive(Deserialize)]
struct Feed {
    as_select: String,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// Which rows are removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Since {
    /// Those of epochs after the committed one, if one is: rows without any state are somebody else's.
    Committed(Epoch),
    /// Those of epochs after this one, because the next one was committed and comes again.
    BeforeAgain(Epoch),
}

/// Removes every row of later epochs. Says whether there were any.
pub(super) fn remove_later(client: &Client, owner: &mut Owner, since: Since) -> Result<bool, PortError> {
    let (Since::Committed(committed) | Since::BeforeAgain(committed)) = since;
    let port_error = |error: ServerError| client.port_error("remove rows of epochs that are to be run again", &error);
    let tables = ledger::tables(client).map_err(port_error)?;
    let mut removal = owner.removing.filter(|removal| removal.after <= committed.0);
    for table in &tables {
        let Some(later) = later(client, table, committed).map_err(port_error)? else { continue };
        if since == Since::Committed(Epoch(0)) {
            return Err(PortError::Stop(format!(
                "{table} in ClickHouse holds rows up to epoch {}, but the job's state has no committed epoch: the state was \
                 lost or the database belongs to another run; restore the state, or choose an empty database",
                later.last_epoch
            )));
        }
        tracing::warn!(
            table,
            rows = later.rows,
            epoch = committed.0,
            "removing rows of epochs after the committed one"
        );
        let (first, last) = (later.first_s.div_euclid(HOUR_S) * HOUR_S, later.last_s.div_euclid(HOUR_S) * HOUR_S);
        let known = removal.get_or_insert(Removal { after: committed.0, first_hour_s: first, last_hour_s: last });
        known.after = known.after.min(committed.0);
        known.first_hour_s = known.first_hour_s.min(first);
        known.last_hour_s = known.last_hour_s.max(last);
    }
    let Some(removal) = removal else { return Ok(false) };
    owner.incarnation += 1;
    owner.removing = Some(removal);
    ledger::keep(client, owner).map_err(port_error)?;
    for table in &tables {
        let delete = format!("ALTER TABLE {} DELETE WHERE epoch > {}", identifier(table), removal.after);
        client.execute(&delete).map_err(port_error)?;
        compute_again(client, table, removal).map_err(port_error)?;
    }
    ledger::go_back(client, Epoch(removal.after)).map_err(port_error)?;
    owner.removing = None;
    ledger::keep(client, owner).map_err(port_error)?;
    Ok(true)
}

fn later(client: &Client, table: &str, committed: Epoch) -> Result<Option<Later>, ServerError> {
    let time = if table == DEAD_LETTERS { "inserted_at" } else { "event_time" };
    let query = format!(
        "SELECT count() AS rows, max(epoch) AS last_epoch, toInt64(min({time})) AS first_s, toInt64(max({time})) AS last_s \
         FROM {} WHERE epoch > {}",
        identifier(table),
        committed.0
    );
    let found: Vec<Later> = client.rows(&query)?;
    Ok(found.into_iter().next().filter(|later| later.rows > 0))
}

/// Makes the hours of a metric's roll-ups again from the rows that are left. Computed roll-ups need nothing.
fn compute_again(client: &Client, table: &str, removal: Removal) -> Result<(), ServerError> {
    let (from, to) = (removal.first_hour_s, removal.last_hour_s + HOUR_S - 1);
    let hours = format!("`bucket` BETWEEN toDateTime({from}, 'UTC') AND toDateTime({to}, 'UTC')");
    let stored = Step::ALL.map(|step| StoredRollUp::of(table, step));
    let mut query = None;
    for roll_up in &stored {
        let Some(feed) = feed_of(client, roll_up)? else { continue };
        query.get_or_insert(feed.as_select);
        client.execute(&format!("ALTER TABLE {} DELETE WHERE {hours}", identifier(&roll_up.states)))?;
    }
    let Some(query) = query else { return Ok(()) };
    // The five minutes, which feed the hours in turn. Rows that were replaced may not be merged yet.
    let states = &stored[0].states;
    let columns: Vec<Name> = client.rows(&format!(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {} ORDER BY position",
        literal(states)
    ))?;
    let columns = list(columns.iter().map(|column| column.name.as_str()));
    client.execute(&format!(
        "INSERT INTO {} ({columns}) SETTINGS insert_deduplicate = 0, final = 1 SELECT {columns} FROM ({query}) WHERE {hours}",
        identifier(states)
    ))
}

fn feed_of(client: &Client, roll_up: &StoredRollUp) -> Result<Option<Feed>, ServerError> {
    let query = format!(
        "SELECT as_select FROM system.tables \
         WHERE database = currentDatabase() AND name = {} AND engine = 'MaterializedView'",
        literal(&roll_up.feed)
    );
    Ok(client.rows(&query)?.into_iter().next())
}
