//! Which small files are merged: a rule over a folder's visible files, and over nothing else.
//!
//! Files are looked at in epoch order. Neighbours of the same tier and the same columns, each smaller than half the
//! target size, form a group. As soon as a group has the configured number of files, its first so many files, or as
//! many of them as fit the target size, become one file of the next tier. With 16 files a row is so rewritten once per
//! factor of sixteen: a file of 128 MiB that grew from files of 2 KiB was rewritten four times.
//!
//! The rule is a function of committed files, so a run that was killed merges exactly what an undisturbed one merges.

use super::file_name::FileName;
use super::settings::CompactionSettings;

/// A visible file of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoredFile {
    pub(super) name: FileName,
    pub(super) bytes: u64,
}

/// The files of `files` (visible, in epoch order) that become one, if it is time. `columns` gives something equal for
/// files with equal columns; it is asked only for files that might be merged.
pub(super) fn plan<C: PartialEq, E>(
    files: &[StoredFile],
    settings: &CompactionSettings,
    mut columns: impl FnMut(FileName) -> Result<C, E>,
) -> Result<Option<Vec<StoredFile>>, E> {
    if settings.files == 0 {
        return Ok(None);
    }
    let small = |file: &StoredFile| file.bytes < settings.target_bytes / 2;
    let groups = files.chunk_by(|a, b| a.name.tier == b.name.tier && small(a) == small(b));
    for group in groups.filter(|group| small(&group[0]) && group.len() >= settings.files) {
        // A group longer than this has changes of columns in it that keep it from merging; only its end can grow.
        let group = &group[group.len().saturating_sub(2 * settings.files)..];
        let with_columns: Vec<(StoredFile, C)> =
            group.iter().map(|file| Ok((*file, columns(file.name)?))).collect::<Result<_, E>>()?;
        let alike = with_columns.chunk_by(|a, b| a.1 == b.1).find(|alike| alike.len() >= settings.files);
        if let Some(alike) = alike {
            return Ok(Some(fitting(alike.iter().map(|(file, _)| *file), settings)));
        }
    }
    Ok(None)
}

/// At least two of the files, since each is smaller than half the target.
fn fitting(files: impl Iterator<Item = StoredFile>, settings: &CompactionSettings) -> Vec<StoredFile> {
    let sized = files.take(settings.files).scan(0, |total, file| {
        *total += file.bytes;
        Some((*total, file))
    });
    sized.take_while(|(total, _)| *total <= settings.target_bytes).map(|(_, file)| file).collect()
}

/// The name of the file that takes the place of `files`, which are not empty.
pub(super) fn merged_name(files: &[StoredFile]) -> Option<FileName> {
    let (first, last) = (files.first()?.name, files.last()?.name);
    Some(FileName { first: first.first, last: last.last, tier: first.tier + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tidemark_engine::ids::Epoch;

    fn settings(files: usize) -> CompactionSettings {
        CompactionSettings { files, target_bytes: 1000, epoch_bytes: 1000 }
    }

    fn plain(epoch: u64, bytes: u64) -> StoredFile {
        StoredFile { name: FileName::of_epoch(Epoch(epoch)), bytes }
    }

    fn check(files: &[StoredFile], count: usize, columns: fn(u64) -> u64) -> Option<String> {
        let planned = plan::<_, Infallible>(files, &settings(count), |name| Ok(columns(name.first.0))).unwrap();
        planned.map(|files| format!("{} of {}", merged_name(&files).unwrap(), files.len()))
    }

    #[test]
    fn the_oldest_full_group_is_merged_within_the_target_size() {
        let files: Vec<_> = (1..=5).map(|epoch| plain(epoch * 10, 100)).collect();
        assert_eq!(check(&files, 6, |_| 0), None);
        assert_eq!(check(&files, 4, |_| 0).unwrap(), "e000000000010-000000000040.t1.parquet of 4");
        assert_eq!(check(&files, 0, |_| 0), None);
        let heavy: Vec<_> = (1..=4).map(|epoch| plain(epoch, 400)).collect();
        assert_eq!(check(&heavy, 4, |_| 0).unwrap(), "e000000000001-000000000002.t1.parquet of 2");
        let full: Vec<_> = (1..=4).map(|epoch| plain(epoch, 500)).collect();
        assert_eq!(check(&full, 4, |_| 0), None);
    }

    #[test]
    fn other_columns_and_large_files_part_groups() {
        let mut files: Vec<_> = (1..=6).map(|epoch| plain(epoch, 10)).collect();
        assert_eq!(check(&files, 4, |epoch| u64::from(epoch > 3)), None);
        assert_eq!(
            check(&files, 4, |epoch| u64::from(epoch > 2)).unwrap(),
            "e000000000003-000000000006.t1.parquet of 4"
        );
        files[3].bytes = 900;
        assert_eq!(check(&files, 4, |_| 0), None);
    }
}
