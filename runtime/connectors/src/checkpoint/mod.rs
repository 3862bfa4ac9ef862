//! The checkpoint store, in a local folder or an object store, and the tick log beside it.
//!
//! ```text
//! checkpoints/objects/<xxh3>-<bytes>            content, shared by the checkpoints that have it
//! checkpoints/manifests/e000000000120.json      which files a checkpoint has, written after them
//! checkpoints/newest                            names the manifest written last
//! ticks/000000000101.log                        the tick log from epoch 101 on
//! ```
//!
//! A checkpoint is incremental: content that is there already is not stored again ([`folder_objects`], and in an object
//! store [`remote`]). It exists as soon as
//! its manifest does, which is written atomically after everything it names ([`manifest`]). Restoring verifies every
//! checksum; a damaged checkpoint is reported and the one before it used ([`restore`]).
//!
//! Where several processes may believe to own a place ([`Checkpoints::shared`]), names of content begin with whose it is:
//! `objects/t<first epoch>-<xxh3>-<bytes>`. A checkpoint has content of one owner only, what an earlier one stored is linked
//! or copied, and nobody removes what a later owner stored. So whoever has lost the place and does not know it yet may do
//! whatever it was about to do.

mod error;
mod folder;
mod folder_objects;
mod job_files;
mod manifest;
mod on_thread;
mod place;
mod remote;
mod restore;
mod savepoint;
#[cfg(test)]
mod shared_tests;
mod store;
#[cfg(test)]
mod tests;
pub mod tick_log;

pub use error::CheckpointError;
pub use job_files::JobFiles;
pub use on_thread::CheckpointsOnThread;
pub use restore::{Damage, Restored};
pub use savepoint::NotKept;
pub use store::{CheckpointInfo, CheckpointSettings, Checkpoints, FAIL_POINTS};
pub use tick_log::{StoreTickLog, TickLog};
