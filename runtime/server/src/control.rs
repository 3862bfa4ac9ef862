//! The way from requests to the running job: orders wait for the moment between two ticks, and what the job runs is there
//! to be looked at without asking it.

use crate::savepoint::running::{SavepointError, Wanted};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use tidemark_connectors::checkpoint::CheckpointInfo;
use tidemark_engine::deployment::{Change, ChangeError, Deployment};
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::progress::{Progress, StageRecord};
use tokio::sync::oneshot;

/// Orders that may wait: more are told to come back.
const WAITING: usize = 16;

/// What a job runs.
#[derive(Clone, Debug, Default)]
pub struct JobView {
    /// The last committed epoch.
    pub epoch: u64,
    /// Metrics that are deployed, by name.
    pub metrics: BTreeMap<String, Deployment>,
    /// What runs them.
    pub stages: Vec<StageRecord>,
    /// Columns of each metric's table.
    pub columns: BTreeMap<String, Vec<OutputColumn>>,
    /// What each metric was before, the newest last.
    pub history: BTreeMap<String, Vec<Deployment>>,
}

impl JobView {
    /// Of what is committed.
    #[must_use]
    pub fn of(progress: &Progress) -> Self {
        Self {
            epoch: progress.epoch.0,
            metrics: progress.metrics.clone(),
            stages: progress.stages.clone(),
            columns: progress.columns.clone(),
            history: progress.history.clone(),
        }
    }

    /// Whether anything runs a module, or could be rolled back to it.
    #[must_use]
    pub fn needs(&self, module: tidemark_engine::ids::Digest) -> bool {
        let stages = self.stages.iter().map(|stage| &stage.deployment);
        let all = self.metrics.values().chain(stages).chain(self.history.values().flatten());
        all.into_iter().any(|deployment| deployment.module == module)
    }
}

/// What somebody asks for.
#[derive(Debug)]
pub enum Order {
    /// A change of the metrics.
    Change(ChangeOrder),
    /// A savepoint, behind the next epoch.
    Savepoint(Wanted),
}

/// A change of the metrics.
#[derive(Debug)]
pub struct ChangeOrder {
    /// What is to change, all of it or nothing.
    pub changes: Vec<Change>,
    /// Told what came of it: how long it held processing up, in nanoseconds.
    pub reply: oneshot::Sender<Result<u64, ChangeError>>,
}

/// Why an order was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// Too many wait.
    #[error("{WAITING} orders are waiting already: come back")]
    Busy,
    /// The job is not running.
    #[error("the job is not running")]
    Stopped,
}

/// The requests' end. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    orders: SyncSender<Order>,
    view: Arc<RwLock<Arc<JobView>>>,
}

/// The job's end.
pub struct Orders {
    orders: Receiver<Order>,
    view: Arc<RwLock<Arc<JobView>>>,
}

/// Both ends.
#[must_use]
pub fn channel() -> (Control, Orders) {
    let (sender, orders) = sync_channel(WAITING);
    let view: Arc<RwLock<Arc<JobView>>> = Arc::default();
    (Control { orders: sender, view: view.clone() }, Orders { orders, view })
}

impl Control {
    /// What the job runs.
    #[must_use]
    pub fn view(&self) -> Arc<JobView> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a change. The answer comes when it is committed, or refused.
    pub fn change(&self, changes: Vec<Change>) -> Result<oneshot::Receiver<Result<u64, ChangeError>>, NotTaken> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Change(ChangeOrder { changes, reply }))?;
        Ok(answer)
    }

    /// Asks for a savepoint. The answer comes when it is kept, or cannot be.
    pub fn savepoint(
        &self,
        name: String,
    ) -> Result<oneshot::Receiver<Result<CheckpointInfo, SavepointError>>, NotTaken> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Savepoint(Wanted { name, reply }))?;
        Ok(answer)
    }

    fn send(&self, order: Order) -> Result<(), NotTaken> {
        self.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => NotTaken::Busy,
            TrySendError::Disconnected(_) => NotTaken::Stopped,
        })
    }
}

impl Orders {
    /// The next order, if there is one.
    pub fn next(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }

    /// Shows what the job runs from now on.
    pub fn show(&self, progress: &Progress) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(JobView::of(progress));
    }
}
