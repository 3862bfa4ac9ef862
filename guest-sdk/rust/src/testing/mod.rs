//! Tests of metrics without a runtime: [`MetricTestDriver`] plays the host, one line per record, after the model of
//! Kafka Streams' `TopologyTestDriver`. Time moves only where a test says so.

mod cell;
mod event;
mod call;
mod groups;
mod aligned;
mod session;
mod keyed;
mod join;

pub use call::TestRow;

use crate::facts::Window;
use crate::input::InputField;
use crate::json::JsonValue;
use crate::metric::{Metric, Side};
use crate::output::Output;
use call::Caller;
use cell::Cell;
use event::Event;
use groups::{Grouping, Record};

/// Runs one metric on events and watermarks, with the window that it declares.
///
/// Every batch is given to the metric twice, as a whole and group by group: a metric whose answers differ is not pure,
/// and the driver panics. All methods panic on what cannot be meant, with a message that says what is wrong.
///
/// ```
/// # use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Metric, Output, Rows, State};
/// # #[derive(Metric)]
/// # #[metric(name = "hits", key = "data.page", window(session = "30s"), mergeable)]
/// # struct Hits;
/// # #[derive(Input)]
/// # struct Hit {}
/// # #[derive(State, Default)]
/// # struct Count { hits: i64 }
/// # #[derive(Output)]
/// # struct Visit { hits: i64 }
/// # impl Fold for Hits {
/// #     type Input = Hit;
/// #     type State = Count;
/// #     type Output = Visit;
/// #     fn update(&self, count: &mut Count, rows: Rows<Hit>, _: &mut Context<Visit>) -> Result<(), Failure> {
/// #         count.hits += rows.count() as i64;
/// #         Ok(())
/// #     }
/// #     fn close(&self, count: &mut Count, _: CloseReason, context: &mut Context<Visit>) -> Result<(), Failure> {
/// #         context.emit(Visit { hits: count.hits });
/// #         Ok(())
/// #     }
/// # }
/// # impl tidemark_metric::Merge for Hits {
/// #     fn merge(&self, count: &mut Count, later: Count) -> Result<(), Failure> {
/// #         count.hits += later.hits;
/// #         Ok(())
/// #     }
/// # }
/// use tidemark_metric::testing::MetricTestDriver;
///
/// let mut driver = MetricTestDriver::new(Hits); // a session per page, with a gap of 30 s
/// for seconds in [0, 50, 25] {
///     driver.event(&format!(r#"{{"type": "hit", "timestamp": {}, "data": {{"page": "/"}}}}"#, seconds * 1000));
/// }
/// driver.finish();
/// let visit = &driver.rows()[0];
/// assert_eq!((visit.window_start_ms, visit.window_end_ms, visit.hits), (0, 80_000, 3));
/// ```
pub struct MetricTestDriver<M: Metric> {
    caller: Caller<M>,
    inputs: Vec<(InputField, Option<Side>)>,
    grouping: Grouping,
    watermark: i64,
    events: u64,
}

impl<M: Metric> MetricTestDriver<M> {
    /// A driver of `metric`, with its settings as they are.
    #[must_use]
    pub fn new(metric: M) -> Self {
        let grouping = Grouping::new(M::FACTS.window);
        let mut caller = Caller::new(metric);
        caller.has_timers = grouping.has_timers();
        Self { caller, inputs: M::inputs(), grouping, watermark: i64::MIN, events: 0 }
    }

    /// A driver of the metric with the settings in `json`.
    ///
    /// # Panics
    /// If the metric refuses them.
    #[must_use]
    pub fn configured(json: &str) -> Self {
        Self::new(M::configure(json).unwrap_or_else(|failure| panic!("the settings are refused: {failure}")))
    }

    /// The driver with another window than the declared one, as a deployment may choose it.
    ///
    /// # Panics
    /// If one is a join and the other is not.
    #[must_use]
    pub fn with_window(mut self, window: Window) -> Self {
        let is_join = |window: &Window| matches!(window, Window::Join(_));
        assert_eq!(is_join(&window), is_join(&M::FACTS.window), "a join stays a join");
        self.grouping = Grouping::new(window);
        self.caller.has_timers = self.grouping.has_timers();
        self
    }

    /// The driver with windows that count late rows for `allowed_lateness_ms` more, and fire again for each.
    #[must_use]
    pub fn with_allowed_lateness(mut self, allowed_lateness_ms: i64) -> Self {
        self.grouping.allow_lateness(allowed_lateness_ms);
        self
    }

    /// Feeds one event, an envelope as JSON. Its time is `data.timestamp`, else the envelope's `timestamp`. Events that
    /// the filter does not want and events without a key change nothing.
    ///
    /// # Panics
    /// If it is no JSON object or has no event time.
    pub fn event(&mut self, json: &str) {
        self.events([json]);
    }

    /// Feeds several events in one batch; one line, one event, empty lines are skipped.
    ///
    /// # Panics
    /// Like [`Self::event`].
    pub fn events<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let mut records = Vec::new();
        for line in lines.into_iter().filter(|line| !line.trim().is_empty()) {
            self.events += 1;
            let event = Event::parse(line, self.events);
            if event.passes(M::FACTS.filter) {
                records.extend(self.records(&event));
            }
        }
        records.sort_by_key(|record| (record.event_time_ms, record.sequence));
        self.grouping.fold(&mut self.caller, records, self.watermark);
    }

    /// Moves event time: everything up to `event_time_ms` has come, what is due is closed. Never moves back.
    pub fn advance_watermark(&mut self, event_time_ms: i64) {
        if event_time_ms > self.watermark {
            self.watermark = event_time_ms;
            self.grouping.advance(&mut self.caller, event_time_ms);
        }
    }

    /// Ends the input: the watermark goes to the end of time.
    pub fn finish(&mut self) {
        self.advance_watermark(i64::MAX);
    }

    /// The rows that the metric emitted, in order. A row is read by field.
    #[must_use]
    pub fn rows(&self) -> Vec<TestRow<'_, <M::Output as Output>::Row<'_>>> {
        self.caller.rows()
    }

    /// The same rows as events of type `metric.<name>`, one JSON text each: input for a metric that reads this one.
    #[must_use]
    pub fn rows_as_events(&self) -> Vec<String> {
        let event = |row: &call::KeptRow| {
            let columns = M::Output::COLUMNS.iter().map(|column| column.name);
            let data = columns.zip(row.cells().iter().map(Cell::to_json)).chain([("key", row.key().into())]);
            let envelope = JsonValue::object([
                ("type", format!("metric.{}", M::FACTS.name).as_str().into()),
                ("timestamp", row.event_time_ms().into()),
                ("data", JsonValue::object(data)),
            ]);
            envelope.to_string()
        };
        self.caller.kept().iter().map(event).collect()
    }

    /// Groups that failed, each as `key: message`.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        self.caller.failures()
    }

    /// How many rows came too late for every window or partner.
    #[must_use]
    pub fn late(&self) -> usize {
        self.grouping.late()
    }

    /// An event as a row of input: one, or for a join one per side that wants it.
    fn records(&self, event: &Event) -> Vec<Record> {
        let Some(key) = event.text(M::FACTS.key).filter(|key| !key.is_empty()) else { return Vec::new() };
        let record = |side: Option<Side>| Record {
            key: key.clone(),
            event_time_ms: event.time_ms,
            sequence: event.sequence,
            side,
            cells: self
                .inputs
                .iter()
                .map(|(field, of)| if *of == side { event.cell(field.path, field.kind) } else { Cell::Null })
                .collect(),
        };
        match self.grouping.sides() {
            None => vec![record(None)],
            Some(filters) => {
                let sides = [Side::Left, Side::Right].into_iter().zip(filters);
                sides.filter(|(_, filter)| event.passes(filter)).map(|(side, _)| record(Some(side))).collect()
            }
        }
    }
}

/// A real capture of the first user's events, for tests of the project's own metrics. `None`, with a loud line on
/// standard error, where the folder with the captures is not there.
#[doc(hidden)]
#[must_use]
pub fn real_capture(file: &str) -> Option<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/livepeer");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no real captures in {}", folder.display());
        return None;
    }
    Some(std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
}
