//! The tick log as one object for each epoch, beside the checkpoints: so that a machine that is lost takes nothing along
//! which its successor needs.
//!
//! ```text
//! PREFIX/ticks/e000000000101.tick
//! ```
//!
//! An object is there as a whole or not at all. It costs each epoch one request more: where epochs of a second are too
//! dear, make them longer.
//!
//! Where several nodes may believe that they run the same part of a job, the log is what decides between them: a record is
//! then written only if its epoch has none, and whoever comes second has lost. Records are removed when checkpoints have made
//! them needless, so whoever comes very late, from a machine that was frozen for minutes, may find no record of its epoch. It
//! has lost nevertheless, as it sees by the one before, which then is gone, too: the newest record is never removed, but
//! where a job is taken back. For that each epoch costs one more request.

use super::record::{LARGEST_RECORD, frame, parse};
use crate::durable;
use crate::object_storage::{Bucket, ObjectStoreSettings};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{PortError, TickLog};
use xxhash_rust::xxh3::xxh3_128;

/// The folder of records.
const TICKS: &str = "ticks";

/// A place for records, each of which is there as a whole or not at all.
trait Records: Send {
    /// Names of the records.
    fn names(&self) -> Result<Vec<String>, PortError>;

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// Writes one, in place of an older one.
    fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), PortError>;

    /// Writes one, if there is none: otherwise false.
    fn create(&self, name: &str, content: Vec<u8>) -> Result<bool, PortError>;

    fn remove(&self, name: &str) -> Result<(), PortError>;

    /// What a person calls it.
    fn describe(&self, name: &str) -> String;
}

/// A tick log of one object an epoch.
pub struct StoreTickLog {
    records: Box<dyn Records>,
    /// Where an epoch's first record stands, whoever wrote it: what tells this writer's records from those of others.
    mark: Option<[u8; 8]>,
    /// Epochs that have a record.
    epochs: BTreeSet<Epoch>,
    /// The newest of them and the checksum of its record, if others may write, too: as long as nobody has gone on without
    /// this writer it is there.
    newest: Option<(Epoch, u128)>,
}

impl StoreTickLog {
    /// Opens the log in an object store, which one process at a time writes, and finds out which records there are.
    ///
    /// # Errors
    /// [`PortError`] for wrong settings, and a store that cannot be reached.
    pub fn open(settings: &ObjectStoreSettings) -> Result<Self, PortError> {
        Self::over(Box::new(Bucket::open(settings)?), None)
    }

    /// The same for several processes, of which only one may decide an epoch.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_shared(settings: &ObjectStoreSettings) -> Result<Self, PortError> {
        Self::over(Box::new(Bucket::open(settings)?), Some(random()))
    }

    /// The same in a folder that several machines see.
    ///
    /// # Errors
    /// [`PortError`] for a folder that cannot be used.
    pub fn open_shared_folder(folder: &Path) -> Result<Self, PortError> {
        let folder = folder.join(TICKS);
        durable::create_folders(&folder).map_err(|error| durable::port_error("create", &folder, &error))?;
        let mark = random();
        Self::over(Box::new(Folder { folder, mark: u64::from_le_bytes(mark) }), Some(mark))
    }

    fn over(records: Box<dyn Records>, mark: Option<[u8; 8]>) -> Result<Self, PortError> {
        let epochs = records.names()?.iter().filter_map(|name| epoch_of_name(name)).collect();
        let mut log = Self { records, mark, epochs, newest: None };
        log.look_at_newest()?;
        Ok(log)
    }

    fn look_at_newest(&mut self) -> Result<(), PortError> {
        self.newest = None;
        if let Some(newest) = self.last_epoch().filter(|_| self.mark.is_some()) {
            let content = self.records.read(&name_of(newest))?;
            self.newest = content.map(|content| (newest, xxh3_128(&content)));
        }
        Ok(())
    }

    /// The epoch of the last record.
    #[must_use]
    pub fn last_epoch(&self) -> Option<Epoch> {
        self.epochs.last().copied()
    }

    /// Whether no record is missing between `epoch` and the last one.
    #[must_use]
    pub fn has_all_after(&self, epoch: Epoch) -> bool {
        let later = self.epochs.range(Epoch(epoch.0 + 1)..);
        later.zip(epoch.0 + 1..).all(|(found, expected)| found.0 == expected)
    }

    /// The epoch of the first record.
    #[must_use]
    pub fn first_epoch(&self) -> Option<Epoch> {
        self.epochs.first().copied()
    }

    fn read(&self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        let name = name_of(epoch);
        let content = self.records.read(&name)?;
        let record = content.as_deref().and_then(parse).filter(|(found, _)| *found == epoch);
        record.map(|(_, record)| record.to_vec()).ok_or_else(|| {
            PortError::Stop(format!(
                "the record of epoch {epoch} in the tick log is damaged or gone: put {} back from a copy; without it, only \
                 epochs before it can be re-run",
                self.records.describe(&name)
            ))
        })
    }

    fn remove(&mut self, epochs: &[Epoch]) -> Result<(), PortError> {
        for epoch in epochs {
            self.records.remove(&name_of(*epoch))?;
            self.epochs.remove(epoch);
        }
        Ok(())
    }

    /// Writes the first record of an epoch. One that is there already is ours if an earlier attempt wrote it and only the
    /// answer was lost.
    fn decide(&mut self, epoch: Epoch, content: Vec<u8>) -> Result<(), PortError> {
        let (name, xxh3) = (name_of(epoch), xxh3_128(&content));
        let is_ours =
            self.records.create(&name, content.clone())? || self.records.read(&name)?.as_ref() == Some(&content);
        // In this order: whoever has gone on removes the earlier record first.
        if is_ours && self.is_next(epoch)? {
            self.newest = Some((epoch, xxh3));
            return Ok(());
        }
        if is_ours {
            self.take_back(epoch, &content)?;
        }
        Err(PortError::Stop(format!(
            "another process has decided epoch {epoch} ({}): it has taken over this part of the job",
            self.records.describe(&name)
        )))
    }

    /// Removes the record of an epoch that was decided too late. Not if somebody has gone on from it, who then needs it:
    /// whoever has removed the one before has decided the one behind.
    fn take_back(&self, epoch: Epoch, content: &[u8]) -> Result<(), PortError> {
        let name = name_of(epoch);
        let is_followed = self.records.read(&name_of(Epoch(epoch.0 + 1)))?.is_some();
        if !is_followed && self.records.read(&name)?.is_some_and(|found| found == content) {
            self.records.remove(&name)?;
        }
        Ok(())
    }

    /// Whether nobody has decided `epoch` before, and removed its record since.
    fn is_next(&self, epoch: Epoch) -> Result<bool, PortError> {
        let Some((newest, xxh3)) = self.newest else {
            let names = self.records.names()?;
            return Ok(names.iter().filter_map(|name| epoch_of_name(name)).all(|other| other <= epoch));
        };
        let found = self.records.read(&name_of(newest))?;
        Ok(found.is_some_and(|content| xxh3_128(&content) == xxh3))
    }
}

impl TickLog for StoreTickLog {
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError> {
        if record.len() > LARGEST_RECORD {
            let requested = record.len();
            return Err(PortError::Stop(format!(
                "a tick log record takes {requested} bytes, limit {LARGEST_RECORD}: make epochs shorter"
            )));
        }
        let mut content = frame(epoch, record);
        match self.mark {
            Some(mark) => {
                // Behind the frame, where no reader looks: two who decide the same are two.
                content.extend_from_slice(&mark);
                self.decide(epoch, content)?;
            }
            None => self.records.replace(&name_of(epoch), content)?,
        }
        self.epochs.insert(epoch);
        Ok(())
    }

    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError> {
        let later = self.epochs.range(Epoch(epoch.0 + 1)..);
        later.map(|later| Ok((*later, self.read(*later)?))).collect()
    }

    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError> {
        // The last one first: whatever is left has no gap.
        let later: Vec<Epoch> = self.epochs.range(Epoch(epoch.0 + 1)..).rev().copied().collect();
        self.remove(&later)?;
        self.look_at_newest()
    }

    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError> {
        // All but the newest, the first one first.
        let newest = self.last_epoch();
        let earlier = self.epochs.range(..=epoch).copied().filter(|earlier| Some(*earlier) != newest);
        self.remove(&earlier.collect::<Vec<Epoch>>())
    }
}

fn name_of(epoch: Epoch) -> String {
    format!("e{:012}.tick", epoch.0)
}

fn epoch_of_name(name: &str) -> Option<Epoch> {
    let epoch = Epoch(name.strip_prefix('e')?.strip_suffix(".tick")?.parse().ok()?);
    (name == name_of(epoch)).then_some(epoch)
}

impl Records for Bucket {
    fn names(&self) -> Result<Vec<String>, PortError> {
        let objects = self.list(TICKS)?.objects;
        Ok(objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.get(&self.object(&format!("{TICKS}/{name}"))?)?.map(Vec::from))
    }

    fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.put(&self.object(&format!("{TICKS}/{name}"))?, Bytes::from(content))
    }

    fn create(&self, name: &str, content: Vec<u8>) -> Result<bool, PortError> {
        self.put_new(&self.object(&format!("{TICKS}/{name}"))?, Bytes::from(content))
    }

    fn remove(&self, name: &str) -> Result<(), PortError> {
        self.delete(&self.object(&format!("{TICKS}/{name}"))?)
    }

    fn describe(&self, name: &str) -> String {
        format!("{TICKS}/{name} in {}", self.url())
    }
}

/// What no other writer has.
fn random() -> [u8; 8] {
    RandomState::new().hash_one(std::process::id()).to_le_bytes()
}

/// A folder that several processes see.
struct Folder {
    folder: PathBuf,
    /// In names of files that are being written: no other process has it.
    mark: u64,
}

impl Folder {
    /// Writes a file beside, under a name that no other process uses, then does with it what `place` says.
    fn write(
        &self,
        name: &str,
        content: &[u8],
        place: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let partial = self.folder.join(format!("{name}.{:016x}.partial", self.mark));
        let mut file = File::create(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        let placed = place(&partial, &self.folder.join(name));
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        placed.and_then(|()| durable::sync_folder(&self.folder))
    }

    fn refused(&self, action: &str, name: &str, error: &std::io::Error) -> PortError {
        durable::port_error(action, &self.folder.join(name), error)
    }
}

impl Records for Folder {
    fn names(&self) -> Result<Vec<String>, PortError> {
        durable::entries(&self.folder).map_err(|error| durable::port_error("list", &self.folder, &error))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        match fs::read(self.folder.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.refused("read", name, &error)),
        }
    }

    fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), PortError> {
        let written = self.write(name, &content, |from, to| fs::rename(from, to));
        written.map_err(|error| self.refused("write", name, &error))
    }

    fn create(&self, name: &str, content: Vec<u8>) -> Result<bool, PortError> {
        // A link is made only where there is no file, and has the whole content at once.
        match self.write(name, &content, |from, to| fs::hard_link(from, to)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.refused("write", name, &error)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), PortError> {
        let removed = durable::remove_file(&self.folder.join(name));
        removed.map_err(|error| self.refused("remove", name, &error))
    }

    fn describe(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Records in a folder, where a question may go without an answer.
    struct Silent {
        folder: Folder,
        is_silent: Arc<AtomicBool>,
    }

    impl Records for Silent {
        fn names(&self) -> Result<Vec<String>, PortError> {
            self.folder.names()
        }

        fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
            if self.is_silent.swap(false, Ordering::Relaxed) {
                return Err(PortError::Retry("no answer".to_owned()));
            }
            self.folder.read(name)
        }

        fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), PortError> {
            self.folder.replace(name, content)
        }

        fn create(&self, name: &str, content: Vec<u8>) -> Result<bool, PortError> {
            self.folder.create(name, content)
        }

        fn remove(&self, name: &str) -> Result<(), PortError> {
            self.folder.remove(name)
        }

        fn describe(&self, name: &str) -> String {
            self.folder.describe(name)
        }
    }

    #[test]
    fn whoever_freezes_behind_deciding_takes_nothing_from_its_successor() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || StoreTickLog::open_shared_folder(folder.path()).expect("opens");
        let (mark, is_silent) = (random(), Arc::new(AtomicBool::new(false)));
        let place = Folder { folder: folder.path().join(TICKS), mark: 0 };
        durable::create_folders(&place.folder).expect("a folder");
        let silent = Silent { folder: place, is_silent: Arc::clone(&is_silent) };
        let mut frozen = StoreTickLog::over(Box::new(silent), Some(mark)).expect("opens");
        frozen.append(Epoch(1), b"before").expect("decides");
        // The record is there when it freezes, and it does not know yet that it was the next one.
        is_silent.store(true, Ordering::Relaxed);
        frozen.append(Epoch(2), b"decided").expect_err("no answer");
        let mut successor = open();
        successor.append(Epoch(3), b"by its successor").expect("decides");
        successor.forget_before(Epoch(1)).expect("forgets");
        let error = frozen.append(Epoch(2), b"decided").expect_err("it has lost").to_string();
        assert!(error.contains("has decided epoch 2"), "{error}");
        let expected = [(Epoch(2), b"decided".to_vec()), (Epoch(3), b"by its successor".to_vec())];
        assert_eq!(open().read_after(Epoch(1)).expect("whole"), expected);
    }
}
