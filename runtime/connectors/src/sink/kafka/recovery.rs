//! Recovery: after it the last committed epoch is out, and nothing is left of later ones.

use super::handle::{Handle, OPEN, epoch_of, outbox_path};
use super::marker::Marker;
use super::{KafkaSink, note, step};
use crate::durable;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

impl KafkaSink {
    pub(super) fn recover_from(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        let handle = handle.map(Handle::parse).transpose()?;
        if let Some(handle) = handle.as_ref().filter(|handle| handle.epoch > committed) {
            return Err(PortError::Stop(format!(
                "epoch {committed} is committed, but the handle is of {}: the state is damaged; restore the newest \
                 checkpoint",
                handle.epoch
            )));
        }
        if handle.is_none() {
            // Before anybody is put aside: who starts in the wrong folder must not stop the one in the right folder.
            self.refuse_older(committed)?;
        }
        // Whoever published before, and may still be alive, is put aside here, before anything is looked at.
        self.publisher.start()?;
        if handle.is_none() {
            self.refuse_older(committed)?;
        }
        if let Some(handle) = handle.filter(|handle| !handle.is_empty()) {
            self.finish(&handle)?;
        }
        (self.fail_point)(step::RECOVERED);
        self.remove_outboxes()
    }

    /// Stops where more was published than the state, which never published anything, knows of.
    fn refuse_older(&mut self, committed: Epoch) -> Result<(), PortError> {
        for topic in self.settings.fixed_topics() {
            if let Some(marker) = self.publisher.read_marker(&topic)? {
                return Err(self.older(marker.epoch, committed));
            }
        }
        Ok(())
    }

    fn older(&self, published: Epoch, committed: Epoch) -> PortError {
        PortError::Stop(format!(
            "Kafka has rows of this job up to epoch {published}, but its state is of epoch {committed}: bring the newest \
             state back, with checkpoints and ticks; or, to publish everything again, give the job another name and an \
             empty data folder"
        ))
    }

    /// Publishes the last committed epoch, if it is not out.
    fn finish(&mut self, handle: &Handle) -> Result<(), PortError> {
        self.publisher.read_marker(&handle.marker_topic)?;
        let note = note::read(&self.folder)?;
        let mut is_forgotten = false;
        if let Some(note) = &note {
            is_forgotten = self.publisher.read_marker(&note.marker_topic)?.is_none();
            self.publisher.remember(Marker { epoch: note.epoch, xxh3: note.xxh3.clone() });
        }
        if let Some(published) = self.publisher.newest().filter(|published| *published > handle.epoch) {
            return Err(self.older(published, handle.epoch));
        }
        if self.publisher.is_out(handle)? {
            return Ok(());
        }
        let path = outbox_path(&self.folder, handle.epoch);
        if handle.content.records > 0 && !path.exists() {
            tracing::warn!(
                epoch = %handle.epoch,
                outbox = %path.display(),
                "an epoch is committed and not published to Kafka, and its rows are gone with the disk: they are needed again"
            );
            self.needs_rows = true;
            return Ok(());
        }
        if is_forgotten {
            return Err(PortError::Stop(format!(
                "Kafka has forgotten which epochs are published (offsets.retention.minutes), so nobody knows whether epoch \
                 {epoch} is: look for records with the header epoch = {epoch} at the end of the topics; if they are there, \
                 remove {outbox}, else remove {note}; then start again",
                epoch = handle.epoch,
                outbox = path.display(),
                note = self.folder.join("published").display(),
            )));
        }
        self.publish(handle)
    }

    /// Removes outboxes: of epochs that are out, and of epochs that never were committed.
    fn remove_outboxes(&self) -> Result<(), PortError> {
        let folder = &self.folder;
        let names = durable::entries(folder).map_err(|error| durable::port_error("list", folder, &error))?;
        for name in names.iter().filter(|name| *name == OPEN || epoch_of(name).is_some()) {
            let path = folder.join(name);
            durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
        }
        Ok(())
    }
}
