//! Going back behind a merge: a merged file has rows of epochs that stay and of epochs that are undone, so what stays is
//! written to a file of its own, which takes its place.
//!
//! The new file lies below the old one's epochs, so readers ignore it until the old one is removed: they see all of the
//! rows or those that stay. A run that dies in between finds the old file, and cuts it again.

use super::file_name::FileName;
use super::file_writer::FileWriter;
use super::finalise::Check;
use super::layout::kind_of_folder;
use super::merge::{InputError, Merge};
use super::prepare::Staging;
use super::storage::Published;
use super::{ParquetSink, step};
use crate::durable::{self, Fingerprint};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Takes the rows of epochs after `committed` out of the merged file `name`, which has earlier ones, too.
    pub(super) fn cut(&mut self, folder: &str, name: FileName, committed: Epoch) -> Result<(), PortError> {
        let file = self.storage.describe(folder, &name.to_string());
        tracing::warn!(file, epoch = committed.0, "removing rows of epochs after the committed one from a merged file");
        // Nothing is staged now: the next epoch's folder is free.
        let mut staging = Staging::open(self.storage.scratch(), Epoch(committed.0 + 1))?;
        let path = staging.next_path()?;
        let input = self.storage.read(folder, name)?;
        let kind = kind_of_folder(folder)
            .ok_or_else(|| PortError::Stop(format!("{file} belongs to no table of this job: move it away")))?;
        let kept = self.write_kept(&kind, &input, &path, committed)?;
        if let Some(content) = kept {
            staging.add(folder, FileName { last: committed, ..name }, content);
            self.storage.stage(&mut staging.handle)?;
            let published = self.storage.publish(&staging.handle, 0..1, Check::Size)?;
            // Before the old file goes.
            if published != [Published::Visible] {
                return Err(PortError::Stop(format!(
                    "what stays of {file} is not as it was just written: check the disk"
                )));
            }
            self.storage.settle(folder)?;
        }
        (self.fail_point)(step::RECOVER_CUT);
        self.storage.remove(folder, name)?;
        self.storage.forget_staged(Epoch(committed.0 + 1))?;
        self.storage.forget_read()
    }

    /// Writes what stays of the file `input`, if anything does.
    fn write_kept(
        &self,
        kind: &TableKind,
        input: &PathBuf,
        output: &Path,
        committed: Epoch,
    ) -> Result<Option<Fingerprint>, PortError> {
        let unreadable = |error: InputError| {
            PortError::Stop(format!(
                "{error}; its rows of epochs after {committed} cannot be taken out: restore a later checkpoint, or move the \
                 folder away and run the job again from its input"
            ))
        };
        let mut rows = Merge::open(kind, std::slice::from_ref(input)).map_err(unreadable)?;
        let mut writer = FileWriter::create(output, kind, rows.schema().clone(), &self.settings)?;
        let mut count = 0;
        while let Some(chunk) = rows.next_chunk().map_err(unreadable)? {
            let kept = up_to(input, &chunk, committed).map_err(unreadable)?;
            count += kept.num_rows();
            writer.write(&kept)?;
        }
        let content = writer.finish()?;
        if count == 0 {
            durable::remove_file(output).map_err(|error| durable::port_error("remove", output, &error))?;
            return Ok(None);
        }
        Ok(Some(content))
    }
}

/// The rows of `chunk`, of the file `path`, that are of `last` or an earlier epoch.
fn up_to(path: &Path, chunk: &RecordBatch, last: Epoch) -> Result<RecordBatch, InputError> {
    let epochs = chunk.column_by_name("epoch").and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let epochs = epochs.filter(|epochs| epochs.null_count() == 0).ok_or_else(|| InputError::Table {
        path: path.to_owned(),
        detail: "its rows do not tell their epoch".to_owned(),
    })?;
    let stays: BooleanArray = epochs.values().iter().map(|epoch| Some(*epoch <= last.0)).collect();
    Ok(filter_record_batch(chunk, &stays)?)
}
