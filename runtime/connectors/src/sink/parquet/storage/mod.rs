//! Where data files lie, so that one sink serves a local folder and an object store.
//!
//! Files are always made in a local folder first. What differs is how one becomes durable without being visible, and how
//! it becomes visible: a local file lies in the hidden folder and is renamed; an object is a multipart upload with all
//! its parts, which is completed.

mod local;
mod object;

pub(super) use local::LocalStorage;
pub(super) use object::ObjectStorage;

use super::compaction::StoredFile;
use super::file_name::FileName;
use super::finalise::Check;
use super::handle::Handle;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// What publishing a file came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Published {
    /// It is visible.
    Visible,
    /// What is there, under this name, is not what the epoch wrote.
    Damaged(String),
    /// It is neither staged nor visible.
    Gone,
}

/// The sink's files. Folders are relative to the root, with `/` between their names.
pub(super) trait Storage: Send + Sync {
    /// The local folder for files in the making.
    fn scratch(&self) -> &Path;

    /// Names of the folders right below `folder`, sorted; none for a folder that is not there.
    fn folders(&self, folder: &str) -> Result<Vec<String>, PortError>;

    /// The data files of `folder`, superseded ones included, sorted; none for a folder that is not there.
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, PortError>;

    /// A local path under which a data file can be read, until [`Storage::forget_read`].
    fn read(&self, folder: &str, name: FileName) -> Result<PathBuf, PortError>;

    /// What was read is not needed any more.
    fn forget_read(&self) -> Result<(), PortError>;

    /// Makes the staged files of `handle`, which lie in the scratch folder, durable but not visible. Can be repeated.
    fn stage(&self, handle: &mut Handle) -> Result<(), PortError>;

    /// Makes the files at `places` of an epoch's handle visible, and says of each what came of it. Can be repeated.
    fn publish(&self, handle: &Handle, places: Range<usize>, check: Check) -> Result<Vec<Published>, PortError>;

    /// What was published in `folder` stays so from here on.
    fn settle(&self, folder: &str) -> Result<(), PortError>;

    /// Removes what staging `epoch` left.
    fn forget_staged(&self, epoch: Epoch) -> Result<(), PortError>;

    /// Removes what staging any epoch left.
    fn forget_all_staged(&self) -> Result<(), PortError>;

    /// Removes a data file.
    fn remove(&self, folder: &str, name: FileName) -> Result<(), PortError>;

    /// Removes a folder that has nothing left in it, and the ones above it of which that is so.
    fn remove_empty(&self, folder: &str) -> Result<(), PortError>;

    /// Removes superseded files of `folder` that no reader may be reading; `removed` is called behind each. Says whether
    /// none is left.
    fn remove_superseded(&self, folder: &str, removed: &mut dyn FnMut()) -> Result<bool, PortError>;

    /// What a person calls a file.
    fn describe(&self, folder: &str, name: &str) -> String;
}
