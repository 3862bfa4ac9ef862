//! Live rows: what an epoch has made visible, on its way to those who watch.
//!
//! [`LiveTap`] is a sink like any other, so rows pass once, in the order of the tables, when their epoch is committed and
//! shown, and rows of a recovery never. It keeps nothing that nobody asked for, copies what it keeps, and waits for no one:
//! a reader that is too slow loses the oldest rows and is told how many.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Rows of one message.
const MESSAGE_ROWS: usize = 1_024;

/// Messages that a reader may be behind.
const MESSAGES: usize = 64;

/// Rows of a metric that are passed on of one epoch; what is beyond counts as lost.
const EPOCH_ROWS: usize = 16 * MESSAGE_ROWS;

/// Who watches which metric.
#[derive(Clone, Default)]
pub struct LiveRows(Arc<Watched>);

#[derive(Default)]
struct Watched {
    metrics: Mutex<BTreeMap<String, Channel>>,
    readers: AtomicUsize,
}

/// The readers of a metric.
struct Channel {
    sender: broadcast::Sender<Message>,
    /// Rows that readers got so far, or were told to have lost.
    passed: u64,
}

/// Some rows of an epoch.
#[derive(Clone)]
struct Message {
    epoch: Epoch,
    /// Rows of the metric before these, the ones included that were not passed on.
    before: u64,
    rows: RecordBatch,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Live {
    /// Rows.
    Rows {
        /// The epoch that they are of.
        epoch: Epoch,
        /// The rows.
        rows: RecordBatch,
    },
    /// So many rows were lost, because the reader was too slow or an epoch had too many.
    Lost(u64),
}

/// One who watches a metric.
pub struct LiveReader {
    messages: broadcast::Receiver<Message>,
    /// Rows that came so far, or were told to be lost.
    seen: u64,
    waiting: Option<Message>,
    watched: Arc<Watched>,
}

impl LiveRows {
    /// Watches a metric; `None` where `most` others are watching.
    #[must_use]
    pub fn watch(&self, metric: &str, most: usize) -> Option<LiveReader> {
        let room = |readers| (readers < most).then_some(readers + 1);
        self.0.readers.fetch_update(Relaxed, Relaxed, room).ok()?;
        let mut metrics = self.0.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Channel { sender: broadcast::channel(MESSAGES).0, passed: 0 };
        let channel = metrics.entry(metric.to_owned()).or_insert_with(new);
        let messages = channel.sender.subscribe();
        Some(LiveReader { messages, seen: channel.passed, waiting: None, watched: self.0.clone() })
    }

    /// How many watch.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.readers.load(Relaxed)
    }

    /// The sink that feeds them.
    #[must_use]
    pub fn tap(&self) -> LiveTap {
        LiveTap { watched: self.0.clone(), pending: BTreeMap::new() }
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.watched.readers.fetch_sub(1, Relaxed);
    }
}

impl LiveReader {
    /// The next rows, or how many were lost; `None` when no more come.
    pub async fn next(&mut self) -> Option<Live> {
        let message = match self.waiting.take() {
            Some(message) => message,
            None => loop {
                match self.messages.recv().await {
                    Ok(message) => break message,
                    // What was lost shows in the next message.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            },
        };
        let lost = message.before.saturating_sub(self.seen);
        if lost > 0 {
            self.seen = message.before;
            self.waiting = Some(message);
            return Some(Live::Lost(lost));
        }
        self.seen = message.before + message.rows.num_rows() as u64;
        Some(Live::Rows { epoch: message.epoch, rows: message.rows })
    }
}

/// Rows of the open epoch that somebody watches.
pub struct LiveTap {
    watched: Arc<Watched>,
    /// Copies of the rows of the open epoch, by metric, and how many rows there were altogether.
    pending: BTreeMap<String, (Vec<RecordBatch>, usize)>,
}

impl Sink for LiveTap {
    fn name(&self) -> &str {
        "live"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        let TableKind::Metric(metric) = &table.kind else { return Ok(()) };
        {
            let metrics = self.watched.metrics.lock().unwrap_or_else(PoisonError::into_inner);
            if metrics.get(metric).is_none_or(|channel| channel.sender.receiver_count() == 0) {
                return Ok(());
            }
        }
        let (batches, count) = self.pending.entry(metric.clone()).or_default();
        let wanted = rows.num_rows().min(EPOCH_ROWS.saturating_sub(*count));
        for start in (0..wanted).step_by(MESSAGE_ROWS) {
            let piece = rows.slice(start, MESSAGE_ROWS.min(wanted - start));
            // A copy: a piece would keep the whole batch in memory for as long as somebody is behind.
            let copy = concat_batches(&rows.schema(), [&piece]);
            batches.push(copy.map_err(|error| PortError::Stop(format!("live rows cannot be copied: {error}")))?);
        }
        *count += rows.num_rows();
        Ok(())
    }

    fn prepare(&mut self, _: Epoch) -> Result<Vec<u8>, PortError> {
        Ok(Vec::new())
    }

    fn finalise(&mut self, epoch: Epoch, _: &[u8]) -> Result<(), PortError> {
        let mut metrics = self.watched.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        for (metric, (batches, count)) in std::mem::take(&mut self.pending) {
            let Some(channel) = metrics.get_mut(&metric) else { continue };
            let mut before = channel.passed;
            channel.passed += count as u64;
            for rows in batches {
                let rows_of_message = rows.num_rows() as u64;
                // An error means that nobody listens any more.
                let _ = channel.sender.send(Message { epoch, before, rows });
                before += rows_of_message;
            }
        }
        Ok(())
    }

    fn recover(&mut self, _: Epoch, _: Option<&[u8]>) -> Result<(), PortError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

    fn rows(numbers: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("n", column)]).expect("a batch")
    }

    fn count(live: Option<Live>) -> (bool, u64) {
        match live.expect("there is more") {
            Live::Rows { rows, .. } => (true, rows.num_rows() as u64),
            Live::Lost(lost) => (false, lost),
        }
    }

    fn epoch(tap: &mut LiveTap, number: u64, numbers: std::ops::Range<i64>) {
        tap.write(&Table::metric("m", &[]), &rows(numbers)).expect("written");
        tap.prepare(Epoch(number)).expect("prepared");
        tap.finalise(Epoch(number), &[]).expect("shown");
    }

    #[tokio::test]
    async fn rows_come_when_their_epoch_is_shown() {
        let live = LiveRows::default();
        let mut tap = live.tap();
        let mut reader = live.watch("m", 8).expect("room");
        tap.write(&Table::metric("m", &[]), &rows(0..3)).expect("written");
        assert!(reader.messages.is_empty(), "not committed yet");
        tap.finalise(Epoch(1), &[]).expect("shown");
        assert_eq!(count(reader.next().await), (true, 3));
        drop(tap);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_rows_and_is_told() {
        let live = LiveRows::default();
        let mut tap = live.tap();
        let mut reader = live.watch("m", 8).expect("room");
        let all = MESSAGES as u64 + 10;
        epoch(&mut tap, 1, 0..1);
        assert_eq!(count(reader.next().await), (true, 1));
        (2..all + 2).for_each(|number| epoch(&mut tap, number, 0..2));
        let (is_rows, lost) = count(reader.next().await);
        assert!(!is_rows && lost > 0);
        let mut got = 0;
        while !reader.messages.is_empty() || reader.waiting.is_some() {
            let (is_rows, rows) = count(reader.next().await);
            assert!(is_rows);
            got += rows;
        }
        assert_eq!(got + lost, 2 * all);
    }

    #[tokio::test]
    async fn an_epoch_with_too_many_rows_is_cut_and_said_to_be() {
        let live = LiveRows::default();
        let mut tap = live.tap();
        let mut reader = live.watch("m", 8).expect("room");
        epoch(&mut tap, 1, 0..EPOCH_ROWS as i64 + 5);
        epoch(&mut tap, 2, 0..1);
        for _ in 0..EPOCH_ROWS / MESSAGE_ROWS {
            assert_eq!(count(reader.next().await), (true, MESSAGE_ROWS as u64));
        }
        assert_eq!(count(reader.next().await), (false, 5));
        assert_eq!(count(reader.next().await), (true, 1));
    }

    #[test]
    fn readers_are_bounded_and_nothing_is_kept_for_nobody() {
        let live = LiveRows::default();
        let mut tap = live.tap();
        let reader = live.watch("m", 1).expect("room");
        assert!(live.watch("m", 1).is_none());
        drop(reader);
        assert_eq!(live.readers(), 0);
        tap.write(&Table::metric("m", &[]), &rows(0..3)).expect("written");
        assert!(tap.pending.is_empty());
    }
}
