//! Modules by the SHA-256 of their bytes, beside the checkpoints: what a job has ever run it can run again, and every row
//! can be made again of the very module that its digest names.
//!
//! Where checkpoints lie in an object store, modules do so, too, and the folder has copies: what is kept is in both, and what
//! a new machine lacks is fetched when it is needed.
//!
//! Knows nothing of what a module is. A file appears whole or not at all, is never changed, and is checked against its
//! name whenever it is read.

use crate::durable;
use crate::object_storage::{Bucket, ObjectStoreSettings};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemark_engine::ids::Digest;
use tidemark_engine::ports::PortError;

const EXTENSION: &str = "wasm";
const PARTIAL: &str = "partial";
/// The folder of modules in an object store.
const REMOTE: &str = "modules";

/// The folder of modules, and where they lie besides.
#[derive(Clone)]
pub struct ModuleStore {
    folder: PathBuf,
    remote: Option<Arc<Bucket>>,
}

/// Why a module could not be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleStoreError {
    /// There is none of that digest.
    #[error("there is no module {0}: push it")]
    Missing(Digest),
    /// What is there is not what it was.
    #[error("the module {digest} is damaged in {path}: push it again")]
    Damaged {
        /// The digest that names it.
        digest: Digest,
        /// The file.
        path: PathBuf,
    },
    /// The object store refuses.
    #[error(transparent)]
    Remote(#[from] PortError),
    /// More bytes than are allowed.
    #[error("the module has more than {limit} bytes: make it smaller, or raise the limit")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The disk refuses.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A module that is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StoredModule {
    /// Its name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

impl ModuleStore {
    /// The store in `folder`, which is made if it is missing. What an interrupted upload left is removed.
    pub fn open(folder: &Path) -> Result<Self, ModuleStoreError> {
        let store = Self { folder: folder.to_owned(), remote: None };
        durable::create_folders(folder).map_err(|error| store.refused("create", folder, error))?;
        for name in store.entries()? {
            if name.ends_with(PARTIAL) {
                let path = folder.join(name);
                durable::remove_file(&path).map_err(|error| store.refused("remove", &path, error))?;
            }
        }
        Ok(store)
    }

    /// The same with everything in an object store as well, below `modules/` there. Opens no connection yet.
    pub fn open_store(folder: &Path, store: &ObjectStoreSettings) -> Result<Self, ModuleStoreError> {
        let bucket = Bucket::open(store)?;
        Ok(Self { remote: Some(Arc::new(bucket)), ..Self::open(folder)? })
    }

    /// Begins to take a module in, piece by piece, of at most `limit` bytes.
    pub fn upload(&self, limit: u64) -> Result<Upload, ModuleStoreError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{serial}.{PARTIAL}", std::process::id()));
        let file = File::create_new(&path).map_err(|error| self.refused("create", &path, error))?;
        Ok(Upload { store: self.clone(), path, file, hash: Sha256::new(), bytes: 0, limit, kept: false })
    }

    /// Keeps a module.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ModuleStoreError> {
        let digest = Digest(Sha256::digest(bytes).into());
        if self.local(digest).is_ok() {
            self.send(digest)?;
            return Ok(digest);
        }
        let mut upload = self.upload(bytes.len() as u64)?;
        upload.write(bytes)?;
        upload.keep()
    }

    /// The bytes of a module.
    pub fn get(&self, digest: Digest) -> Result<Vec<u8>, ModuleStoreError> {
        match (self.local(digest), &self.remote) {
            (Err(ModuleStoreError::Missing(_) | ModuleStoreError::Damaged { .. }), Some(bucket)) => {
                let object = bucket.object(&Self::object_name(digest))?;
                let bytes = bucket.get(&object)?.ok_or(ModuleStoreError::Missing(digest))?;
                if Sha256::digest(&bytes)[..] != digest.0 {
                    return Err(ModuleStoreError::Damaged { digest, path: PathBuf::from(bucket.describe(&object)) });
                }
                let mut upload = self.upload(bytes.len() as u64)?;
                upload.write(&bytes)?;
                upload.keep_here()?;
                Ok(bytes.into())
            }
            (local, _) => local,
        }
    }

    fn local(&self, digest: Digest) -> Result<Vec<u8>, ModuleStoreError> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ModuleStoreError::Missing(digest)),
            Err(error) => return Err(self.refused("read", &path, error)),
            Ok(_) => {}
        }
        if Sha256::digest(&bytes)[..] != digest.0 {
            return Err(ModuleStoreError::Damaged { digest, path });
        }
        Ok(bytes)
    }

    /// Sends a module that is here to the object store, unless it is there.
    fn send(&self, digest: Digest) -> Result<(), ModuleStoreError> {
        let Some(bucket) = &self.remote else { return Ok(()) };
        let object = bucket.object(&Self::object_name(digest))?;
        if bucket.head(&object)?.is_none() {
            bucket.put(&object, self.local(digest)?.into())?;
        }
        Ok(())
    }

    fn object_name(digest: Digest) -> String {
        format!("{REMOTE}/{digest}.{EXTENSION}")
    }

    /// Every module, by digest.
    pub fn list(&self) -> Result<Vec<StoredModule>, ModuleStoreError> {
        let mut modules = Vec::new();
        for name in self.entries()? {
            let Some(digest) = name.strip_suffix(".wasm").and_then(|digest| digest.parse().ok()) else { continue };
            let path = self.folder.join(&name);
            let metadata = fs::metadata(&path).map_err(|error| self.refused("read", &path, error))?;
            modules.push(StoredModule { digest, bytes: metadata.len() });
        }
        if let Some(bucket) = &self.remote {
            let objects = bucket.list(REMOTE)?.objects;
            modules.extend(objects.iter().filter_map(|object| {
                let digest = object.location.filename()?.strip_suffix(".wasm")?.parse().ok()?;
                Some(StoredModule { digest, bytes: object.size })
            }));
        }
        modules.sort();
        modules.dedup_by_key(|module| module.digest);
        Ok(modules)
    }

    /// Removes a module. Whether anything needs it is the caller's to know.
    pub fn remove(&self, digest: Digest) -> Result<(), ModuleStoreError> {
        let path = self.path(digest);
        let mut was_there = path.exists();
        if let Some(bucket) = &self.remote {
            let object = bucket.object(&Self::object_name(digest))?;
            was_there |= bucket.head(&object)?.is_some();
            bucket.delete(&object)?;
        }
        if !was_there {
            return Err(ModuleStoreError::Missing(digest));
        }
        if !path.exists() {
            return Ok(());
        }
        let removed = durable::remove_file(&path).and_then(|()| durable::sync_folder(&self.folder));
        removed.map_err(|error| self.refused("remove", &path, error))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{digest}.{EXTENSION}"))
    }

    fn entries(&self) -> Result<Vec<String>, ModuleStoreError> {
        durable::entries(&self.folder).map_err(|error| self.refused("list", &self.folder, error))
    }

    fn refused(&self, action: &'static str, path: &Path, error: io::Error) -> ModuleStoreError {
        ModuleStoreError::Io { action, path: path.to_owned(), error }
    }
}

/// A module on its way in. Dropped before [`Upload::keep`] it leaves nothing.
pub struct Upload {
    store: ModuleStore,
    path: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    limit: u64,
    kept: bool,
}

impl Upload {
    /// Takes the next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), ModuleStoreError> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.limit {
            return Err(ModuleStoreError::TooLarge { limit: self.limit });
        }
        self.hash.update(piece);
        self.file.write_all(piece).map_err(|error| self.store.refused("write", &self.path, error))
    }

    /// Its digest, of what came so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// What came so far.
    pub fn content(&self) -> Result<Vec<u8>, ModuleStoreError> {
        fs::read(&self.path).map_err(|error| self.store.refused("read", &self.path, error))
    }

    /// Keeps what came. Durable when this returns.
    pub fn keep(self) -> Result<Digest, ModuleStoreError> {
        let store = self.store.clone();
        let digest = self.keep_here()?;
        store.send(digest)?;
        Ok(digest)
    }

    fn keep_here(mut self) -> Result<Digest, ModuleStoreError> {
        let digest = self.digest();
        let target = self.store.path(digest);
        let kept = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &target))
            .and_then(|()| durable::sync_folder(&self.store.folder));
        kept.map_err(|error| self.store.refused("keep", &target, error))?;
        self.kept = true;
        Ok(digest)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            // Otherwise the next start removes it.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};

    #[test]
    fn what_was_kept_comes_back_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = ModuleStore::open(folder.path()).unwrap();
        let digest = store.put(b"module").unwrap();
        assert_eq!(store.put(b"module").unwrap(), digest);
        assert_eq!(store.get(digest).unwrap(), b"module");
        assert_eq!(store.list().unwrap(), [StoredModule { digest, bytes: 6 }]);
        fs::write(store.path(digest), b"Module").unwrap();
        assert!(matches!(store.get(digest), Err(ModuleStoreError::Damaged { .. })));
        // Pushed again, it is whole again.
        assert_eq!(store.put(b"module").unwrap(), digest);
        assert_eq!(store.get(digest).unwrap(), b"module");
        store.remove(digest).unwrap();
        assert!(matches!(store.get(digest), Err(ModuleStoreError::Missing(_))));
    }

    #[test]
    fn an_upload_is_bounded_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = ModuleStore::open(folder.path()).unwrap();
        let mut upload = store.upload(8).unwrap();
        upload.write(b"12345").unwrap();
        assert!(matches!(upload.write(b"6789"), Err(ModuleStoreError::TooLarge { limit: 8 })));
        drop(upload);
        assert_eq!(durable::entries(folder.path()).unwrap(), Vec::<String>::new());
        // A process that dies cannot clean up; the next one does.
        fs::write(folder.path().join("1-2.partial"), b"half").unwrap();
        ModuleStore::open(folder.path()).unwrap();
        assert_eq!(durable::entries(folder.path()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_new_machine_has_what_the_object_store_has() {
        let server = S3Server::start(tempfile::tempdir().unwrap(), "cold");
        let keys = tempfile::NamedTempFile::new().unwrap();
        fs::write(keys.path(), format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n")).unwrap();
        let options = [("endpoint", server.endpoint()), ("allow_http", "true".to_owned())];
        let settings = ObjectStoreSettings {
            url: "s3://cold/checkpoints".to_owned(),
            options: options.map(|(name, value)| (name.to_owned(), value)).into(),
            credentials_file: Some(keys.path().to_owned()),
            ..ObjectStoreSettings::default()
        };
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let digest = ModuleStore::open_store(one.path(), &settings).unwrap().put(b"module").unwrap();
        let elsewhere = ModuleStore::open_store(other.path(), &settings).unwrap();
        assert_eq!(elsewhere.list().unwrap(), [StoredModule { digest, bytes: 6 }]);
        assert_eq!(elsewhere.get(digest).unwrap(), b"module");
        fs::write(elsewhere.path(digest), b"Module").unwrap();
        assert_eq!(elsewhere.get(digest).unwrap(), b"module", "a damaged copy is fetched anew");
        elsewhere.remove(digest).unwrap();
        assert!(matches!(elsewhere.get(digest), Err(ModuleStoreError::Missing(_))));
    }
}
