//! The outbox: blocks on local disk, between the commit point and the server's acknowledgement.
//!
//! ```text
//! outbox/open/000000.arrow            a closed block of the running epoch
//! outbox/e000000000012/000000.arrow   a prepared or committed one, removed when the server has it
//! outbox/delivered                    the last epoch of which the server has everything
//! outbox/writer.lock
//! ```
//!
//! A block is an Arrow stream with LZ4 buffers, sent to the server as it lies there. A file that is gone from the folder
//! of an epoch was acknowledged; a folder that is gone was delivered, if the mark says so, and is lost otherwise.

use crate::durable::{self, Fingerprint, HashingWriter};
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

const OPEN: &str = "open";
const DELIVERED: &str = "delivered";
const LOCK: &str = "writer.lock";

/// A block on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BlockFile {
    pub(super) kind: TableKind,
    pub(super) rows: u64,
    pub(super) content: Fingerprint,
}

/// The folder, held by this process alone.
pub(super) struct Outbox {
    folder: PathBuf,
    _lock: File,
}

impl Outbox {
    pub(super) fn open(folder: &Path) -> Result<Self, PortError> {
        durable::create_folders(folder).map_err(|error| durable::port_error("create", folder, &error))?;
        let path = folder.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| durable::port_error("open", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PortError::Stop(format!(
                "another process writes to {}: end it, or give this job another data folder",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(durable::port_error("lock", &path, &error)),
        }
    }

    fn epoch_folder(&self, epoch: Epoch) -> PathBuf {
        self.folder.join(format!("e{:012}", epoch.0))
    }

    fn block_path(folder: &Path, place: usize) -> PathBuf {
        folder.join(format!("{place:06}.arrow"))
    }

    /// Writes the block at `place` of the running epoch, replacing what an attempt that failed left there.
    pub(super) fn write(
        &self,
        place: usize,
        kind: &TableKind,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<BlockFile, PortError> {
        let folder = self.folder.join(OPEN);
        durable::create_folders(&folder).map_err(|error| durable::port_error("create", &folder, &error))?;
        let path = Self::block_path(&folder, place);
        let file = File::create(&path).map_err(|error| durable::port_error("create", &path, &error))?;
        let refused = |error: ArrowError| match error {
            ArrowError::IoError(_, error) => durable::port_error("write", &path, &error),
            other => PortError::Stop(format!("cannot encode rows for {}: {other}", path.display())),
        };
        let output = HashingWriter::new(BufWriter::with_capacity(256 << 10, file));
        let lz4 = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(refused)?;
        let mut writer = StreamWriter::try_new_with_options(output, schema, lz4).map_err(refused)?;
        for batch in batches {
            writer.write(batch).map_err(refused)?;
        }
        let (mut buffered, content) = writer.into_inner().map_err(refused)?.finish();
        let synced = buffered.flush().and_then(|()| buffered.get_ref().sync_data());
        synced.map_err(|error| durable::port_error("write", &path, &error))?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Ok(BlockFile { kind: kind.clone(), rows, content })
    }

    /// Makes the blocks that were written the blocks of `epoch`, durably.
    pub(super) fn close(&self, epoch: Epoch) -> Result<(), PortError> {
        let (open, closed) = (self.folder.join(OPEN), self.epoch_folder(epoch));
        let moved = durable::remove_folder(&closed)
            .and_then(|()| durable::sync_folder(&open))
            .and_then(|()| fs::rename(&open, &closed))
            .and_then(|()| durable::sync_folder(&self.folder));
        moved.map_err(|error| durable::port_error("close", &closed, &error))
    }

    /// Whether the folder of `epoch` is there.
    pub(super) fn has(&self, epoch: Epoch) -> bool {
        self.epoch_folder(epoch).is_dir()
    }

    /// Whether the block still waits.
    pub(super) fn waits(&self, epoch: Epoch, place: usize) -> bool {
        Self::block_path(&self.epoch_folder(epoch), place).is_file()
    }

    /// The columns of a block.
    pub(super) fn schema(&self, epoch: Epoch, place: usize) -> Result<SchemaRef, PortError> {
        let path = Self::block_path(&self.epoch_folder(epoch), place);
        let file = File::open(&path).map_err(|error| durable::port_error("read", &path, &error))?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|_| damaged(&path))?;
        Ok(reader.schema())
    }

    /// The content of a block, which must be what was committed.
    pub(super) fn read(&self, epoch: Epoch, place: usize, content: &Fingerprint) -> Result<Bytes, PortError> {
        let path = Self::block_path(&self.epoch_folder(epoch), place);
        let bytes = fs::read(&path).map_err(|error| durable::port_error("read", &path, &error))?;
        if Fingerprint::of(&bytes) != *content {
            return Err(damaged(&path));
        }
        Ok(bytes.into())
    }

    /// The server has the block.
    pub(super) fn acknowledge(&self, epoch: Epoch, place: usize) -> Result<(), PortError> {
        let path = Self::block_path(&self.epoch_folder(epoch), place);
        durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))
    }

    /// The server has everything up to `epoch`.
    pub(super) fn mark_delivered(&self, epoch: Epoch) -> Result<(), PortError> {
        let path = self.folder.join(DELIVERED);
        let text = format!("{}\n", epoch.0);
        durable::write_atomically(&path, text.as_bytes()).map_err(|error| durable::port_error("write", &path, &error))
    }

    /// The last epoch of which the server has everything; 0 if none is known.
    pub(super) fn delivered(&self) -> Result<Epoch, PortError> {
        let path = self.folder.join(DELIVERED);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Epoch).map_err(|_| damaged(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Epoch(0)),
            Err(error) => Err(durable::port_error("read", &path, &error)),
        }
    }

    /// Removes the folder of an epoch.
    pub(super) fn remove(&self, epoch: Epoch) -> Result<(), PortError> {
        let path = self.epoch_folder(epoch);
        durable::remove_folder(&path).map_err(|error| durable::port_error("remove", &path, &error))
    }

    /// Removes the blocks of every epoch, the running one included.
    pub(super) fn clear(&self) -> Result<(), PortError> {
        let names =
            durable::entries(&self.folder).map_err(|error| durable::port_error("list", &self.folder, &error))?;
        for name in names.iter().filter(|name| !matches!(name.as_str(), LOCK | DELIVERED)) {
            let path = self.folder.join(name);
            let removed = if path.is_dir() { durable::remove_folder(&path) } else { durable::remove_file(&path) };
            removed.map_err(|error| durable::port_error("remove", &path, &error))?;
        }
        Ok(())
    }

    /// What to tell a person when the folder of a committed epoch is neither there nor delivered.
    pub(super) fn lost(&self, epoch: Epoch) -> PortError {
        PortError::Stop(format!(
            "the committed rows of epoch {epoch} that were to go to ClickHouse are gone: {} does not exist; put it back \
             from a copy, or restore a checkpoint of an earlier epoch and run from there",
            self.epoch_folder(epoch).display()
        ))
    }
}

fn damaged(path: &Path) -> PortError {
    PortError::Stop(format!(
        "{} is not what the committed epoch wrote: the file is damaged; put it back from a copy, or restore a checkpoint \
         of an earlier epoch and run from there",
        path.display()
    ))
}
