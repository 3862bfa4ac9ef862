//! A place in an object store: durable as a multipart upload with all its parts, visible by completing it.
//!
//! ```text
//! PREFIX/metrics/date=2026-01-08/metric=jitter-coefficient/e000000000012.parquet
//! PREFIX/.staging/e000000000012.json            the uploads begun for the epoch
//! ```
//!
//! The identifiers of uploads and parts travel in the handle, so any process can complete them. Before the first part is
//! sent, the uploads of the epoch are written down in the store itself: a run that was killed leaves nothing with content
//! that the next one does not find and abort. (An upload begun and not yet written down has no parts and costs nothing;
//! a lifecycle rule of the bucket sweeps it up.)
//!
//! There are no locks between machines. A file that a merged one has replaced stays for a while, long enough for every
//! query that may be reading it.

use super::local::remove_all_but_locks;
use super::{Published, Storage};
use crate::durable::{self, Fingerprint};
use crate::sink::parquet::compaction::StoredFile;
use crate::sink::parquet::file_name::{FileName, split_visible};
use crate::sink::parquet::finalise::Check;
use crate::sink::parquet::handle::{Handle, PreparedFile, STAGING, Upload, staged_path, staging_folder};
use crate::sink::parquet::locks::Locks;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

mod connect;

pub use connect::ObjectStoreSettings;

/// Bytes of a part, the last one excepted. At most ten thousand parts are allowed: 160 GB.
const PART_BYTES: usize = 16 << 20;
/// Requests under way at one time. Each may hold a part in memory.
const REQUESTS_AT_ONCE: usize = 4;
/// The folder of files that were fetched to be merged, below the scratch folder.
const FETCHED: &str = "fetched";

const CHECK_CREDENTIALS: &str = "check the credentials and their rights on the bucket, then start again";
const CHECK_BUCKET: &str = "check that the bucket exists, then start again";

/// What we need of a store.
pub(super) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// A prefix of a bucket, written by this process alone.
pub(in super::super) struct ObjectStorage {
    store: Arc<dyn Objects>,
    prefix: ObjectPath,
    /// For messages.
    url: String,
    scratch: PathBuf,
    _locks: Locks,
    keep_replaced: Duration,
    /// When to look again for superseded files that readers may still hold, by folder.
    look_again: Mutex<BTreeMap<String, Instant>>,
    runtime: tokio::runtime::Runtime,
}

impl ObjectStorage {
    pub(in super::super) fn open(settings: &ObjectStoreSettings, scratch: &Path) -> Result<Self, PortError> {
        let (store, prefix) = settings.connect()?;
        let locks = Locks::take(scratch).map_err(|error| durable::port_error("open", scratch, &error))?;
        let locks = locks.ok_or_else(|| {
            PortError::Stop(format!(
                "another process uses {}: end it, or give this job another data folder",
                scratch.display()
            ))
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            store,
            prefix,
            url: settings.url.clone(),
            scratch: scratch.to_owned(),
            _locks: locks,
            keep_replaced: Duration::from_secs(settings.keep_replaced_s),
            look_again: Mutex::default(),
            runtime: runtime.map_err(|error| PortError::Stop(format!("cannot talk to {}: {error}", settings.url)))?,
        })
    }

    /// The object of a file. Names of folders are percent-encoded already, and stay as they are.
    fn object(&self, folder: &str, name: &str) -> Result<ObjectPath, PortError> {
        let path = format!("{}/{folder}/{name}", self.prefix);
        ObjectPath::parse(path.trim_matches('/'))
            .map_err(|error| PortError::Stop(format!("{folder}/{name} is no name of an object: {error}")))
    }

    fn journal(&self, epoch: Epoch) -> Result<ObjectPath, PortError> {
        self.object(STAGING, &format!("e{:012}.json", epoch.0))
    }

    fn port_error(&self, action: &str, path: &ObjectPath, error: &Error) -> PortError {
        let text = with_sources(error);
        // Listing reports a refusal as any other failure; the status is only in its text.
        let has_status = |status: u16| text.contains(&format!("status code: {status}"));
        let (again, advice) = match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (false, CHECK_CREDENTIALS),
            Error::Generic { .. } if has_status(401) || has_status(403) => (false, CHECK_CREDENTIALS),
            Error::NotFound { .. } => (false, CHECK_BUCKET),
            Error::Generic { .. } if has_status(404) => (false, CHECK_BUCKET),
            Error::Generic { .. } | Error::JoinError { .. } | Error::Precondition { .. } => {
                (true, "is the store reachable? trying again")
            }
            _ => (false, "correct the settings of the store, then start again"),
        };
        let message = format!("cannot {action} {path} in {}: {text}; {advice}", self.url);
        if again { PortError::Retry(message) } else { PortError::Stop(message) }
    }

    /// Folders and objects right below `folder`.
    fn list(&self, folder: &str) -> Result<object_store::ListResult, PortError> {
        let path = self.object(folder, "")?;
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&path)));
        listed.map_err(|error| self.port_error("list", &path, &error))
    }

    /// The metadata of an object, if it is there.
    fn head(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, PortError> {
        match self.runtime.block_on(self.store.head(path)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.port_error("look for", path, &error)),
        }
    }

    /// Copies an object to a local file.
    fn fetch(&self, path: &ObjectPath, to: &mut dyn Write) -> Result<(), PortError> {
        self.runtime.block_on(async {
            let unread = |error: Error| self.port_error("read", path, &error);
            let mut content = self.store.get(path).await.map_err(unread)?.into_stream();
            while let Some(bytes) = content.try_next().await.map_err(unread)? {
                to.write_all(&bytes).map_err(|error| durable::port_error("write", &self.scratch, &error))?;
            }
            Ok(())
        })
    }

    /// Whether an object is what the epoch wrote.
    fn compare(
        &self,
        path: &ObjectPath,
        found: &ObjectMeta,
        file: &PreparedFile,
        check: Check,
    ) -> Result<Published, PortError> {
        let is_same = found.size == file.content.bytes
            && match check {
                Check::Size => true,
                Check::Content => {
                    let mut hashing = durable::HashingWriter::new(io::sink());
                    self.fetch(path, &mut hashing)?;
                    hashing.finish().1 == file.content
                }
            };
        Ok(if is_same { Published::Visible } else { Published::Damaged(format!("{path} in {}", self.url)) })
    }

    fn delete(&self, path: &ObjectPath) -> Result<(), PortError> {
        match self.runtime.block_on(self.store.delete(path)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.port_error("remove", path, &error)),
        }
    }

    /// Begins the uploads, writes them down and gives their identifiers.
    async fn begin(&self, epoch: Epoch, paths: &[ObjectPath]) -> Result<Vec<String>, PortError> {
        let begun = stream::iter(paths).map(|path| async move {
            let id = self.store.create_multipart(path).await;
            id.map_err(|error| self.port_error("begin the upload of", path, &error))
        });
        let ids: Vec<String> = begun.buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let uploads: Vec<(&str, &str)> = paths.iter().map(AsRef::as_ref).zip(ids.iter().map(String::as_str)).collect();
        let content = serde_json::to_vec(&uploads).expect("texts have a JSON form");
        let journal = self.journal(epoch)?;
        let kept = self.store.put(&journal, PutPayload::from(content)).await;
        kept.map_err(|error| self.port_error("write", &journal, &error))?;
        Ok(ids)
    }

    /// Sends the staged file in parts.
    async fn upload(&self, staged: &Path, path: &ObjectPath, id: String) -> Result<Upload, PortError> {
        let unreadable = |error: io::Error| durable::port_error("read", staged, &error);
        let mut file = File::open(staged).map_err(unreadable)?;
        let mut parts = Vec::new();
        loop {
            let mut part = Vec::new();
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).map_err(unreadable)?;
            if part.is_empty() && !parts.is_empty() {
                return Ok(Upload { id, parts });
            }
            let sent = self.store.put_part(path, &id, parts.len(), Bytes::from(part).into()).await;
            parts.push(sent.map_err(|error| self.port_error("upload", path, &error))?.content_id);
        }
    }

    /// Aborts the uploads that a journal names and removes it.
    fn abort(&self, journal: &ObjectPath) -> Result<(), PortError> {
        let mut content = Vec::new();
        self.fetch(journal, &mut content)?;
        let unreadable = |error: &dyn std::fmt::Display| {
            PortError::Stop(format!("{journal} in {} cannot be read: {error}; remove it and start again", self.url))
        };
        let uploads: Vec<(String, String)> = serde_json::from_slice(&content).map_err(|error| unreadable(&error))?;
        for (path, id) in uploads {
            let path = ObjectPath::parse(path).map_err(|error| unreadable(&error))?;
            match self.runtime.block_on(self.store.abort_multipart(&path, &id)) {
                // Completed or aborted before.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                // What is left costs some space, which is no reason to stop.
                Err(error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. })) => {
                    tracing::warn!(%path, id, error = with_sources(&error), "an upload cannot be aborted");
                }
                Err(error) => return Err(self.port_error("abort the upload of", &path, &error)),
            }
        }
        self.delete(journal)
    }
}

impl Storage for ObjectStorage {
    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, PortError> {
        let prefixes = self.list(folder)?.common_prefixes;
        let mut names: Vec<String> =
            prefixes.iter().filter_map(|prefix| prefix.as_ref().rsplit('/').next().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let objects = self.list(folder)?.objects;
        let files = objects.iter().filter_map(|object| {
            Some(StoredFile { name: FileName::parse(object.location.filename()?)?, bytes: object.size })
        });
        let mut files: Vec<StoredFile> = files.collect();
        files.sort_unstable_by_key(|file| file.name);
        Ok(files)
    }

    fn read(&self, folder: &str, name: FileName) -> Result<PathBuf, PortError> {
        let object = self.object(folder, &name.to_string())?;
        let fetched = self.scratch.join(FETCHED);
        let path = fetched.join(format!("{}.parquet", Fingerprint::of(object.as_ref().as_bytes()).xxh3));
        if !path.is_file() {
            durable::create_folders(&fetched).map_err(|error| durable::port_error("create", &fetched, &error))?;
            let partial = path.with_extension("partial");
            let mut file = File::create(&partial).map_err(|error| durable::port_error("create", &partial, &error))?;
            self.fetch(&object, &mut file)?;
            std::fs::rename(&partial, &path).map_err(|error| durable::port_error("rename to", &path, &error))?;
        }
        Ok(path)
    }

    fn forget_read(&self) -> Result<(), PortError> {
        let path = self.scratch.join(FETCHED);
        durable::remove_folder(&path).map_err(|error| durable::port_error("remove", &path, &error))
    }

    fn stage(&self, handle: &mut Handle) -> Result<(), PortError> {
        if handle.files.is_empty() {
            return Ok(());
        }
        let journal = self.journal(handle.epoch)?;
        if self.head(&journal)?.is_some() {
            // An attempt that failed.
            self.abort(&journal)?;
        }
        let paths = handle.files.iter().map(|file| self.object(&file.folder, &file.name));
        let paths: Vec<ObjectPath> = paths.collect::<Result<_, _>>()?;
        let folder = staging_folder(&self.scratch, handle.epoch);
        let uploads: Vec<Upload> = self.runtime.block_on(async {
            let ids = self.begin(handle.epoch, &paths).await?;
            let sent = stream::iter(paths.iter().zip(ids).enumerate()).map(|(place, (path, id))| {
                let staged = staged_path(&folder, place);
                async move { self.upload(&staged, path, id).await }
            });
            sent.buffered(REQUESTS_AT_ONCE).try_collect().await
        })?;
        for (file, upload) in handle.files.iter_mut().zip(uploads) {
            file.upload = Some(upload);
        }
        // The store has everything from here on.
        durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))
    }

    fn publish(&self, _: Epoch, _: usize, file: &PreparedFile, check: Check) -> Result<Published, PortError> {
        let path = self.object(&file.folder, &file.name)?;
        let Some(upload) = &file.upload else {
            return Err(PortError::Stop(format!(
                "the committed epoch was prepared for a local folder, not for {}: finish it there first",
                self.url
            )));
        };
        // After a crash it may well be there; else asking would only cost a request.
        if check == Check::Content
            && let Some(found) = self.head(&path)?
        {
            return self.compare(&path, &found, file, check);
        }
        let parts = upload.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
        match self.runtime.block_on(self.store.complete_multipart(&path, &upload.id, parts)) {
            Ok(_) => Ok(Published::Visible),
            // Perhaps it was completed before, and only the answer was lost.
            Err(error) => match (self.head(&path)?, error) {
                (Some(found), _) => self.compare(&path, &found, file, check),
                (None, Error::NotFound { .. }) => Ok(Published::Gone),
                (None, error) => Err(self.port_error("complete the upload of", &path, &error)),
            },
        }
    }

    fn settle(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    fn forget_staged(&self, epoch: Epoch) -> Result<(), PortError> {
        self.delete(&self.journal(epoch)?)
    }

    fn forget_all_staged(&self) -> Result<(), PortError> {
        remove_all_but_locks(&self.scratch)?;
        for journal in self.list(STAGING)?.objects {
            tracing::info!(journal = %journal.location, "aborting uploads that were never committed");
            self.abort(&journal.location)?;
        }
        Ok(())
    }

    fn remove(&self, folder: &str, name: FileName) -> Result<(), PortError> {
        self.delete(&self.object(folder, &name.to_string())?)
    }

    fn remove_empty(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    fn remove_superseded(&self, folder: &str, removed: &mut dyn FnMut()) -> Result<bool, PortError> {
        let mut look_again = self.look_again.lock().unwrap_or_else(PoisonError::into_inner);
        if look_again.get(folder).is_some_and(|due| Instant::now() < *due) {
            return Ok(false);
        }
        let objects = self.list(folder)?.objects;
        let written: BTreeMap<FileName, SystemTime> = objects
            .iter()
            .filter_map(|object| Some((FileName::parse(object.location.filename()?)?, object.last_modified.into())))
            .collect();
        let mut superseded = split_visible(written.keys().copied()).1;
        superseded.sort_unstable();
        let mut longest: Option<Duration> = None;
        for name in superseded {
            // The clock is the store's on one side and ours on the other: good enough for a grace period.
            let replaced = written.iter().filter(|(other, _)| other.supersedes(name)).map(|(_, when)| *when).min();
            let age = replaced.and_then(|when| when.elapsed().ok()).unwrap_or_default();
            match self.keep_replaced.checked_sub(age).filter(|left| !left.is_zero()) {
                Some(left) => longest = Some(longest.map_or(left, |longest| longest.max(left))),
                None => {
                    self.remove(folder, name)?;
                    removed();
                }
            }
        }
        match longest {
            Some(left) => look_again.insert(folder.to_owned(), Instant::now() + left),
            None => look_again.remove(folder),
        };
        Ok(longest.is_none())
    }

    fn describe(&self, folder: &str, name: &str) -> String {
        format!("{}/{folder}/{name}", self.url.trim_end_matches('/'))
    }
}

/// An error with the reasons behind it: the store's own words are at the end.
fn with_sources(error: &Error) -> String {
    let reasons = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut texts: Vec<String> = Vec::new();
    for reason in reasons.map(ToString::to_string) {
        // Most repeat what is behind them.
        if texts.iter().all(|text| !text.contains(&reason)) {
            texts.push(reason);
        }
    }
    texts.join(": ").chars().take(2000).collect()
}
