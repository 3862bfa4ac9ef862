//! Plays the engine's part against a database of its own: rows that depend on the epoch alone, commits, kills, restarts.

use crate::fail_point::FailPoint;
use crate::sink::clickhouse::{ClickHouseSettings, ClickHouseSink};
use crate::sink::json_rows;
use crate::sink::parquet::driver::rows_of;
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use test_clickhouse::Server;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::{PortError, Sink};

/// Whether there is an engine. If not, the test was not run, which is reported, or fails where every test must run.
pub(super) fn is_there(test: &str) -> bool {
    test_clickhouse::shared(&format!("sink::clickhouse::tests::{test}")).is_some()
}

/// A database that nobody else has, and an outbox.
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) database: String,
    pub(super) outbox: tempfile::TempDir,
    pub(super) settings: ClickHouseSettings,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::on(Server::shared())
    }

    pub(super) fn on(server: Server) -> Self {
        let (database, outbox) = (server.new_database(), tempfile::tempdir().unwrap());
        let password_file = outbox.path().join("password");
        std::fs::write(&password_file, &server.password).unwrap();
        let settings = ClickHouseSettings {
            url: server.url.clone(),
            database: database.clone(),
            user: server.user.clone(),
            password_file: Some(password_file),
            // The rows of these tests are of a fixed day.
            ttl_days: 0,
            ..ClickHouseSettings::default()
        };
        Self { server, database, outbox, settings }
    }

    pub(super) fn outbox(&self) -> std::path::PathBuf {
        self.outbox.path().join("outbox")
    }

    pub(super) fn open(&self, fail_point: FailPoint) -> ClickHouseSink {
        ClickHouseSink::open(self.settings.clone(), "job", &self.outbox(), &[], fail_point).unwrap()
    }

    pub(super) fn query(&self, query: &str) -> String {
        self.server.query(&self.database, query)
    }

    /// Every row of a table, columns as rows of the engine have them.
    pub(super) fn rows(&self, table: &str) -> Vec<String> {
        let columns = match table {
            "dead_letters" => {
                "* EXCEPT inserted_at REPLACE (lower(hex(state)) AS state, lower(hex(payload)) AS payload)"
            }
            _ => "*",
        };
        let query = format!("SELECT {columns} FROM {table} FORMAT JSONEachRow");
        normalised(self.query(&query).as_bytes())
    }

    /// Compares every table with what the epochs up to `last` wrote.
    pub(super) fn assert_has(&self, last: u64, what: &str) {
        for (table, expected) in expected(last) {
            assert_eq!(self.rows(&table), expected, "rows of {table} after {what}");
        }
    }
}

/// Rows by table.
fn expected(last: u64) -> BTreeMap<String, Vec<String>> {
    let mut text: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (table, rows) in (1..=last).flat_map(rows_of) {
        let name = match &table.kind {
            TableKind::Events => "events".to_owned(),
            TableKind::DeadLetters => "dead_letters".to_owned(),
            TableKind::Metric(name) => name.replace('-', "_"),
        };
        json_rows::append(&rows, text.entry(name).or_default()).unwrap();
    }
    text.into_iter().map(|(name, text)| (name, normalised(&text))).collect()
}

/// Rows in one order and with one form of numbers.
fn normalised(lines: &[u8]) -> Vec<String> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut rows: Vec<String> = lines
        .map(|line| {
            let row: BTreeMap<String, Value> = serde_json::from_slice(line).unwrap();
            let row = row.into_iter().map(|(name, value)| (name, value.as_f64().map_or(value, Value::from)));
            serde_json::to_string(&row.collect::<BTreeMap<_, _>>()).unwrap()
        })
        .collect();
    rows.sort_unstable();
    rows
}

/// What the state backend would keep.
#[derive(Clone, Default)]
pub(super) struct Committed {
    pub(super) epoch: u64,
    pub(super) handle: Option<Vec<u8>>,
}

/// Runs the epochs after the committed one up to `last`, each call repeated as the engine repeats it.
pub(super) fn run_epochs(sink: &mut ClickHouseSink, committed: &mut Committed, last: u64) -> Result<(), PortError> {
    sink.recover(Epoch(committed.epoch), committed.handle.as_deref())?;
    for epoch in committed.epoch + 1..=last {
        for (table, rows) in rows_of(epoch) {
            let half = rows.num_rows() / 2;
            sink.write(&table, &rows.slice(0, half))?;
            sink.write(&table, &rows.slice(half, rows.num_rows() - half))?;
        }
        let handle = sink.prepare(Epoch(epoch))?;
        *committed = Committed { epoch, handle: Some(handle.clone()) };
        sink.finalise(Epoch(epoch), &handle)?;
    }
    Ok(())
}

/// Runs to the end with kills on the way: each at the so manieth call of the fail point after a start. Says which fail
/// points were reached.
pub(super) fn run_with_kills(bench: &Bench, last: u64, kills: &[usize]) -> Vec<&'static str> {
    let mut committed = Committed::default();
    let reached = Arc::new(Mutex::new(Vec::new()));
    for kill in kills.iter().copied().map(Some).chain([None]) {
        let (log, calls) = (reached.clone(), AtomicUsize::new(0));
        let fail_point = move |name| {
            log.lock().unwrap().push(name);
            if Some(calls.fetch_add(1, Ordering::SeqCst) + 1) == kill {
                resume_unwind(Box::new(name));
            }
        };
        let mut sink = bench.open(Arc::new(fail_point));
        let ended = catch_unwind(AssertUnwindSafe(|| run_epochs(&mut sink, &mut committed, last).unwrap()));
        if ended.is_ok() {
            break;
        }
    }
    assert_eq!(committed.epoch, last);
    Arc::into_inner(reached).unwrap().into_inner().unwrap()
}

/// What is left in the outbox.
pub(super) fn left_in(outbox: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(outbox).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut entries: Vec<String> = entries.collect();
    entries.sort_unstable();
    entries
}
