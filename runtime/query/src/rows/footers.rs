//! Footers of Parquet files, kept in memory: a file never changes, so its footer is read once.

use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::PageIndexPolicy;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes of footers in memory, about.
const MOST_BYTES: usize = 128 << 20;

/// Footers by path.
#[derive(Default)]
pub(super) struct Footers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    footers: HashMap<PathBuf, Footer>,
    bytes: usize,
    /// Counts lookups: the clock by which footers are old.
    now: u64,
}

struct Footer {
    metadata: ArrowReaderMetadata,
    bytes: usize,
    used: u64,
}

impl Footers {
    /// The footer of a file, with its page index.
    pub(super) fn get(&self, path: &Path) -> Result<ArrowReaderMetadata> {
        {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.now += 1;
            let now = kept.now;
            if let Some(footer) = kept.footers.get_mut(path) {
                footer.used = now;
                return Ok(footer.metadata.clone());
            }
        }
        let file = File::open(path).map_err(|error| ParquetError::External(Box::new(error)))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(path, metadata.clone());
        Ok(metadata)
    }
}

impl Kept {
    fn keep(&mut self, path: &Path, metadata: ArrowReaderMetadata) {
        let bytes = metadata.metadata().memory_size();
        let footer = Footer { metadata, bytes, used: self.now };
        self.bytes += bytes;
        if let Some(before) = self.footers.insert(path.to_owned(), footer) {
            self.bytes -= before.bytes;
        }
        while self.bytes > MOST_BYTES && self.footers.len() > 1 {
            let oldest = self.footers.iter().min_by_key(|(_, footer)| footer.used).map(|(path, _)| path.clone());
            if let Some(footer) = oldest.and_then(|path| self.footers.remove(&path)) {
                self.bytes -= footer.bytes;
            }
        }
    }
}
