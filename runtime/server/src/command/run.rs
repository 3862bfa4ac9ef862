//! `tidemark run`.

use super::fail_points;
use super::{environment, stored};
use crate::catalogue::{self, Deployed, JobCatalogue};
use crate::cli::RunArguments;
use crate::cluster::Cluster;
use crate::config::cluster::ClusterSettings;
use crate::config::log::LogFormat;
use crate::config::metric::ModuleOrigin;
use crate::config::overrides::Overrides;
use crate::config::source::{FileSettings, SourceKind};
use crate::config::{Config, Draft};
use crate::control::{self, ChangeOrder, Order, Orders};
use crate::exit::Failure;
use crate::fairness::Fairness;
use crate::http::{Api, JobView, Lag};
use crate::lineage::Lineage;
use crate::modules::Registry;
use crate::operate::Operator;
use crate::progress::{ProgressLine, Totals, grouped};
use crate::row_store;
use crate::savepoint::running::{Keeper, Savepoints};
use crate::signals::StopRequest;
use crate::telemetry::Exporter;
use crate::wiring::{OpenJob, open_modules};
use crate::{http, kill, log};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::Step;
use tidemark_engine::deployment::{Catalogue as _, ChangeError};
use tidemark_engine::fail_point::Hook;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::telemetry::Telemetry;
use tidemark_wasm_host::{Host, HostSettings};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Instances beside those of the workers: for modules that are loaded, and fresh ones after a trap.
const SPARE_INSTANCES: u32 = 16;

/// How long requests that are being answered are waited for at the end.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// Instances at least: metrics may be deployed while the job runs.
const LEAST_INSTANCES: u32 = 256;

/// Runs the job until its source ends or a signal comes.
pub fn execute(arguments: &RunArguments, overrides: &Overrides) -> Result<(), Failure> {
    let hook = kill::arm(environment(kill::VARIABLE).as_deref(), &fail_points::all()).map_err(Failure::Usage)?;
    let mut draft = Draft::read(&arguments.config, &environment, overrides)?;
    log::start(&draft.config().log);
    let mut progress = ProgressLine::start(draft.config().log.format == LogFormat::Json);
    check_input(&mut draft);
    let host = host(&draft)?;
    let stored = stored(draft.config());
    let mut loading = |module: &ModuleOrigin| progress.say(&format!("loading {module}"));
    let mut metrics = Vec::new();
    match catalogue::deploy(draft.config(), draft.document(), &host, &stored, &mut loading) {
        Ok(deployed) => metrics = deployed,
        Err(mistakes) => draft.add(mistakes),
    }
    progress.clear();
    let config = draft.into_config()?;
    if !config.job.metrics {
        metrics.clear();
    }
    run(&config, host, metrics, hook, &mut progress)
}

/// An input that is not there is told with the mistakes of the file, before anything starts.
fn check_input(draft: &mut Draft) {
    if let Some(missing) = draft.config().source.missing_input() {
        let message = format!("{} does not exist: create it, or run with --input PATH", missing.display());
        let mistake = draft.document().mistake("source.path", message);
        draft.add([mistake]);
    }
}

/// The sandbox. Compiled code is kept only once the file itself is sound: a mistake in it leaves nothing behind.
fn host(draft: &Draft) -> Result<Host, Failure> {
    let config = draft.config();
    // Each piece of a job of several nodes has one worker.
    let workers = config.cluster.as_ref().map_or(config.job.workers, |cluster| cluster.partitions.into());
    let per_worker = u32::try_from(config.metrics.len() * workers).unwrap_or(u32::MAX / 4);
    let settings = HostSettings {
        instances: per_worker.saturating_mul(2).saturating_add(SPARE_INSTANCES).max(LEAST_INSTANCES),
        cache: draft.is_sound().then(|| config.data.modules()),
        ..HostSettings::default()
    };
    Host::new(settings).map_err(Failure::failed)
}

fn run(
    config: &Config,
    host: Host,
    metrics: Vec<Deployed>,
    hook: Hook,
    progress: &mut ProgressLine,
) -> Result<(), Failure> {
    let telemetry = Arc::new(Telemetry::default());
    let exporter = Arc::new(Exporter::new(&config.job.name, telemetry.clone()));
    let store = open_modules(config).map_err(Failure::failed)?;
    let registry = Arc::new(Registry::new(store, host, config.modules.trusted_keys.clone()));
    let catalogue = Arc::new(JobCatalogue::new(registry.clone(), exporter.clone()));
    for metric in &metrics {
        if let Some((module, _)) = &metric.module {
            registry.keep(module).map_err(Failure::failed)?;
        }
        catalogue.add(metric);
    }
    let runtime = Background::start()?;
    let stop = runtime.block_on(async { StopRequest::listen(telemetry.clone()) })?;
    let lineage = Lineage::start(config, &metrics, telemetry.clone());
    exporter.watch_lineage(lineage.telemetry());
    let specs = metrics.into_iter().map(|metric| metric.spec).collect();
    let mut watching = Watching { telemetry, exporter, registry, catalogue, runtime, stop, lineage };
    let ended = match &config.cluster {
        None => run_job(config, specs, hook, progress, &mut watching),
        Some(cluster) => run_node(config, cluster, specs, hook, &watching),
    };
    watching.lineage.end(ended.as_ref().err().map(ToString::to_string));
    ended
}

/// Everything that looks at a running job or has a say in it.
struct Watching {
    telemetry: Arc<Telemetry>,
    exporter: Arc<Exporter>,
    registry: Arc<Registry>,
    catalogue: Arc<JobCatalogue>,
    runtime: Background,
    stop: StopRequest,
    lineage: Lineage,
}

/// Runs a node of a job that several run together, until a signal comes.
fn run_node(
    config: &Config,
    cluster: &ClusterSettings,
    metrics: Vec<MetricSpec>,
    hook: Hook,
    watching: &Watching,
) -> Result<(), Failure> {
    let Watching { telemetry, exporter, catalogue, runtime, stop, .. } = watching;
    let shown = metrics.clone();
    let pieces = exporter.pieces().clone();
    let node = Cluster::prepare(config, cluster, metrics, catalogue.clone(), telemetry.clone(), pieces, hook)?;
    let store = row_store::open(config).map_err(Failure::failed)?;
    let api = Arc::new(Api::new(exporter.clone(), config.http.limits.clone(), store));
    api.set_metrics(shown);
    api.set_nodes(node.view());
    let served = runtime.block_on(http::start(&config.http, api));
    let _server = served.map_err(|error| Failure::failed(format!("cannot listen for HTTP: {error}")))?;
    let ended = node.run(stop, || exporter.set_ready(true));
    exporter.set_ready(false);
    Ok(ended?)
}

fn run_job(
    config: &Config,
    metrics: Vec<MetricSpec>,
    hook: Hook,
    progress: &mut ProgressLine,
    watching: &mut Watching,
) -> Result<(), Failure> {
    let Watching { telemetry, exporter, registry, catalogue, runtime, stop, lineage } = watching;
    let mut job = OpenJob::open(config, metrics, catalogue.clone(), telemetry.clone(), hook)?;
    exporter.watch_state(job.state.clone());
    exporter.watch_kafka(job.kafka.clone());
    let store = row_store::open(config).map_err(Failure::failed)?;
    let files = row_store::files(config, config.http.limits.sql_memory_bytes);
    let api = Arc::new(Api::new(exporter.clone(), config.http.limits.clone(), store));
    let (control, orders) = control::channel();
    let shown = Shown { orders, api: api.clone(), catalogue: catalogue.clone() };
    shown.show(&job);
    let savepoints = Savepoints::new(config, job.checkpoints.clone())?;
    let terms = Arc::new(config.clone());
    api.set_operator(Operator::new(control, registry.clone(), catalogue.clone(), terms, files, savepoints));
    let bounded = job.engine.bounded();
    api.set_job(job_view(config, &job));
    let _server = match runtime.block_on(http::start(&config.http, api)) {
        Ok(server) => server,
        // A run that ends by itself needs nobody to watch it; a service does.
        Err(error) if bounded => {
            tracing::warn!(%error, "health and telemetry are not served");
            None
        }
        Err(error) => return Err(Failure::failed(format!("cannot listen for HTTP: {error}"))),
    };
    job.committed()?;
    if job.engine.progress().finished {
        println!("nothing new: everything that the source has was processed by an earlier run");
        return Ok(());
    }
    exporter.set_ready(true);
    tracing::info!(job = config.job.name, epoch = %job.engine.progress().epoch, "running");
    progress.restart();
    let mut keeper = Keeper::new(&config.data.dir, job.checkpoints.clone());
    let finished = drive(&mut job, &shown, &mut keeper, stop, telemetry, progress, lineage);
    keeper.end();
    exporter.set_ready(false);
    progress.clear();
    let finished = finished?;
    job.engine.close().map_err(anyhow::Error::from)?;
    tell_end(config, finished, telemetry, progress);
    Ok(())
}

/// What of the job is seen through HTTP.
fn job_view(config: &Config, job: &OpenJob) -> JobView {
    JobView {
        name: config.job.name.clone(),
        bounded: job.engine.bounded(),
        state: job.state.clone(),
        live: job.live.clone(),
        again: job.again.clone(),
        prefetch: config.source.read.prefetch,
        tick_records: config.tick.records,
        dirty_bytes: config.epoch.dirty_bytes,
        lag: source_lag(config, job),
    }
}

/// How much a partition of the source has that is not committed. Topics can tell, and files as long as they are not
/// compressed.
fn source_lag(config: &Config, job: &OpenJob) -> Lag {
    if let Some(kafka) = job.kafka.source.clone() {
        return Arc::new(move |name, position| {
            let partition = kafka.partitions().into_iter().find(|partition| partition.name == name)?;
            u64::try_from(partition.end.get()).ok()?.checked_sub(position)
        });
    }
    let path = match &config.source.kind {
        SourceKind::File(FileSettings { path: Some(path), .. }) => path.clone(),
        _ => return Arc::new(|_, _| None),
    };
    Arc::new(move |name, position| {
        let file = if path.is_dir() { path.join(name) } else { path.clone() };
        let is_compressed = file.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
        std::fs::metadata(&file).ok().filter(|_| !is_compressed)?.len().checked_sub(position)
    })
}

/// The runtime of what happens beside the job. At the end it is waited for shortly: what it still holds of the state has to
/// be given back before the process's last moments, in which RocksDB is gone.
struct Background(Option<Runtime>);

impl Background {
    fn start() -> std::io::Result<Self> {
        Ok(Self(Some(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("taken only when it is dropped").block_on(future)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(LAST_MOMENTS);
        }
    }
}

/// Steps until the source ends (true) or a signal asks to stop (false). A bounded source is stopped behind an epoch
/// only, so that its epochs are the same however often it was stopped.
fn drive(
    job: &mut OpenJob,
    shown: &Shown,
    keeper: &mut Keeper,
    stop: &StopRequest,
    telemetry: &Telemetry,
    progress: &mut ProgressLine,
    lineage: &mut Lineage,
) -> anyhow::Result<bool> {
    let bounded = job.engine.bounded();
    let mut last_shown = 0;
    let mut fairness = Fairness::new(Instant::now());
    loop {
        let boundary = job.engine.at_epoch_boundary();
        if boundary {
            job.committed()?;
        }
        if stop.is_requested() && (boundary || !bounded) {
            return Ok(false);
        }
        while let Some(order) = shown.orders.next() {
            match order {
                Order::Change(order) => carry_out(job, shown, order)?,
                Order::Savepoint(wanted) => keeper.hear(wanted),
            }
        }
        keeper.take(&job.engine);
        let unfair = fairness.check(Instant::now(), &job.engine.progress().metrics, telemetry);
        if !unfair.is_empty() {
            carry_out(job, shown, ChangeOrder { changes: unfair, reply: oneshot::channel().0 })?;
        }
        if job.engine.step()? == Step::Finished {
            return Ok(true);
        }
        if job.engine.progress().epoch.0 != last_shown {
            last_shown = job.engine.progress().epoch.0;
            shown.orders.show(job.engine.progress());
        }
        progress.update(telemetry);
        lineage.running();
    }
}

/// Where orders come from, and what shows what the job runs.
struct Shown {
    orders: Orders,
    api: Arc<Api>,
    catalogue: Arc<JobCatalogue>,
}

impl Shown {
    fn show(&self, job: &OpenJob) {
        let progress = job.engine.progress();
        self.orders.show(progress);
        self.api.set_metrics(progress.metrics.values().filter_map(|metric| self.catalogue.metric(metric).ok()));
    }
}

/// Changes the metrics, or says why not.
fn carry_out(job: &mut OpenJob, shown: &Shown, order: ChangeOrder) -> anyhow::Result<()> {
    let changed = job.engine.change(order.changes);
    let stopped = match &changed {
        Err(ChangeError::Engine(error)) => Some(anyhow::anyhow!("{error}")),
        _ => None,
    };
    if changed.is_ok() {
        job.show_tables()?;
        shown.show(job);
    }
    // Whoever asked may have gone: the change stands.
    let _ = order.reply.send(changed);
    stopped.map_or(Ok(()), Err)
}

/// One line for people, or one record of the JSON log.
fn tell_end(config: &Config, finished: bool, telemetry: &Telemetry, progress: &ProgressLine) {
    let Totals { records, rows, dead_letters } = Totals::of(telemetry);
    let seconds = progress.elapsed().as_secs_f64();
    let rate = (records as f64 / seconds.max(f64::EPSILON)) as u64;
    let end = if finished { "finished" } else { "stopped behind an epoch" };
    if config.log.format == LogFormat::Json {
        tracing::info!(records, rows, dead_letters, seconds, records_per_second = rate, "{end}");
        return;
    }
    let [records, rate, rows, dead_letters] = [records, rate, rows, dead_letters].map(grouped);
    eprintln!("{end}: {records} records in {seconds:.1} s ({rate}/s), {rows} rows, {dead_letters} dead letters");
}
