//! Opens files: plain, gzip or zstd, from any position, and watches those that are followed.

use super::error::SourceError;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of one partition, from the position on that was asked for.
pub(crate) struct Input {
    pub(crate) reader: Box<dyn Read + Send>,
    /// For a followed file.
    pub(crate) tail: Option<Tail>,
}

/// A file that may grow.
pub(crate) struct Tail {
    path: PathBuf,
    identity: Option<u64>,
}

/// How a file is compressed, by its first bytes and not by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Input {
    /// The content of a file from byte `position` on, counted after decompression.
    pub(crate) fn open_file(path: &Path, position: u64, follow: bool) -> Result<Self, SourceError> {
        let mut file = File::open(path)?;
        let compression = Compression::of(&mut file)?;
        if compression != Compression::None && follow {
            return Err(SourceError::CompressedFollow);
        }
        let reader: Box<dyn Read + Send> = match compression {
            Compression::None => {
                if file.metadata()?.len() < position {
                    return Err(SourceError::Changed { position });
                }
                file.seek(SeekFrom::Start(position))?;
                let tail = follow.then(|| Tail { path: path.to_owned(), identity: identity(&file.metadata().ok()) });
                return Ok(Self { reader: Box::new(file), tail });
            }
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
        };
        Self::from_reader(reader, position)
    }

    /// A stream that can only be read once, behind its first `position` bytes.
    pub(crate) fn from_reader(mut reader: Box<dyn Read + Send>, position: u64) -> Result<Self, SourceError> {
        let skipped = io::copy(&mut reader.by_ref().take(position), &mut io::sink())?;
        if skipped < position {
            return Err(SourceError::Changed { position });
        }
        Ok(Self { reader, tail: None })
    }
}

impl Tail {
    /// Checks, at the end of what there is, that the file is still the same and has only grown.
    pub(crate) fn check(&self, read_position: u64) -> Result<(), SourceError> {
        let metadata = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SourceError::Replaced),
            found => Some(found?),
        };
        if identity(&metadata) != self.identity {
            return Err(SourceError::Replaced);
        }
        if metadata.is_some_and(|metadata| metadata.len() < read_position) {
            return Err(SourceError::Truncated { read: read_position });
        }
        Ok(())
    }
}

impl Compression {
    /// Of a file at its start, where it is left.
    fn of(file: &mut File) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        file.by_ref().take(4).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        })
    }
}

/// What stays the same when a file is renamed or written to, and differs between files; `None` where unknown.
fn identity(metadata: &Option<std::fs::Metadata>) -> Option<u64> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.as_ref().map(MetadataExt::ino)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}
