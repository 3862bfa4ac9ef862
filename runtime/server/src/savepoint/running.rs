//! Savepoints of a job that runs: taken between two epochs, and kept while the job goes on.
//!
//! The engine is held up for as long as an image of its state takes, which is made of hard links. Whoever asked is
//! answered when the savepoint is durable.

use super::{names_of, no_savepoint};
use crate::config::Config;
use crate::config::paths::check_name;
use crate::control::NotTaken;
use crate::folder;
use crate::wiring::{self, SharedCheckpoints};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tidemark_connectors::checkpoint::{CheckpointError, CheckpointInfo, Checkpoints, NotKept};
use tidemark_engine::Engine;
use tidemark_engine::ids::Epoch;
use tokio::sync::oneshot;

/// Savepoints that may wait: more are told to come back.
const WAITING: usize = 16;

/// Why a savepoint is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// Its name is not one.
    #[error("{0}")]
    BadName(String),
    /// There is no such savepoint.
    #[error("{0}")]
    Unknown(String),
    /// Not as things are.
    #[error("{0}")]
    Conflict(String),
    /// The job does not take it now.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// What has to be written is not.
    #[error("{0}")]
    Store(String),
    /// The job stopped meanwhile.
    #[error("the job stopped before the savepoint was kept: take it of the stopped job")]
    Unanswered,
}

impl From<CheckpointError> for SavepointError {
    fn from(error: CheckpointError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<io::Error> for SavepointError {
    fn from(error: io::Error) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<NotKept> for SavepointError {
    fn from(reason: NotKept) -> Self {
        match reason {
            NotKept::Store(error) => error.into(),
            taken => Self::Conflict(taken.to_string()),
        }
    }
}

/// A savepoint that somebody asks for.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Told what is kept, when it is.
    pub reply: oneshot::Sender<Result<CheckpointInfo, SavepointError>>,
}

/// The savepoints of a running job, for requests. Cheap to clone.
#[derive(Clone)]
pub struct Savepoints {
    /// To look at, whatever is being written.
    listing: Arc<Checkpoints>,
    store: SharedCheckpoints,
}

impl Savepoints {
    /// Those of the job of `config`, which writes its checkpoints by `store`.
    pub fn new(config: &Config, store: SharedCheckpoints) -> anyhow::Result<Self> {
        Ok(Self { listing: Arc::new(wiring::open_checkpoints(config)?), store })
    }

    /// All of them, oldest first. May wait for the store.
    pub fn list(&self) -> Result<Vec<CheckpointInfo>, SavepointError> {
        Ok(self.listing.savepoints()?)
    }

    /// Refuses a name that none could have, while nobody has to stop for it. May wait for the store.
    pub fn admit(&self, name: &str) -> Result<(), SavepointError> {
        check_name(name).map_err(SavepointError::BadName)?;
        match self.list()?.into_iter().find(|other| other.name.as_deref() == Some(name)) {
            Some(taken) => Err(NotKept::NameTaken { name: name.to_owned(), epoch: taken.epoch }.into()),
            None => Ok(()),
        }
    }

    /// Makes one a checkpoint like any other. May wait for the store.
    pub fn remove(&self, name: &str) -> Result<CheckpointInfo, SavepointError> {
        self.store.with(|store| {
            let mut all = store.savepoints()?;
            let Some(place) = all.iter().position(|other| other.name.as_deref() == Some(name)) else {
                return Err(SavepointError::Unknown(no_savepoint(name, &names_of(&all))));
            };
            store.rename(all[place].epoch, None)?;
            Ok(all.swap_remove(place))
        })
    }
}

/// Takes savepoints between epochs, one at a time.
pub struct Keeper {
    store: SharedCheckpoints,
    data: PathBuf,
    waiting: VecDeque<Wanted>,
    at_work: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Of the job with the data folder `data`, which writes its checkpoints by `store`.
    #[must_use]
    pub fn new(data: &Path, store: SharedCheckpoints) -> Self {
        Self { store, data: data.to_owned(), waiting: VecDeque::new(), at_work: None }
    }

    /// Hears of one that is wanted.
    pub fn hear(&mut self, wanted: Wanted) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(wanted);
        } else {
            // Whoever asked may have gone.
            let _ = wanted.reply.send(Err(NotTaken::Busy.into()));
        }
    }

    /// Takes the next one, if nothing is open in the engine, and the one before is kept.
    pub fn take(&mut self, engine: &Engine) {
        let is_busy = self.at_work.as_ref().is_some_and(|thread| !thread.is_finished());
        // Behind an epoch that is run again others were decided.
        if self.waiting.is_empty() || is_busy || engine.is_rerunning() || !engine.at_epoch_boundary() {
            return;
        }
        self.end();
        let Some(Wanted { name, reply }) = self.waiting.pop_front() else { return };
        match self.image(engine) {
            Ok((epoch, image)) => self.keep(name, epoch, image, reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// An image of what is committed.
    fn image(&self, engine: &Engine) -> Result<(Epoch, PathBuf), SavepointError> {
        let epoch = engine.progress().epoch;
        if epoch == Epoch(0) {
            return Err(SavepointError::Conflict(
                "the job has committed nothing yet: there is nothing to keep".to_owned(),
            ));
        }
        let image = wiring::savepoint_image(&self.data, epoch);
        folder::remove(&image)?;
        engine.image(&image).map_err(|error| SavepointError::Store(error.to_string()))?;
        Ok((epoch, image))
    }

    /// Keeps it, on a thread of its own: that takes longer than the engine can wait.
    fn keep(
        &mut self,
        name: String,
        epoch: Epoch,
        image: PathBuf,
        reply: oneshot::Sender<Result<CheckpointInfo, SavepointError>>,
    ) {
        // From now on the tick log keeps what comes behind it.
        let claim = self.store.claim(epoch);
        let store = self.store.clone();
        let work = move || {
            let kept = store.with(|store| keep(store, &name, epoch, &image));
            drop(claim);
            let kept = kept.and_then(|kept| Ok(folder::remove(&image).map(|()| kept)?));
            match &kept {
                Ok(_) => tracing::info!(savepoint = name, %epoch, "a savepoint is kept"),
                Err(error) => tracing::warn!(savepoint = name, %epoch, %error, "a savepoint is not kept"),
            }
            // Whoever asked may have gone: it is kept.
            let _ = reply.send(kept);
        };
        match std::thread::Builder::new().name("savepoint".to_owned()).spawn(work) {
            Ok(thread) => self.at_work = Some(thread),
            // Whoever asked is told that nobody answers.
            Err(error) => tracing::error!(%error, "cannot start a thread for a savepoint"),
        }
    }

    /// Waits for the one that is being kept.
    pub fn end(&mut self) {
        if self.at_work.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps a savepoint has panicked");
        }
    }
}

fn keep(store: &mut Checkpoints, name: &str, epoch: Epoch, image: &Path) -> Result<CheckpointInfo, SavepointError> {
    if !store.name(epoch, name)? {
        store.save_as(name, epoch, image)?;
    }
    let kept = store.savepoints()?.into_iter().find(|savepoint| savepoint.epoch == epoch);
    kept.ok_or_else(|| SavepointError::Store(format!("the savepoint {name} was kept and is not there")))
}
