//! Where a job goes on.
//!
//! - The state opens: there. What a crash interrupted, the engine finishes.
//! - The state is missing or damaged: the newest checkpoint that is whole is restored, and the epochs behind it are run
//!   again as the tick log tells, with the sinks muted. Without any checkpoint yet, all epochs are.
//! - There are checkpoints, but none is whole; or there is output, but nothing that tells where it came from: an error
//!   with what to do. A job never starts afresh in silence.
//!
//! A piece of a job that several nodes run may have gone on elsewhere since this node had it, so there the log decides: a
//! state that is behind is brought forward by the log as far as that reaches back, else it makes room for the newest
//! checkpoint.
//!
//! A file `RESTORING` stands in the data folder from before a restore until the last epoch has been run again. It makes
//! a crash in between go on with running again, where the state alone would look like that of an older epoch, whose
//! successors' output had to be removed.

use super::checkpoints::JobCheckpoints;
use super::tick_log::JobTickLog;
use crate::config::Config;
use crate::folder;
use anyhow::{Context as _, bail};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tidemark_connectors::sink::parquet::{Selection, visible_files};
use tidemark_engine::ids::Epoch;
use tidemark_engine::progress::Progress;
use tidemark_state::{RocksState, StateError, StateSettings};

/// The state of a job, and how it was got.
pub(super) struct Recovered {
    pub(super) state: RocksState,
    /// Whether epochs have to be run again by the tick log.
    pub(super) restored: bool,
    pub(super) recovery: Recovery,
}

/// A recovery that may still be under way.
pub(super) struct Recovery {
    marker: PathBuf,
    /// The last epoch that has to be run again; `None`: nothing has.
    until: Option<Epoch>,
}

impl Recovery {
    /// Ends the recovery once its last epoch is committed again.
    pub(super) fn committed(&mut self, epoch: Epoch) -> anyhow::Result<()> {
        if self.until.is_some_and(|until| until <= epoch) {
            self.until = None;
            remove_marker(&self.marker)?;
            tracing::info!(%epoch, "recovered: every epoch behind the checkpoint has been run again");
        }
        Ok(())
    }
}

/// Opens the state, restoring it where that is needed.
pub(super) fn open(config: &Config, store: &JobCheckpoints, log: &JobTickLog) -> anyhow::Result<Recovered> {
    let folder = config.data.state();
    let marker = marker(config);
    let last = log.last_epoch();
    if has_files(&folder)? {
        match open_state(config, &folder) {
            Ok(state) if config.piece.is_some() && !goes_on(&state, store, log)? => {
                drop(state);
                remove_whole(&folder)?;
            }
            Ok(state) => {
                // What was decided elsewhere is run again here.
                let restored = marker.exists() || config.piece.is_some();
                let until = last.filter(|_| restored);
                return Ok(Recovered { state, restored, recovery: Recovery { marker, until } });
            }
            Err(StateError::Damaged { detail, .. }) => {
                let aside = set_aside(&folder)?;
                tracing::error!(aside = %aside.display(), %detail, "the state is damaged and was moved aside");
            }
            Err(error) => return Err(error.into()),
        }
    }
    mark(&marker)?;
    let restored = store.restore_newest(&folder)?;
    for damage in restored.iter().flat_map(|restored| &restored.damaged) {
        tracing::error!(%damage, "passed over");
    }
    match (&restored, last) {
        (Some(restored), _) => tracing::warn!(epoch = %restored.epoch, "the state was restored from a checkpoint"),
        (None, Some(last)) => tracing::warn!(until = %last, "the state is lost; every epoch is run again"),
        (None, None) => refuse_orphaned_output(config).inspect_err(|_| {
            // Nothing was begun.
            let _ = remove_marker(&marker);
        })?,
    }
    let state = open_state(config, &folder)?;
    let again = restored.is_some() || last.is_some();
    let mut recovery = Recovery { until: again.then_some(last).flatten(), marker };
    match (&restored, recovery.until) {
        // Nothing was decided behind the checkpoint, or ever.
        (_, None) => remove_marker(&recovery.marker)?,
        (Some(restored), Some(_)) => recovery.committed(restored.epoch)?,
        (None, Some(_)) => {}
    }
    Ok(Recovered { state, restored: again, recovery })
}

/// Removes what this node has of a piece from before the job was taken back to a savepoint, `times` times by now: it is of a
/// time that is undone, although it may be newer than everything else.
pub(super) fn drop_undone(data: &Path, times: u64) -> anyhow::Result<()> {
    let note = data.join("TAKEN_BACK");
    let known = fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok());
    if known.unwrap_or(0) == times {
        return Ok(());
    }
    // All of it first: a node that dies on the way has nothing, and knows it.
    let removed = folder::remove(data).and_then(|()| fs::create_dir_all(data));
    let noted =
        removed.and_then(|()| fs::write(&note, format!("{times}\n"))).and_then(|()| File::open(&note)?.sync_all());
    noted.and_then(|()| sync_parent(&note)).with_context(|| format!("cannot clear {}", data.display()))
}

/// Whether the log tells everything that was decided since this state of a piece.
fn goes_on(state: &RocksState, store: &JobCheckpoints, log: &JobTickLog) -> anyhow::Result<bool> {
    let epoch = Progress::load(state)?.map_or(Epoch(0), |progress| progress.epoch);
    let newest = store.newest()?.unwrap_or(Epoch(0));
    // Records up to the oldest checkpoint may be gone, and so may the newest checkpoint's own.
    Ok(log.has_all_after(epoch) && (newest <= epoch || log.last_epoch().is_some_and(|last| last > epoch)))
}

fn open_state(config: &Config, folder: &Path) -> Result<RocksState, StateError> {
    let settings = StateSettings { path: folder.to_owned(), ..config.state.clone() };
    RocksState::open(&settings, config.job.key_groups)
}

/// Rows without a state that they came from: an earlier job's, or one whose state and checkpoints are lost.
fn refuse_orphaned_output(config: &Config) -> anyhow::Result<()> {
    let output = config.data.output();
    for selection in [Selection::Metrics, Selection::Events, Selection::DeadLetters] {
        if !visible_files(&output, selection)?.is_empty() {
            bail!(
                "{} has the rows of an earlier run, but neither its state nor a checkpoint is there: bring them back, or \
                 move {} away to process everything again",
                output.display(),
                config.data.dir.display()
            );
        }
    }
    Ok(())
}

fn has_files(folder: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// Removes a state that somebody else has gone on from: it is there, or it is not.
fn remove_whole(folder: &Path) -> anyhow::Result<()> {
    let stale = folder.with_added_extension("stale");
    let removed =
        folder::remove(&stale).and_then(|()| fs::rename(folder, &stale)).and_then(|()| folder::remove(&stale));
    removed.with_context(|| format!("cannot remove {}", folder.display()))
}

/// Renames a damaged state so that it can be looked at. The first free name is taken.
fn set_aside(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut number = 1;
    loop {
        let aside = folder.with_added_extension(format!("damaged-{number}"));
        if !aside.exists() {
            fs::rename(folder, &aside).with_context(|| format!("cannot move {} aside", folder.display()))?;
            return Ok(aside);
        }
        number += 1;
    }
}

/// The file that says that a recovery is under way.
pub(super) fn marker(config: &Config) -> PathBuf {
    config.data.dir.join("RESTORING")
}

fn mark(marker: &Path) -> anyhow::Result<()> {
    let written = File::create(marker).and_then(|file| file.sync_all());
    let synced = written.and_then(|()| sync_parent(marker));
    synced.with_context(|| format!("cannot write {}", marker.display()))
}

pub(super) fn remove_marker(marker: &Path) -> anyhow::Result<()> {
    match fs::remove_file(marker) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => sync_parent(marker),
    }
    .with_context(|| format!("cannot remove {}", marker.display()))
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
