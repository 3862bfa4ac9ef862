//! The note in the outbox folder: the last epoch that is known here to be published.
//!
//! The marker in Kafka decides. But Kafka forgets the offsets of a group that nobody has committed for
//! `offsets.retention.minutes`, a week by default; the note tells a marker that was forgotten from one that never was.

use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

const NAME: &str = "published";

/// An epoch that is published.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    pub(super) epoch: Epoch,
    /// Checksum of its outbox.
    pub(super) xxh3: String,
    /// Where its marker is.
    pub(super) marker_topic: String,
}

/// Reads the note.
pub(super) fn read(folder: &Path) -> Result<Option<Published>, PortError> {
    let path = folder.join(NAME);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| durable::port_error("read", &path, &error))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        PortError::Stop(format!("{} cannot be read ({error}): remove it, and start again", path.display()))
    })
}

/// Writes it. Not synced: it only has to be there a week later.
pub(super) fn write(folder: &Path, published: &Published) -> Result<(), PortError> {
    let (path, temporary) = (folder.join(NAME), folder.join("published.partial"));
    let text = serde_json::to_vec(published).expect("a note holds only texts and numbers");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|error| durable::port_error("write", &path, &error))
}
