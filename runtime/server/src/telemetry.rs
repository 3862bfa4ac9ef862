//! The counters of a job as Prometheus reads them.
//!
//! Names, types and help texts stand here and nowhere else; the crates that count know nothing of Prometheus.

mod exposition;
mod kafka;
mod pieces;
mod process;

pub use kafka::KafkaWatch;
pub use pieces::{PieceFigures, PieceTelemetry};

use crate::lineage::LineageTelemetry;
use exposition::{Exposition, Kind::Counter, Kind::Gauge};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tidemark_engine::telemetry::{StageTelemetry, Telemetry};
use tidemark_state::StateInspector;
use tidemark_wasm_host::{GuestTelemetry, TelemetrySnapshot};

/// Takes one figure out of a part's counters.
type Reading<T> = fn(&T) -> f64;

const NANOSECONDS: f64 = 1e-9;
const MILLISECONDS: f64 = 1e-3;

/// Collects what the parts of a job count, and writes it.
pub struct Exporter {
    job: String,
    started: Instant,
    ready: AtomicBool,
    engine: Arc<Telemetry>,
    guests: Mutex<BTreeMap<String, Arc<GuestTelemetry>>>,
    state: OnceLock<StateInspector>,
    kafka: OnceLock<KafkaWatch>,
    lineage: OnceLock<Arc<LineageTelemetry>>,
    pieces: Arc<PieceTelemetry>,
}

impl Exporter {
    /// For the job of this name.
    #[must_use]
    pub fn new(job: &str, engine: Arc<Telemetry>) -> Self {
        Self {
            job: job.to_owned(),
            started: Instant::now(),
            ready: AtomicBool::new(false),
            engine,
            guests: Mutex::default(),
            state: OnceLock::new(),
            kafka: OnceLock::new(),
            lineage: OnceLock::new(),
            pieces: Arc::default(),
        }
    }

    /// The pieces that this node owns, where several run the job.
    #[must_use]
    pub fn pieces(&self) -> &Arc<PieceTelemetry> {
        &self.pieces
    }

    /// The engine's own counters.
    #[must_use]
    pub fn engine(&self) -> &Telemetry {
        &self.engine
    }

    /// Tells sizes of this state from now on. Only the first one counts.
    pub fn watch_state(&self, state: StateInspector) {
        let _ = self.state.set(state);
    }

    /// Tells how far the connectors to Kafka are from now on. Only the first ones count.
    pub fn watch_kafka(&self, kafka: KafkaWatch) {
        let _ = self.kafka.set(kafka);
    }

    /// Tells what became of events of lineage from now on.
    pub fn watch_lineage(&self, lineage: Option<Arc<LineageTelemetry>>) {
        if let Some(lineage) = lineage {
            let _ = self.lineage.set(lineage);
        }
    }

    /// Tells the counters of a metric's sandbox from now on, in place of those that it had.
    pub fn watch_guest(&self, metric: &str, guest: Arc<GuestTelemetry>) {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).insert(metric.to_owned(), guest);
    }

    /// Says whether the job runs.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Whether the job runs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Exposition::default();
        self.render_job(&mut text);
        self.render_stages(&mut text);
        self.render_guests(&mut text);
        self.render_state(&mut text);
        self.kafka.get().into_iter().for_each(|kafka| kafka.render(&mut text));
        if let Some(lineage) = self.lineage.get() {
            text.family("tidemark_lineage_events_total", Counter, "Events of lineage by what became of them.");
            text.sample(&[("outcome", "delivered")], lineage.delivered.get() as f64);
            text.sample(&[("outcome", "dropped")], lineage.dropped.get() as f64);
        }
        self.pieces.render(&mut text);
        process::render(&mut text);
        text.finish()
    }

    fn render_job(&self, text: &mut Exposition) {
        let engine = &*self.engine;
        text.family("tidemark_info", Gauge, "The version of the program and the name of the job.");
        text.sample(&[("version", env!("CARGO_PKG_VERSION")), ("job", &self.job)], 1.0);
        text.single("tidemark_uptime_seconds", Gauge, "Time since the start.", self.started.elapsed().as_secs_f64());
        text.single("tidemark_ready", Gauge, "1 while the job runs.", f64::from(u8::from(self.is_ready())));
        let counters: [(&str, &str, u64); 8] = [
            ("tidemark_source_records_total", "Records read, the dead ones included.", engine.records.get()),
            ("tidemark_source_bytes_total", "Bytes read.", engine.bytes.get()),
            ("tidemark_duplicates_total", "Events dropped as duplicates.", engine.duplicates.get()),
            ("tidemark_ids_forgotten_total", "Ids forgotten before their time.", engine.ids_forgotten.get()),
            ("tidemark_enrichment_hits_total", "Lookups that found a row.", engine.enriched.get()),
            ("tidemark_enrichment_misses_total", "Lookups that found none.", engine.not_enriched.get()),
            ("tidemark_ticks_total", "Ticks done.", engine.ticks.get()),
            ("tidemark_checkpoints_total", "Checkpoints taken.", engine.checkpoints.get()),
        ];
        for (name, help, value) in counters {
            text.single(name, Counter, help, value as f64);
        }
        text.family("tidemark_dead_letters_total", Counter, "Dead letters by reason.");
        for (reason, count) in engine.dead() {
            text.sample(&[("reason", reason.name())], count as f64);
        }
        text.single("tidemark_epoch", Gauge, "The last committed epoch.", engine.epoch.get() as f64);
        let commit = engine.commit_ns.get() as f64 * NANOSECONDS;
        text.single("tidemark_commit_seconds", Gauge, "Duration of the last commit.", commit);
        text.durations("tidemark_commit_duration_seconds", "Durations of commits.", &engine.commits);
        text.durations("tidemark_epoch_duration_seconds", "Durations of epochs, commit included.", &engine.epochs);
        let seconds = |gauge: i64| gauge as f64 * NANOSECONDS;
        text.single("tidemark_metric_changes_total", Counter, "Changes of the metrics.", engine.changes.get() as f64);
        text.single(
            "tidemark_metric_change_seconds",
            Gauge,
            "How long the last change of the metrics held processing up.",
            seconds(engine.change_ns.get()),
        );
        text.single(
            "tidemark_metric_change_max_seconds",
            Gauge,
            "The longest that a change of the metrics held processing up.",
            seconds(engine.change_max_ns.get()),
        );
        let dirty = engine.dirty_bytes.get() as f64;
        text.single("tidemark_state_dirty_bytes", Gauge, "Changes of state not committed yet.", dirty);
        text.family("tidemark_watermark_seconds", Gauge, "The source's watermark, as a Unix time.");
        if let Some(seconds) = watermark(engine.watermark_ms.get()) {
            text.sample(&[], seconds);
        }
    }

    fn render_stages(&self, text: &mut Exposition) {
        let stages = self.engine.stages();
        let counters: [(&str, &str, Reading<StageTelemetry>); 6] = [
            ("tidemark_metric_rows_in_total", "Rows that reached the metric.", |stage| stage.rows_in.get() as f64),
            ("tidemark_metric_rows_out_total", "Rows that the metric emitted.", |stage| stage.rows_out.get() as f64),
            ("tidemark_metric_late_total", "Rows too late for the metric.", |stage| stage.late.get() as f64),
            ("tidemark_metric_calls_total", "Calls to the metric's module.", |stage| stage.calls.get() as f64),
            ("tidemark_metric_poison_total", "Groups on which the module failed.", |stage| stage.poison.get() as f64),
            ("tidemark_metric_guest_seconds_total", "Time in the metric's module.", |stage| {
                stage.guest_ns.get() as f64 * NANOSECONDS
            }),
        ];
        for (name, help, value) in counters {
            text.family(name, Counter, help);
            stages.iter().for_each(|(metric, stage)| text.sample(&[("metric", metric)], value(stage)));
        }
        text.family("tidemark_metric_quarantined", Gauge, "1 while the metric's module is quarantined.");
        stages.iter().for_each(|(metric, stage)| {
            text.sample(&[("metric", metric)], stage.quarantined.get() as f64);
        });
        text.family("tidemark_metric_watermark_seconds", Gauge, "The metric's watermark, as a Unix time.");
        for (metric, stage) in &stages {
            if let Some(seconds) = watermark(stage.watermark_ms.get()) {
                text.sample(&[("metric", metric)], seconds);
            }
        }
    }

    fn render_guests(&self, text: &mut Exposition) {
        let guests: Vec<(String, TelemetrySnapshot)> = {
            let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
            guests.iter().map(|(metric, guest)| (metric.clone(), guest.snapshot())).collect()
        };
        let counters: [(&str, &str, Reading<TelemetrySnapshot>); 6] = [
            ("tidemark_sandbox_instances_total", "Instances made.", |guest| guest.instances as f64),
            ("tidemark_sandbox_traps_total", "Calls that trapped.", |guest| guest.traps as f64),
            ("tidemark_sandbox_timeouts_total", "Calls that ran out of time.", |guest| guest.timeouts as f64),
            ("tidemark_sandbox_memory_limits_total", "Calls that ran out of memory.", |guest| {
                guest.memory_limits as f64
            }),
            ("tidemark_sandbox_malformed_total", "Calls that returned nonsense.", |guest| guest.malformed as f64),
            ("tidemark_sandbox_verdicts_total", "Groups that were judged by fuel.", |guest| guest.verdicts as f64),
        ];
        for (name, help, value) in counters {
            text.family(name, Counter, help);
            guests.iter().for_each(|(metric, guest)| text.sample(&[("metric", metric)], value(guest)));
        }
        text.family("tidemark_sandbox_memory_bytes", Gauge, "The most memory that one instance has had.");
        guests.iter().for_each(|(metric, guest)| text.sample(&[("metric", metric)], guest.memory_bytes as f64));
    }
}

impl Exporter {
    /// Nothing where there is no state yet, or where it cannot be looked at for the moment.
    fn render_state(&self, text: &mut Exposition) {
        let Some(Ok(state)) = self.state.get().map(StateInspector::telemetry) else { return };
        let gauges: [(&str, &str, u64); 7] = [
            ("tidemark_state_cache_entries", "Keys in memory.", state.cache_entries),
            ("tidemark_state_cache_bytes", "Bytes of memory that they take.", state.cache_bytes),
            ("tidemark_state_pinned_bytes", "Bytes pinned by changes as the last commit began.", state.pinned_bytes),
            ("tidemark_state_commit_bytes", "Bytes of changes in the last commit.", state.commit_bytes),
            ("tidemark_state_estimated_keys", "About how many keys there are.", state.estimated_keys),
            ("tidemark_state_file_bytes", "Bytes of live files.", state.file_bytes),
            ("tidemark_state_memtable_bytes", "Bytes of write buffers.", state.memtable_bytes),
        ];
        for (name, help, value) in gauges {
            text.single(name, Gauge, help, value as f64);
        }
        let counters: [(&str, &str, u64); 3] = [
            ("tidemark_state_cache_hits_total", "Reads answered from memory.", state.cache_hits),
            ("tidemark_state_cache_misses_total", "Keys read from disk.", state.cache_misses),
            (
                "tidemark_state_cache_evictions_total",
                "Keys dropped from memory for lack of room.",
                state.cache_evictions,
            ),
        ];
        for (name, help, value) in counters {
            text.single(name, Counter, help, value as f64);
        }
    }
}

/// A watermark as a Unix time in seconds; `None` before the first event and after the last.
fn watermark(ms: i64) -> Option<f64> {
    (ms != i64::MIN && ms != i64::MAX && ms != 0).then_some(ms as f64 * MILLISECONDS)
}
