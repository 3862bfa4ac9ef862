//! What handlers answer from: one value for the process, shared by all requests.

use super::problem::Problem;
use crate::config::http::HttpLimits;
use crate::live::LiveRows;
use crate::operate::Operator;
use crate::telemetry::Exporter;
use axum::http::StatusCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tidemark_connectors::kafka::Member;
use tidemark_connectors::source::again::AgainLog;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::ports::PortError;
use tidemark_query::QueryError;
use tidemark_query::rows::{Bounds, RowStore};
use tidemark_state::StateInspector;
use tokio::sync::Semaphore;

/// Looks at the state at a time: each takes milliseconds.
const LOOKS: usize = 16;

/// Everything that a handler may use, as `State<Arc<Api>>`. A part of the program that is to be seen through HTTP gets a
/// field here.
pub struct Api {
    /// The counters of the job, and whether it runs.
    pub exporter: Arc<Exporter>,
    /// Bounds of requests and answers.
    pub limits: HttpLimits,
    store: Arc<dyn RowStore>,
    queries: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    metrics: RwLock<Arc<[MetricSpec]>>,
    job: OnceLock<JobView>,
    operator: OnceLock<Operator>,
    nodes: OnceLock<NodesView>,
}

/// Looks who runs the job, where several nodes do.
pub type NodesView = Arc<dyn Fn() -> Result<Vec<Member>, PortError> + Send + Sync>;

/// What a partition, by its name, has beyond a position, in the position's unit; `None` where nobody can tell.
pub type Lag = Arc<dyn Fn(&str, u64) -> Option<u64> + Send + Sync>;

/// A job that this process runs, as handlers see it.
#[derive(Clone)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Whether its source ends by itself.
    pub bounded: bool,
    /// Its committed state.
    pub state: StateInspector,
    /// Its rows as they become visible.
    pub live: LiveRows,
    /// Where records are submitted again; `None` where its source takes no more.
    pub again: Option<Arc<Mutex<AgainLog>>>,
    /// Blocks that are read ahead of the engine.
    pub prefetch: usize,
    /// Records of a tick.
    pub tick_records: usize,
    /// Uncommitted state that closes an epoch early.
    pub dirty_bytes: usize,
    /// How much a partition of the source has that is not committed.
    pub lag: Lag,
}

impl Api {
    /// Of a process with these counters, whose rows are in `store`.
    #[must_use]
    pub fn new(exporter: Arc<Exporter>, limits: HttpLimits, store: Arc<dyn RowStore>) -> Self {
        let queries = Arc::new(Semaphore::new(limits.queries));
        Self {
            exporter,
            limits,
            store,
            queries,
            looks: Arc::new(Semaphore::new(LOOKS)),
            metrics: RwLock::new(Arc::from([])),
            job: OnceLock::new(),
            operator: OnceLock::new(),
            nodes: OnceLock::new(),
        }
    }

    /// Says how to find out who runs the job. Only the first one counts.
    pub fn set_nodes(&self, nodes: NodesView) {
        let _ = self.nodes.set(nodes);
    }

    /// How to find out who runs the job; `None` where one process does.
    pub(super) fn nodes(&self) -> Option<NodesView> {
        self.nodes.get().cloned()
    }

    /// Why there is no job that this process alone could tell of.
    fn no_job(&self) -> Problem {
        match self.nodes.get() {
            None => Problem::conflict("no-job", "this process serves rows and runs no job: ask the one that does"),
            Some(_) => Problem::conflict(
                "no-job",
                "several nodes run this job: GET /api/v1/nodes says which, and /metrics of each how far it is; its metrics \
                 are those of its file",
            ),
        }
    }

    /// Says which job runs. Only the first one counts.
    pub fn set_job(&self, job: JobView) {
        let _ = self.job.set(job);
    }

    /// The job that runs.
    pub(super) fn job(&self) -> Result<JobView, Problem> {
        self.job.get().cloned().ok_or_else(|| self.no_job())
    }

    /// Says who carries out orders for the job. Only the first one counts.
    pub fn set_operator(&self, operator: Operator) {
        let _ = self.operator.set(operator);
    }

    /// Who carries out orders.
    pub(super) fn operator(&self) -> Result<&Operator, Problem> {
        self.operator.get().ok_or_else(|| self.no_job())
    }

    /// Looks at something that may block for a moment, on a thread of its own.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(place) = self.looks.clone().try_acquire_owned() else {
            return Err(Problem::busy(format!("{LOOKS} others are looking already: come back")));
        };
        let looked = tokio::task::spawn_blocking(move || {
            let found = look();
            drop(place);
            found
        });
        looked.await.map_err(|error| Problem::internal("the look", &error))
    }

    /// The metrics that run.
    #[must_use]
    pub fn metrics(&self) -> Arc<[MetricSpec]> {
        self.metrics.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which metrics run from now on.
    pub fn set_metrics(&self, metrics: impl IntoIterator<Item = MetricSpec>) {
        *self.metrics.write().unwrap_or_else(PoisonError::into_inner) = metrics.into_iter().collect();
    }

    /// Asks the store, on a thread of its own: a few questions at a time, each within bounds.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn RowStore, Bounds) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(place) = self.queries.clone().try_acquire_owned() else {
            return Err(Problem::busy(format!("{} queries are being answered: come back", self.limits.queries)));
        };
        // A little less than a request has, so that it ends with the reason.
        let time = Duration::from_millis(self.limits.timeout_ms - self.limits.timeout_ms / 10);
        let bounds = Bounds::from_now(time, self.limits.answer_bytes);
        let store = self.store.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let answer = question(&*store, bounds);
            drop(place);
            answer
        });
        answered.await.map_err(|error| Problem::internal("the query", &error))?.map_err(Problem::from)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused(message) => Self::new(StatusCode::BAD_REQUEST, "query-refused").detail(message),
            QueryError::Limit(..) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "limit").detail(error.to_string()),
            QueryError::NoData(_) => Self::not_found("no-data", "the job has no data yet: run it first"),
            QueryError::Failed(_) | QueryError::Output(_) => Self::internal("the query", &error),
        }
    }
}
