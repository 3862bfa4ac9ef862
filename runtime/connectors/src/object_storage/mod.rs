//! A place in an object store: its settings, its client, and what a failure of it means.
//!
//! Knows nothing of what lies there. Calls wait for their answer; each is tried again by the client itself, a few times
//! with growing pauses of uneven length, before the caller is told.

mod bucket;
mod settings;

pub(crate) use bucket::{Bucket, with_sources};
pub use settings::ObjectStoreSettings;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;

/// What we need of a store.
pub(crate) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}
