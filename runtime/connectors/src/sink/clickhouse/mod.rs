//! The ClickHouse sink: hot rows on a server, exactly once by epoch.
//!
//! ```text
//! write ── blocks by table ── outbox on local disk ──commit point── inserts ── tables ── roll-ups of 5 minutes ── of 1 hour
//!          [`blocks`]         [`outbox`]                            [`deliver`] [`layout`] [`roll_up`]
//! ```
//!
//! An epoch's rows are cut into blocks, which prepare makes durable in the [`outbox`]; nothing reaches the server before
//! the commit point. Finalise inserts block by block, each with a token by which the server knows it: sent again after
//! a crash or a lost answer, it adds nothing, neither to the table nor to the roll-ups behind it. While the server is
//! away finalise asks to be tried again, so the job waits and then goes on where it was.
//!
//! Tables are made from the rows' columns and grow with them ([`schema`], [`migration`]), before the commit point: rows
//! that have no place are refused while they can still be refused. The [`ledger`] says whose the database is. Rows of
//! epochs that the state does not know are removed at the start ([`rewind`]); an outbox that was lost with its disk is
//! made good by running the epoch again. Cold files are readable beside hot rows ([`cold`]).

mod blocks;
mod client;
mod cold;
mod column;
mod deliver;
mod handle;
mod layout;
mod ledger;
mod migration;
mod outbox;
mod reader;
mod rewind;
mod roll_up;
mod schema;
mod settings;
mod sql;

#[cfg(test)]
mod tests;

pub use cold::ColdSettings;
pub use layout::refused_metric_name;
pub use reader::{Answer, ClickHouseReader, ReadError, ReadLimits};
pub use settings::{ClickHouseSettings, RollUpSettings};

use crate::fail_point::FailPoint;
use arrow_array::RecordBatch;
use blocks::Blocks;
use client::Client;
use handle::Handle;
use layout::Layout;
use ledger::Owner;
use outbox::Outbox;
use rewind::Since;
use schema::Schema;
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};

/// Names of the fail points.
mod step {
    pub(super) const WRITE_CLOSED: &str = "clickhouse.write.closed";
    pub(super) const PREPARE_BEFORE: &str = "clickhouse.prepare.before";
    pub(super) const PREPARE_WRITTEN: &str = "clickhouse.prepare.written";
    pub(super) const PREPARE_AFTER: &str = "clickhouse.prepare.after";
    pub(super) const FINALISE_BEFORE: &str = "clickhouse.finalise.before";
    pub(super) const INSERT_BEFORE: &str = "clickhouse.insert.before";
    pub(super) const INSERT_UNACKNOWLEDGED: &str = "clickhouse.insert.unacknowledged";
    pub(super) const FINALISE_MARKED: &str = "clickhouse.finalise.marked";
    pub(super) const FINALISE_AFTER: &str = "clickhouse.finalise.after";
    pub(super) const RECOVER_DELIVERED: &str = "clickhouse.recover.delivered";
    pub(super) const RECOVER_CLEARED: &str = "clickhouse.recover.cleared";
}

/// The steps at which a test may end the process, in the order of an epoch, those of recovery last. `written` and those
/// of `insert` are reached for every block, `closed` only where a block is full before its epoch ends.
pub const FAIL_POINTS: [&str; 11] = [
    step::WRITE_CLOSED,
    step::PREPARE_BEFORE,
    step::PREPARE_WRITTEN,
    step::PREPARE_AFTER,
    step::FINALISE_BEFORE,
    step::INSERT_BEFORE,
    step::INSERT_UNACKNOWLEDGED,
    step::FINALISE_MARKED,
    step::FINALISE_AFTER,
    step::RECOVER_DELIVERED,
    step::RECOVER_CLEARED,
];

/// Rows in a ClickHouse database.
pub struct ClickHouseSink {
    settings: ClickHouseSettings,
    fail_point: FailPoint,
    client: Client,
    outbox: Outbox,
    /// Known from recovery on.
    owner: Owner,
    schema: Schema,
    blocks: Blocks,
    /// Tables that are to be there before they have rows.
    declared: Vec<Arc<Table>>,
    /// Prepared and not finalised.
    prepared: Option<Epoch>,
    /// Whether the outbox was lost with rows of the committed epoch in it.
    needs_rows: bool,
}

impl ClickHouseSink {
    /// A sink of the job named `job`, with the folder `outbox` for itself. The server is first asked by
    /// [`Sink::recover`], which also creates `tables`: rows of others may come, and create theirs.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings, a password that cannot be read, a folder that cannot be written or that
    /// another process writes, and tables that cannot be in ClickHouse.
    pub fn open(
        settings: ClickHouseSettings,
        job: &str,
        outbox: &Path,
        tables: &[Arc<Table>],
        fail_point: FailPoint,
    ) -> Result<Self, PortError> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(PortError::Stop(format!("settings of the ClickHouse sink: {}", mistakes.join("; "))));
        }
        let wanted = |table: &&Arc<Table>| settings.events || table.kind != TableKind::Events;
        let declared: Vec<_> = tables.iter().filter(wanted).cloned().collect();
        for table in &declared {
            Layout::of(table)?;
        }
        let client = Client::new(&settings)?;
        Ok(Self {
            client,
            outbox: Outbox::open(outbox)?,
            owner: Owner { job: job.to_owned(), incarnation: 0, removing: None },
            schema: Schema::default(),
            blocks: Blocks::default(),
            declared,
            prepared: None,
            needs_rows: false,
            settings,
            fail_point,
        })
    }

    /// Makes sure of the database and that it is this job's.
    fn enter(&mut self) -> Result<(), PortError> {
        let database = self.settings.database.clone();
        let (client, asked) = (&mut self.client, format!("enter the database {database}"));
        let create = format!("CREATE DATABASE IF NOT EXISTS {}", sql::identifier(&database));
        client.execute(&create).map_err(|error| client.port_error(&asked, &error))?;
        client.use_database(&database);
        let port_error = |error| client.port_error(&asked, &error);
        match ledger::open(client).map_err(port_error)? {
            None => ledger::keep(client, &self.owner).map_err(port_error),
            Some(owner) if owner.job == self.owner.job => {
                self.owner = owner;
                Ok(())
            }
            Some(owner) => Err(PortError::Stop(format!(
                "the database {database} belongs to the job {}: name another database for the job {}",
                owner.job, self.owner.job
            ))),
        }
    }
}

impl Sink for ClickHouseSink {
    fn name(&self) -> &str {
        "clickhouse"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        if table.kind == TableKind::Events && !self.settings.events {
            return Ok(());
        }
        if self.blocks.add(table, rows, &self.outbox, &self.settings)? {
            (self.fail_point)(step::WRITE_CLOSED);
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        (self.fail_point)(step::PREPARE_BEFORE);
        if let Some(earlier) = self.prepared {
            return Err(PortError::Stop(format!("epoch {epoch} was prepared before epoch {earlier} was finalised")));
        }
        let layouts: Vec<Layout> = self.blocks.tables().map(|table| Layout::of(table)).collect::<Result<_, _>>()?;
        for layout in &layouts {
            // Behind the commit point it would be too late to refuse.
            self.prepare_table(layout, epoch)?;
        }
        self.blocks.close_all(&self.outbox, || (self.fail_point)(step::PREPARE_WRITTEN))?;
        if !self.blocks.closed().is_empty() {
            self.outbox.close(epoch)?;
        }
        let handle = Handle::new(epoch, self.blocks.closed());
        self.blocks.clear();
        self.needs_rows = false;
        self.prepared = Some(epoch);
        (self.fail_point)(step::PREPARE_AFTER);
        Ok(handle.to_bytes())
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        (self.fail_point)(step::FINALISE_BEFORE);
        let handle = Handle::parse(handle)?;
        if handle.epoch != epoch {
            return Err(PortError::Stop(format!("epoch {epoch} was finalised with the handle of {}", handle.epoch)));
        }
        self.deliver(&handle)?;
        self.prepared = None;
        (self.fail_point)(step::FINALISE_AFTER);
        Ok(())
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.enter()?;
        if let Some(handle) = handle.map(Handle::parse).transpose()? {
            if handle.epoch > committed {
                return Err(PortError::Stop(format!(
                    "epoch {committed} is committed, but the handle is of {}: the state is damaged; restore the newest \
                     checkpoint",
                    handle.epoch
                )));
            }
            self.needs_rows = self.has_lost(&handle)?;
            if !self.needs_rows {
                self.deliver(&handle)?;
            }
        }
        (self.fail_point)(step::RECOVER_DELIVERED);
        self.outbox.clear()?;
        (self.fail_point)(step::RECOVER_CLEARED);
        let (since, last) = match committed.0.checked_sub(1).filter(|_| self.needs_rows) {
            // How much of the epoch the server has, nobody knows: it gets all of it again.
            Some(before) => (Since::BeforeAgain(Epoch(before)), Epoch(before)),
            None => (Since::Committed(committed), committed),
        };
        if rewind::remove_later(&self.client, &mut self.owner, since)? {
            // Later epochs were delivered, but are to come again.
            self.outbox.mark_delivered(last)?;
        }
        for table in self.declared.clone() {
            self.declare(Layout::of(&table)?, Epoch(committed.0 + 1))?;
        }
        Ok(())
    }

    fn needs_rows(&self) -> bool {
        self.needs_rows
    }
}
