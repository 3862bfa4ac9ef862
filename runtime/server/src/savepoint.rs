//! Savepoints: the state of a job under a name, to come back to: with another number of workers, with other metrics, or
//! because what came since was wrong. Here of a job that does not run, which alone can come back to one; [`running`] takes
//! them of one that does.
//!
//! A savepoint is a checkpoint that is kept until it is removed. Coming back to one makes it the job's state; what was
//! decided later is forgotten, its rows are removed from the sinks when the job starts, and the source is read again from
//! there. The tick log is kept from the oldest savepoint on, so a state that is lost later can still be made again.

pub mod running;

use crate::config::Config;
use crate::config::paths::check_name;
use crate::folder;
use crate::kill::FailPoint;
use crate::wiring;
use anyhow::{Context as _, bail};
use std::fs;
use tidemark_connectors::checkpoint::{CheckpointInfo, Checkpoints, NotKept};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::StateBackend as _;
use tidemark_engine::progress::Progress;
use tidemark_state::{RocksState, StateSettings};

/// Names of the fail points.
mod step {
    pub(super) const COPIED: &str = "savepoint.restore.copied";
    pub(super) const FORGOTTEN: &str = "savepoint.restore.forgotten";
    pub(super) const REMOVED: &str = "savepoint.restore.removed";
}

/// The steps at which a test may end the process while it makes a savepoint the state of the job.
pub const FAIL_POINTS: [&str; 3] = [step::COPIED, step::FORGOTTEN, step::REMOVED];

/// Keeps the state of the job as it is, under `name`. Returns the epoch that it is of.
pub fn create(config: &Config, name: &str) -> anyhow::Result<Epoch> {
    if let Err(message) = check_name(name) {
        bail!("{message}");
    }
    let mut checkpoints = wiring::open_checkpoints(config)?;
    if let Some(taken) = find(&checkpoints, name)? {
        bail!(NotKept::NameTaken { name: name.to_owned(), epoch: taken.epoch });
    }
    if wiring::is_recovering(config) {
        bail!("the job was recovering when it stopped: run it until it has caught up, then take the savepoint");
    }
    if !config.data.state().is_dir() {
        bail!("{} has no state: run the job first", config.data.dir.display());
    }
    let state = open_state(config)?;
    let epoch = Progress::load(&state)?.context("the job has committed nothing yet: there is nothing to keep")?.epoch;
    if !checkpoints.name(epoch, name)? {
        let image = wiring::savepoint_image(&config.data.dir, epoch);
        folder::remove(&image)?;
        state.snapshot(&image)?;
        let saved = checkpoints.save_as(name, epoch, &image);
        folder::remove(&image)?;
        saved?;
    }
    Ok(epoch)
}

/// Every savepoint, oldest first.
pub fn list(config: &Config) -> anyhow::Result<Vec<CheckpointInfo>> {
    Ok(wiring::open_checkpoints(config)?.savepoints()?)
}

/// Makes a savepoint a checkpoint like any other, which goes when it is outdated.
pub fn remove(config: &Config, name: &str) -> anyhow::Result<()> {
    let checkpoints = wiring::open_checkpoints(config)?;
    let found = named(&checkpoints, name)?;
    checkpoints.rename(found.epoch, None)?;
    Ok(())
}

/// Makes a savepoint the state of the job. Returns the epoch that it is of.
pub fn restore(config: &Config, name: &str, fail_point: &FailPoint) -> anyhow::Result<Epoch> {
    let checkpoints = wiring::open_checkpoints(config)?;
    let epoch = named(&checkpoints, name)?.epoch;
    let later: Vec<String> = checkpoints
        .savepoints()?
        .into_iter()
        .filter(|other| other.epoch > epoch)
        .filter_map(|other| other.name)
        .collect();
    if !later.is_empty() {
        bail!("{} came later, and what is later is forgotten: remove them first, if that is meant", later.join(", "));
    }
    let folder = config.data.state();
    if folder.is_dir() {
        // Nobody else has it open.
        drop(open_state(config)?);
    }
    let restored = config.data.dir.join("state.savepoint");
    folder::remove(&restored)?;
    checkpoints.restore(epoch, &restored)?;
    fail_point(step::COPIED);
    // In this order: until the state is replaced, the job is as it was, only with an older checkpoint.
    checkpoints.forget_after(epoch)?;
    wiring::forget_ticks_after(config, epoch)?;
    wiring::end_recovery(config)?;
    fail_point(step::FORGOTTEN);
    folder::remove(&folder)?;
    fail_point(step::REMOVED);
    fs::rename(&restored, &folder).with_context(|| format!("cannot rename {}", restored.display()))?;
    fs::File::open(&config.data.dir).and_then(|folder| folder.sync_all())?;
    Ok(epoch)
}

fn find(checkpoints: &Checkpoints, name: &str) -> anyhow::Result<Option<CheckpointInfo>> {
    Ok(checkpoints.savepoints()?.into_iter().find(|savepoint| savepoint.name.as_deref() == Some(name)))
}

fn named(checkpoints: &Checkpoints, name: &str) -> anyhow::Result<CheckpointInfo> {
    let Some(found) = find(checkpoints, name)? else {
        let all = checkpoints.savepoints()?;
        bail!(no_savepoint(name, &names_of(&all)));
    };
    Ok(found)
}

fn names_of(all: &[CheckpointInfo]) -> Vec<&str> {
    all.iter().filter_map(|savepoint| savepoint.name.as_deref()).collect()
}

/// What to say where there is no savepoint `name`.
pub(crate) fn no_savepoint(name: &str, names: &[&str]) -> String {
    match names.is_empty() {
        true => format!("there is no savepoint {name}, nor any other"),
        false => format!("there is no savepoint {name}; there are {}", names.join(", ")),
    }
}

fn open_state(config: &Config) -> anyhow::Result<RocksState> {
    let settings = StateSettings { path: config.data.state(), ..config.state.clone() };
    RocksState::open(&settings, config.job.key_groups)
        .context(
            "the state cannot be opened: a job that runs has it; stop that first (SIGTERM). A savepoint of a running job is \
             taken with --url and without a configuration",
        )
}
