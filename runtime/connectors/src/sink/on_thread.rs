//! A sink on a thread of its own: rows are encoded while the engine goes on with the next tick.
//!
//! Everything is done in the order in which it was asked for, so the sink sees what it would see without the thread. At
//! most [`QUEUE`] writes wait; then the engine does. A write that fails does so behind the engine's back: the error is
//! the answer to the engine's next call, and the rows are kept. If it was worth trying again, the call after that tries.

use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Positions, Sink};

/// Writes that wait, of at most 16,384 rows each.
const QUEUE: usize = 16;

/// Runs a sink on a thread of its own.
pub struct SinkOnThread {
    name: String,
    /// `None` while the thread ends.
    requests: Option<Sender<Request>>,
    failure: Failure,
    needs_rows: bool,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is to do.
enum Request {
    Write(Arc<Table>, RecordBatch),
    Prepare(Epoch, Sender<Result<Vec<u8>, PortError>>),
    Finalise(Epoch, Vec<u8>, Sender<Result<(), PortError>>),
    Positions(Positions),
    Watermark(i64),
    Idle(bool),
    /// Answers whether the sink needs rows again.
    Recover(Epoch, Option<Vec<u8>>, Sender<Result<bool, PortError>>),
}

/// Why rows could not be written, until the engine is told.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<PortError>>>);

impl Failure {
    fn lock(&self) -> MutexGuard<'_, Option<PortError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SinkOnThread {
    /// Starts the thread.
    pub fn start(sink: Box<dyn Sink>) -> Result<Self, PortError> {
        let (name, failure) = (sink.name().to_owned(), Failure::default());
        let (requests, received) = bounded(QUEUE);
        let writer = Writer { sink, failure: failure.clone(), unwritten: VecDeque::new() };
        let thread = std::thread::Builder::new().name(format!("sink-{name}")).spawn(move || writer.run(&received));
        let thread = thread.map_err(|error| PortError::Stop(format!("cannot start a thread for {name}: {error}")))?;
        Ok(Self { name, requests: Some(requests), failure, needs_rows: false, thread: Some(thread) })
    }

    /// Hands `request` over; waits while the queue is full.
    fn send(&self, request: Request) -> Result<(), PortError> {
        let requests = self.requests.as_ref().expect("taken only when dropped");
        requests.send(request).map_err(|_| self.ended())
    }

    /// Hands a request over and waits for its answer.
    fn ask<T>(&self, request: impl FnOnce(Sender<Result<T, PortError>>) -> Request) -> Result<T, PortError> {
        let (answer, answered) = bounded(1);
        self.send(request(answer))?;
        answered.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    fn ended(&self) -> PortError {
        PortError::Stop(format!("the thread of the sink {} has ended: standard error says why", self.name))
    }
}

impl Sink for SinkOnThread {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        // The lock must be free while the queue is full: the thread needs it to empty the queue.
        let failure = self.failure.lock().take();
        match failure {
            Some(failure) => Err(failure),
            None => self.send(Request::Write(table.clone(), rows.clone())),
        }
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.ask(|answer| Request::Prepare(epoch, answer))
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.ask(|answer| Request::Finalise(epoch, handle.to_vec(), answer))
    }

    fn positions(&mut self, positions: &Positions) {
        // A thread that has ended says so when it is asked to prepare.
        let _ = self.send(Request::Positions(positions.clone()));
    }

    fn watermark(&mut self, watermark_ms: i64) {
        let _ = self.send(Request::Watermark(watermark_ms));
    }

    fn idle(&mut self, idle: bool) {
        let _ = self.send(Request::Idle(idle));
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.needs_rows = self.ask(|answer| Request::Recover(committed, handle.map(<[u8]>::to_vec), answer))?;
        Ok(())
    }

    fn needs_rows(&self) -> bool {
        self.needs_rows
    }
}

impl Drop for SinkOnThread {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(sink = %self.name, "the thread of the sink has panicked");
        }
    }
}

/// The thread's side.
struct Writer {
    sink: Box<dyn Sink>,
    failure: Failure,
    /// Rows whose write failed, and those behind them: no more than were on their way when it did.
    unwritten: VecDeque<(Arc<Table>, RecordBatch)>,
}

impl Writer {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            match request {
                Request::Write(table, rows) => {
                    self.unwritten.push_back((table, rows));
                    // Until the engine knows of a failure, and has paused, there is no use in trying again.
                    if self.failure.lock().is_none() {
                        *self.failure.lock() = self.write_all().err();
                    }
                }
                Request::Positions(positions) => self.sink.positions(&positions),
                Request::Watermark(watermark_ms) => self.sink.watermark(watermark_ms),
                Request::Idle(idle) => self.sink.idle(idle),
                Request::Prepare(epoch, answer) => {
                    *self.failure.lock() = None;
                    let prepared = self.write_all().and_then(|()| self.sink.prepare(epoch));
                    // An engine that no longer waits has been dropped.
                    let _ = answer.send(prepared);
                }
                Request::Finalise(epoch, handle, answer) => {
                    let _ = answer.send(self.sink.finalise(epoch, &handle));
                }
                Request::Recover(epoch, handle, answer) => {
                    let recovered = self.sink.recover(epoch, handle.as_deref());
                    let _ = answer.send(recovered.map(|()| self.sink.needs_rows()));
                }
            }
        }
    }

    fn write_all(&mut self) -> Result<(), PortError> {
        while let Some((table, rows)) = self.unwritten.front() {
            self.sink.write(table, rows)?;
            self.unwritten.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, UInt64Array};

    /// Keeps the numbers it gets; writes fail as often as `failures` says.
    #[derive(Default)]
    struct Numbers {
        failures: u32,
        rows: Vec<u64>,
    }

    impl Sink for Numbers {
        fn name(&self) -> &str {
            "numbers"
        }

        fn write(&mut self, _: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(PortError::Retry("not now".to_owned()));
            }
            let rows = rows.column(0).as_any().downcast_ref::<UInt64Array>().expect("numbers");
            self.rows.extend(rows.values());
            Ok(())
        }

        fn prepare(&mut self, _: Epoch) -> Result<Vec<u8>, PortError> {
            Ok(self.rows.drain(..).map(|row| row as u8).collect())
        }

        fn finalise(&mut self, _: Epoch, _: &[u8]) -> Result<(), PortError> {
            Err(PortError::Stop("never".to_owned()))
        }

        fn recover(&mut self, _: Epoch, _: Option<&[u8]>) -> Result<(), PortError> {
            Ok(())
        }
    }

    fn batch(number: u64) -> RecordBatch {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![number]));
        RecordBatch::try_from_iter([("number", column)]).expect("one column")
    }

    #[test]
    fn rows_arrive_once_and_in_order_through_failures() {
        for failures in [0, 1, 5] {
            let mut sink = SinkOnThread::start(Box::new(Numbers { failures, ..Numbers::default() })).expect("a thread");
            let (table, mut told) = (Table::events(), 0);
            for number in 0..100 {
                while sink.write(&table, &batch(number)).is_err() {
                    told += 1;
                }
            }
            let prepared = loop {
                match sink.prepare(Epoch(1)) {
                    Ok(handle) => break handle,
                    Err(_) => told += 1,
                }
            };
            assert_eq!(prepared, (0..100).collect::<Vec<u8>>());
            assert!(told <= failures, "{told} of {failures} failures were told of");
        }
    }

    #[test]
    fn answers_come_back() {
        let mut sink = SinkOnThread::start(Box::new(Numbers::default())).expect("a thread");
        sink.recover(Epoch(0), None).expect("recovers");
        let error = sink.finalise(Epoch(1), &[]).expect_err("it says never");
        assert_eq!(error.to_string(), "never");
    }
}
