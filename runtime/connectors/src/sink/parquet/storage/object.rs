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
use crate::fail_point::FailPoint;
use crate::object_storage::{Bucket, ObjectStoreSettings, with_sources};
use crate::sink::parquet::compaction::StoredFile;
use crate::sink::parquet::file_name::{FileName, split_visible};
use crate::sink::parquet::finalise::Check;
use crate::sink::parquet::handle::{Handle, PreparedFile, STAGING, Upload, staged_path, staging_folder};
use crate::sink::parquet::locks::Locks;
use crate::sink::parquet::step;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStoreExt, PutPayload};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// Bytes of a part, the last one excepted. At most ten thousand parts are allowed: 160 GB.
const PART_BYTES: usize = 16 << 20;
/// Uploads under way at one time. Each holds a part in memory.
const UPLOADS_AT_ONCE: usize = 4;
/// Requests without content under way at one time.
const REQUESTS_AT_ONCE: usize = 16;
/// The folder of files that were fetched to be merged, below the scratch folder.
const FETCHED: &str = "fetched";

/// A prefix of a bucket, written by this process alone.
pub(in super::super) struct ObjectStorage {
    bucket: Bucket,
    scratch: PathBuf,
    _locks: Locks,
    keep_replaced: Duration,
    /// When to look again for superseded files that readers may still hold, by folder.
    look_again: Mutex<BTreeMap<String, Instant>>,
    fail_point: FailPoint,
}

impl ObjectStorage {
    pub(in super::super) fn open(
        settings: &ObjectStoreSettings,
        scratch: &Path,
        fail_point: FailPoint,
    ) -> Result<Self, PortError> {
        let bucket = Bucket::open(settings)?;
        let locks = Locks::take(scratch).map_err(|error| durable::port_error("open", scratch, &error))?;
        let locks = locks.ok_or_else(|| {
            PortError::Stop(format!(
                "another process uses {}: end it, or give this job another data folder",
                scratch.display()
            ))
        })?;
        Ok(Self {
            bucket,
            scratch: scratch.to_owned(),
            _locks: locks,
            keep_replaced: Duration::from_secs(settings.keep_replaced_s),
            look_again: Mutex::default(),
            fail_point,
        })
    }

    /// The object of a file. Names of folders are percent-encoded already, and stay as they are.
    fn object(&self, folder: &str, name: &str) -> Result<ObjectPath, PortError> {
        self.bucket.object(&format!("{folder}/{name}"))
    }

    fn journal(&self, epoch: Epoch) -> Result<ObjectPath, PortError> {
        self.object(STAGING, &format!("e{:012}.json", epoch.0))
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
                    self.bucket.fetch(path, &self.scratch, &mut hashing)?;
                    hashing.finish().1 == file.content
                }
            };
        Ok(if is_same { Published::Visible } else { Published::Damaged(self.bucket.describe(path)) })
    }

    /// Begins the uploads, writes them down and gives their identifiers.
    async fn begin(&self, epoch: Epoch, paths: &[ObjectPath]) -> Result<Vec<String>, PortError> {
        let begun = stream::iter(paths).map(|path| async move {
            let id = self.bucket.store().create_multipart(path).await;
            id.map_err(|error| self.bucket.port_error("begin the upload of", path, &error))
        });
        let ids: Vec<String> = begun.buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let uploads: Vec<(&str, &str)> = paths.iter().map(AsRef::as_ref).zip(ids.iter().map(String::as_str)).collect();
        let content = serde_json::to_vec(&uploads).expect("texts have a JSON form");
        let journal = self.journal(epoch)?;
        let kept = self.bucket.store().put(&journal, PutPayload::from(content)).await;
        kept.map_err(|error| self.bucket.port_error("write", &journal, &error))?;
        (self.fail_point)(step::UPLOAD_BEGUN);
        Ok(ids)
    }

    /// Sends the staged file in parts.
    async fn upload(&self, staged: &Path, path: &ObjectPath, id: String, is_first: bool) -> Result<Upload, PortError> {
        let unreadable = |error: io::Error| durable::port_error("read", staged, &error);
        let mut file = File::open(staged).map_err(unreadable)?;
        let mut parts = Vec::new();
        loop {
            let mut part = Vec::new();
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).map_err(unreadable)?;
            if part.is_empty() && !parts.is_empty() {
                return Ok(Upload { id, parts });
            }
            let sent = self.bucket.store().put_part(path, &id, parts.len(), Bytes::from(part).into()).await;
            parts.push(sent.map_err(|error| self.bucket.port_error("upload", path, &error))?.content_id);
            if is_first && parts.len() == 1 {
                (self.fail_point)(step::UPLOAD_PART);
            }
        }
    }

    /// Aborts the uploads that a journal names and removes it.
    fn abort(&self, journal: &ObjectPath) -> Result<(), PortError> {
        let mut content = Vec::new();
        self.bucket.fetch(journal, &self.scratch, &mut content)?;
        let unreadable = |error: &dyn std::fmt::Display| {
            let journal = self.bucket.describe(journal);
            PortError::Stop(format!("{journal} cannot be read: {error}; remove it and start again"))
        };
        let uploads: Vec<(String, String)> = serde_json::from_slice(&content).map_err(|error| unreadable(&error))?;
        for (path, id) in uploads {
            let path = ObjectPath::parse(path).map_err(|error| unreadable(&error))?;
            match self.bucket.block_on(self.bucket.store().abort_multipart(&path, &id)) {
                // Completed or aborted before.
                Ok(()) | Err(Error::NotFound { .. }) => {}
                // What is left costs some space, which is no reason to stop.
                Err(error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. })) => {
                    tracing::warn!(%path, id, error = with_sources(&error), "an upload cannot be aborted");
                }
                Err(error) => return Err(self.bucket.port_error("abort the upload of", &path, &error)),
            }
        }
        self.bucket.delete(journal)
    }

    /// Completes an upload.
    async fn complete(&self, path: &ObjectPath, upload: &Upload) -> Result<(), Error> {
        let parts = upload.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
        self.bucket.store().complete_multipart(path, &upload.id, parts).await.map(|_| ())
    }

    /// What an attempt to complete the upload of `file` came to.
    fn published(
        &self,
        path: &ObjectPath,
        file: &PreparedFile,
        check: Check,
        completed: Result<(), Error>,
    ) -> Result<Published, PortError> {
        let Err(error) = completed else { return Ok(Published::Visible) };
        // Perhaps it was completed before, and only the answer was lost.
        match (self.bucket.head(path)?, error) {
            (Some(found), _) => self.compare(path, &found, file, check),
            (None, Error::NotFound { .. }) => Ok(Published::Gone),
            (None, error) => Err(self.bucket.port_error("complete the upload of", path, &error)),
        }
    }
}

impl Storage for ObjectStorage {
    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, PortError> {
        let prefixes = self.bucket.list(folder)?.common_prefixes;
        let mut names: Vec<String> =
            prefixes.iter().filter_map(|prefix| prefix.as_ref().rsplit('/').next().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let objects = self.bucket.list(folder)?.objects;
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
            self.bucket.fetch(&object, &partial, &mut file)?;
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
        if self.bucket.head(&journal)?.is_some() {
            // An attempt that failed.
            self.abort(&journal)?;
        }
        let paths = handle.files.iter().map(|file| self.object(&file.folder, &file.name));
        let paths: Vec<ObjectPath> = paths.collect::<Result<_, _>>()?;
        let folder = staging_folder(&self.scratch, handle.epoch);
        let uploads: Vec<Upload> = self.bucket.block_on(async {
            let ids = self.begin(handle.epoch, &paths).await?;
            let sent = stream::iter(paths.iter().zip(ids).enumerate()).map(|(place, (path, id))| {
                let staged = staged_path(&folder, place);
                async move { self.upload(&staged, path, id, place == 0).await }
            });
            sent.buffered(UPLOADS_AT_ONCE).try_collect().await
        })?;
        for (file, upload) in handle.files.iter_mut().zip(uploads) {
            file.upload = Some(upload);
        }
        // The store has everything from here on.
        durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))
    }

    fn publish(&self, handle: &Handle, places: Range<usize>, check: Check) -> Result<Vec<Published>, PortError> {
        let mut files: Vec<(ObjectPath, &PreparedFile, &Upload)> = Vec::with_capacity(places.len());
        for file in &handle.files[places] {
            let upload = file.upload.as_ref().ok_or_else(|| {
                let url = self.bucket.url();
                PortError::Stop(format!(
                    "the committed epoch was prepared for a local folder, not for {url}: finish it there first"
                ))
            })?;
            files.push((self.object(&file.folder, &file.name)?, file, upload));
        }
        if check == Check::Content {
            // After a crash it may well be there; else asking would only cost a request.
            let published = files.iter().map(|(path, file, upload)| match self.bucket.head(path)? {
                Some(found) => self.compare(path, &found, file, check),
                None => self.published(path, file, check, self.bucket.block_on(self.complete(path, upload))),
            });
            return published.collect();
        }
        let completed = stream::iter(&files).map(|(path, _, upload)| self.complete(path, upload));
        let completed: Vec<Result<(), Error>> = self.bucket.block_on(completed.buffered(REQUESTS_AT_ONCE).collect());
        let published = files.iter().zip(completed);
        published.map(|((path, file, _), completed)| self.published(path, file, check, completed)).collect()
    }

    fn settle(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    fn forget_staged(&self, epoch: Epoch) -> Result<(), PortError> {
        self.bucket.delete(&self.journal(epoch)?)
    }

    fn forget_all_staged(&self) -> Result<(), PortError> {
        remove_all_but_locks(&self.scratch)?;
        for journal in self.bucket.list(STAGING)?.objects {
            tracing::info!(journal = %journal.location, "aborting uploads that were never committed");
            self.abort(&journal.location)?;
        }
        Ok(())
    }

    fn remove(&self, folder: &str, name: FileName) -> Result<(), PortError> {
        self.bucket.delete(&self.object(folder, &name.to_string())?)
    }

    fn remove_empty(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    fn remove_superseded(&self, folder: &str, removed: &mut dyn FnMut()) -> Result<bool, PortError> {
        let mut look_again = self.look_again.lock().unwrap_or_else(PoisonError::into_inner);
        if look_again.get(folder).is_some_and(|due| Instant::now() < *due) {
            return Ok(false);
        }
        let objects = self.bucket.list(folder)?.objects;
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
        format!("{}/{folder}/{name}", self.bucket.url())
    }
}
