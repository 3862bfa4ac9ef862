//! The client: requests that wait for their answer, and failures in sentences that say what to do.

use super::{ObjectStoreSettings, Objects};
use crate::durable;
use crate::own_runtime::OwnRuntime;
use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ListResult, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::ports::PortError;

const CHECK_CREDENTIALS: &str = "check the credentials and their rights on the bucket, then start again";
const CHECK_BUCKET: &str = "check that the bucket exists, then start again";

/// A prefix of a bucket.
pub(crate) struct Bucket {
    store: Arc<dyn Objects>,
    prefix: ObjectPath,
    /// For messages: holds no credentials.
    url: String,
    runtime: OwnRuntime,
}

impl Bucket {
    /// Opens no connection yet.
    pub(crate) fn open(settings: &ObjectStoreSettings) -> Result<Self, PortError> {
        let (store, prefix) = settings.connect()?;
        let runtime = OwnRuntime::start();
        let runtime = runtime.map_err(|error| PortError::Stop(format!("cannot talk to {}: {error}", settings.url)))?;
        Ok(Self { store, prefix, url: settings.url.trim_end_matches('/').to_owned(), runtime })
    }

    /// The client itself.
    pub(crate) fn store(&self) -> &dyn Objects {
        &*self.store
    }

    /// Waits for requests to the client. Several threads may.
    pub(crate) fn block_on<F: Future>(&self, requests: F) -> F::Output {
        self.runtime.block_on(requests)
    }

    /// Where the place is, as it was configured.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What a person calls an object.
    pub(crate) fn describe(&self, path: &ObjectPath) -> String {
        format!("{path} in {}", self.url)
    }

    /// The object that is called `name` below the prefix. What is percent-encoded in it stays as it is.
    pub(crate) fn object(&self, name: &str) -> Result<ObjectPath, PortError> {
        let path = format!("{}/{name}", self.prefix);
        ObjectPath::parse(path.trim_matches('/'))
            .map_err(|error| PortError::Stop(format!("{name} is no name of an object: {error}")))
    }

    /// What a failure means for the engine.
    pub(crate) fn port_error(&self, action: &str, path: &ObjectPath, error: &Error) -> PortError {
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
        let message = format!("cannot {action} {}: {text}; {advice}", self.describe(path));
        if again { PortError::Retry(message) } else { PortError::Stop(message) }
    }

    /// Folders and objects right below `folder`.
    pub(crate) fn list(&self, folder: &str) -> Result<ListResult, PortError> {
        let path = self.object(folder)?;
        let listed = self.block_on(self.store.list_with_delimiter(Some(&path)));
        listed.map_err(|error| self.port_error("list", &path, &error))
    }

    /// The metadata of an object, if it is there.
    pub(crate) fn head(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, PortError> {
        match self.block_on(self.store.head(path)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.port_error("look for", path, &error)),
        }
    }

    /// Copies an object to `to`, which is, or is at, the local path `local`.
    pub(crate) fn fetch(&self, path: &ObjectPath, local: &Path, to: &mut dyn Write) -> Result<(), PortError> {
        self.block_on(async {
            let unread = |error: Error| self.port_error("read", path, &error);
            let mut content = self.store.get(path).await.map_err(unread)?.into_stream();
            while let Some(bytes) = content.try_next().await.map_err(unread)? {
                to.write_all(&bytes).map_err(|error| durable::port_error("write", local, &error))?;
            }
            Ok(())
        })
    }

    /// The content of a small object, if it is there.
    pub(crate) fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, PortError> {
        let content = self.block_on(async { self.store.get(path).await?.bytes().await });
        match content {
            Ok(content) => Ok(Some(content)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.port_error("read", path, &error)),
        }
    }

    /// Writes an object: the old content is there, or the new one.
    pub(crate) fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), PortError> {
        let written = self.block_on(self.store.put(path, PutPayload::from(content)));
        written.map(|_| ()).map_err(|error| self.port_error("write", path, &error))
    }

    /// Writes an object that is not there yet; false if it is.
    pub(crate) fn put_new(&self, path: &ObjectPath, content: Bytes) -> Result<bool, PortError> {
        let new = PutOptions::from(PutMode::Create);
        match self.block_on(self.store.put_opts(path, PutPayload::from(content), new)) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error @ Error::NotImplemented { .. }) => Err(PortError::Stop(format!(
                "{} cannot write an object only if there is none ({error}), which several nodes need: use a store that can",
                self.url
            ))),
            Err(error) => Err(self.port_error("write", path, &error)),
        }
    }

    /// Removes an object; one that is not there is removed already.
    pub(crate) fn delete(&self, path: &ObjectPath) -> Result<(), PortError> {
        match self.block_on(self.store.delete(path)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.port_error("remove", path, &error)),
        }
    }
}

/// An error with the reasons behind it: the store's own words are at the end.
pub(crate) fn with_sources(error: &Error) -> String {
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
