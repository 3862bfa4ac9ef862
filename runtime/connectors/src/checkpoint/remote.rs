//! Checkpoints in an object store.
//!
//! ```text
//! PREFIX/objects/<xxh3>-<bytes>.000000          content, in pieces of 16 MiB
//! PREFIX/manifests/e000000000120.json
//! PREFIX/newest
//! ```
//!
//! Every object is written in one request, so there is never half of one, nor an upload that nobody ends.

use super::error::CheckpointError;
use super::place::{MANIFESTS, OBJECTS, Place, Stored, Tenure, compare, object_name};
use crate::durable::{self, Fingerprint, HashingWriter};
use crate::object_storage::{Bucket, ObjectStoreSettings};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::{Error, ObjectStoreExt, PutPayload};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tidemark_engine::ports::PortError;

/// Bytes of a piece, the last one excepted. A few of them are in memory while a file is stored.
const PIECE_BYTES: u64 = 16 << 20;
/// Pieces under way at one time.
const PIECES_AT_ONCE: usize = 4;

/// A place in an object store.
pub(super) struct Remote {
    bucket: Bucket,
    /// Names of the pieces that are there; `None` until they were listed.
    pieces: Mutex<Option<BTreeSet<String>>>,
}

impl Remote {
    /// Opens no connection yet.
    pub(super) fn open(settings: &ObjectStoreSettings) -> Result<Self, CheckpointError> {
        Ok(Self { bucket: Bucket::open(settings)?, pieces: Mutex::default() })
    }

    /// Names of the objects right below `folder`, sorted.
    fn names(&self, folder: &str) -> Result<BTreeSet<String>, PortError> {
        let objects = self.bucket.list(folder)?.objects;
        Ok(objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    /// Does something with the names of the pieces that are there, listed where they are not known.
    fn with_pieces<T>(&self, work: impl FnOnce(&mut BTreeSet<String>) -> Result<T, PortError>) -> Result<T, PortError> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.is_none() {
            *pieces = Some(self.names(OBJECTS)?);
        }
        work(pieces.as_mut().expect("listed above"))
    }

    /// Moves damaged pieces out of the way, so that the next checkpoint stores the content anew.
    fn set_aside(&self, names: &[String]) {
        for name in names {
            let moved = self.bucket.object(&format!("{OBJECTS}/{name}")).and_then(|from| {
                let to = self.bucket.object(&format!("{OBJECTS}/{name}.damaged"))?;
                match self.bucket.block_on(self.bucket.store().rename(&from, &to)) {
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(self.bucket.port_error("move aside", &from, &error)),
                }
            });
            if let Err(error) = moved {
                tracing::warn!(%error, "a damaged piece of a checkpoint");
            }
        }
        *self.pieces.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Writes one piece of the file at `path`.
    async fn put_piece(&self, path: &Path, number: u64, name: &str) -> Result<(), PortError> {
        let unreadable = |error: io::Error| durable::port_error("read", path, &error);
        let mut content = Vec::new();
        let mut file = File::open(path).map_err(unreadable)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(number * PIECE_BYTES)).map_err(unreadable)?;
        file.take(PIECE_BYTES).read_to_end(&mut content).map_err(unreadable)?;
        let object = self.bucket.object(&format!("{OBJECTS}/{name}"))?;
        let written = self.bucket.store().put(&object, PutPayload::from(Bytes::from(content))).await;
        written.map(|_| ()).map_err(|error| self.bucket.port_error("write", &object, &error))
    }

    /// Copies a piece that an earlier owner stored, within the store. False where that cannot be.
    async fn take_over_piece(&self, known: &str, name: &str) -> Result<bool, PortError> {
        let from = self.bucket.object(&format!("{OBJECTS}/{known}"))?;
        let to = self.bucket.object(&format!("{OBJECTS}/{name}"))?;
        Ok(self.bucket.store().copy(&from, &to).await.is_ok())
    }
}

/// Names of the pieces of stored content, in order.
fn piece_names(stored: &Stored) -> Vec<String> {
    let name = object_name(stored);
    (0..stored.content.bytes.div_ceil(PIECE_BYTES)).map(|number| format!("{name}.{number:06}")).collect()
}

impl Place for Remote {
    fn manifests(&self) -> Result<Vec<String>, CheckpointError> {
        Ok(self.names(MANIFESTS)?.into_iter().collect())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        Ok(self.bucket.get(&self.bucket.object(name)?)?.map(Vec::from))
    }

    fn write(&self, name: &str, content: &[u8], _: Tenure) -> Result<(), CheckpointError> {
        Ok(self.bucket.put(&self.bucket.object(name)?, Bytes::copy_from_slice(content))?)
    }

    fn remove(&self, names: &[String]) -> Result<(), CheckpointError> {
        for name in names {
            self.bucket.delete(&self.bucket.object(name)?)?;
        }
        Ok(())
    }

    fn keep(&self, path: &Path, known: Option<&Stored>, tenure: Tenure) -> Result<Fingerprint, CheckpointError> {
        // Always read: a database that was begun anew gives old names to new files.
        let content = Fingerprint::of_file(path).map_err(|error| CheckpointError::refused("read", path, &error))?;
        let known = known.filter(|known| known.tenure != tenure && known.content == content).map(piece_names);
        self.with_pieces(|there| {
            let names = piece_names(&Stored { tenure, content: content.clone() });
            let missing = (0_u64..).zip(&names).filter(|(_, name)| !there.contains(*name));
            let written = stream::iter(missing).map(async |(number, name)| match &known {
                Some(known) if self.take_over_piece(&known[number as usize], name).await? => Ok(()),
                _ => self.put_piece(path, number, name).await,
            });
            self.bucket.block_on(written.buffer_unordered(PIECES_AT_ONCE).try_collect::<()>())?;
            there.extend(names);
            Ok(())
        })?;
        Ok(content)
    }

    fn sync(&self) -> Result<(), CheckpointError> {
        Ok(())
    }

    fn load(&self, stored: &Stored, to: &Path, output: &mut dyn Write) -> Result<Result<(), String>, CheckpointError> {
        let names = piece_names(stored);
        let mut hashing = HashingWriter::new(output);
        let mut sound = Ok(());
        for name in &names {
            let object = self.bucket.object(&format!("{OBJECTS}/{name}"))?;
            if self.bucket.head(&object)?.is_none() {
                sound = Err("is missing".to_owned());
                break;
            }
            self.bucket.fetch(&object, to, &mut hashing)?;
        }
        let sound = sound.and_then(|()| compare(&stored.content, &hashing.finish().1));
        if sound.is_err() {
            self.set_aside(&names);
        }
        Ok(sound)
    }

    fn retain(&self, used: &BTreeSet<Stored>, tenure: Tenure) -> Result<(), CheckpointError> {
        let used: BTreeSet<String> = used.iter().flat_map(piece_names).collect();
        self.with_pieces(|there| {
            let outdated = |name: &String| !used.contains(name) && tenure.may_remove(name);
            for name in there.iter().filter(|name| outdated(name)) {
                self.bucket.delete(&self.bucket.object(&format!("{OBJECTS}/{name}"))?)?;
            }
            there.retain(|name| !outdated(name));
            Ok(())
        })?;
        Ok(())
    }

    fn describe(&self) -> String {
        self.bucket.url().to_owned()
    }
}
