//! `tables.json` in the data folder: which metrics there are and what columns they have, so that a metric without rows
//! is an empty view instead of an unknown one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};
use tidemark_engine::descriptor::OutputColumn;

const FILE: &str = "tables.json";

/// The metrics of a data folder, by name.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MetricTables {
    /// Output columns, without the common ones.
    pub metrics: BTreeMap<String, Vec<OutputColumn>>,
}

impl MetricTables {
    /// What the data folder says; empty where it says nothing.
    pub fn read(data: &Path) -> io::Result<Self> {
        match fs::read(data.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Adds `metrics` to what the folder says, in one step: a reader sees the old file or the new one.
    pub fn add(data: &Path, metrics: impl IntoIterator<Item = (String, Vec<OutputColumn>)>) -> io::Result<()> {
        // A file that cannot be read is replaced: it holds nothing that the output does not.
        let mut tables = Self::read(data).unwrap_or_default();
        tables.metrics.extend(metrics);
        let text = serde_json::to_vec_pretty(&tables).map_err(io::Error::other)?;
        let temporary = data.join(format!(".{FILE}.{}", std::process::id()));
        fs::write(&temporary, text)?;
        fs::rename(&temporary, data.join(FILE))
    }
}
