//! Files that survive a crash: synced folders, atomic replacement, fingerprints of content, and what to tell a person
//! when the file system refuses.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use tidemark_engine::ports::PortError;
use xxhash_rust::xxh3::Xxh3Default;

/// The size and the XXH3-128 checksum of a file's content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// XXH3-128, 32 hexadecimal digits.
    pub(crate) xxh3: String,
}

impl Fingerprint {
    /// Of `content`.
    #[must_use]
    pub(crate) fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, xxh3: hexadecimal(xxhash_rust::xxh3::xxh3_128(content)) }
    }

    /// Of the file at `path`, read as a stream.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        copy_hashed(&mut File::open(path)?, &mut io::sink())
    }
}

fn hexadecimal(hash: u128) -> String {
    format!("{hash:032x}")
}

/// Copies everything from `from` to `to` and says what went through.
pub(crate) fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<Fingerprint> {
    let mut writer = HashingWriter::new(to);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(writer.finish().1),
            Ok(length) => writer.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes bytes on and keeps their fingerprint.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hash: Xxh3Default,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hash: Xxh3Default::new(), bytes: 0 }
    }

    /// The writer given at the start, and the fingerprint of what it got.
    pub(crate) fn finish(self) -> (W, Fingerprint) {
        (self.inner, Fingerprint { bytes: self.bytes, xxh3: hexadecimal(self.hash.digest128()) })
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Makes the entries of `folder` (files created, renamed, removed) durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates `folder` and what is missing above it, each durable in its parent.
pub(crate) fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), sync_folder)
}

/// Puts `content` at `path` so that a crash leaves the old file or the new one, never a part.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    write_by_way_of(&path.with_added_extension("partial"), path, content)
}

/// The same by way of the file `temporary` in the same folder, which nobody else writes.
pub(crate) fn write_by_way_of(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path))
}

/// Removes a folder with everything in it; one that is not there is removed already.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_dir_all(path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The entries of `folder` by name, sorted; none where there is no such folder. Names that are not UTF-8 are foreign
/// and left out.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// What a failure of the file system means for the caller, in a sentence that says what to do.
pub(crate) fn port_error(action: &str, path: &Path, error: &io::Error) -> PortError {
    use io::ErrorKind::{
        FileTooLarge, Interrupted, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull,
        TimedOut,
    };
    let path = path.display();
    let (again, advice) = match error.kind() {
        StorageFull | QuotaExceeded => (true, "free some space on that disk; writing goes on by itself then"),
        Interrupted | TimedOut | ResourceBusy => (true, "trying again"),
        PermissionDenied => (false, "give the process write access to that folder and start again"),
        ReadOnlyFilesystem => (false, "mount that file system writable, or configure another folder, and start again"),
        FileTooLarge => (false, "raise the limit on file sizes for the process and start again"),
        _ => (false, "check the disk and the folder, then start again"),
    };
    let message = format!("cannot {action} {path}: {error}; {advice}");
    if again { PortError::Retry(message) } else { PortError::Stop(message) }
}
