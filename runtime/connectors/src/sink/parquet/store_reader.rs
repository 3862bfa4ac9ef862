//! Reading what the sink wrote to an object store: which objects hold each row exactly once.
//!
//! There is no hold as on a folder: a file that a merged one has replaced stays for `keep_replaced_s` instead, which is
//! the time that a query has.

use super::file_name::{FileName, split_visible};
use super::layout::{decode_partition_value, partition_value, table_folder};
use super::reader::Selection;
use crate::object_storage::ObjectStoreSettings;
use futures_util::stream::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// The folder of pieces, each with tables of its own: see [`StoreReader::list`].
pub const PIECES: &str = "pieces";

/// The sink's place in an object store.
#[derive(Clone, Debug)]
pub struct StoreReader {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
}

impl StoreReader {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// [`PortError::Stop`] for settings with mistakes, and credentials that cannot be read.
    pub fn open(settings: &ObjectStoreSettings) -> Result<Self, PortError> {
        let (store, prefix) = settings.reader()?;
        Ok(Self { store, prefix })
    }

    /// The client. Paths of [`Self::files`] are its own.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The objects that hold each finalised row of `selection` exactly once, sorted by path.
    pub async fn files(&self, selection: Selection<'_>) -> Result<Vec<ObjectMeta>, Error> {
        let mut folders: BTreeMap<String, BTreeMap<FileName, ObjectMeta>> = BTreeMap::new();
        for (folder, name, object) in self.list(selection).await? {
            folders.entry(folder).or_default().insert(name, object);
        }
        let ending = match selection {
            Selection::Metric(name) => format!("/metric={}", partition_value(name)),
            _ => String::new(),
        };
        let mut files = Vec::new();
        for (_, mut names) in folders.into_iter().filter(|(folder, _)| folder.ends_with(&ending)) {
            let (visible, _) = split_visible(names.keys().copied());
            files.extend(visible.into_iter().filter_map(|name| names.remove(&name)));
        }
        Ok(files)
    }

    /// The metrics that have rows, sorted.
    pub async fn metric_names(&self) -> Result<Vec<String>, Error> {
        let files = self.list(Selection::Metrics).await?;
        let encoded = files.iter().filter_map(|(folder, ..)| folder.rsplit_once("/metric=").map(|(_, name)| name));
        Ok(encoded.map(decode_partition_value).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Every data file of a table, replaced ones included, with its folder.
    async fn list(&self, selection: Selection<'_>) -> Result<Vec<(String, FileName, ObjectMeta)>, Error> {
        let kind = match selection {
            Selection::Events => TableKind::Events,
            Selection::Metrics | Selection::Metric(_) => TableKind::Metric(String::new()),
            Selection::DeadLetters => TableKind::DeadLetters,
        };
        let (table, _) = table_folder(&kind);
        let mut roots = vec![self.below(table)?];
        // Pieces of a job that several nodes run have a place each.
        let pieces = self.store.list_with_delimiter(Some(&self.below(PIECES)?)).await?.common_prefixes;
        roots.extend(pieces.into_iter().map(|piece| piece.join(table)));
        let mut files = Vec::new();
        for root in roots {
            let objects: Vec<ObjectMeta> = self.store.list(Some(&root)).try_collect().await?;
            files.extend(objects.into_iter().filter_map(|object| {
                let (folder, name) = object.location.as_ref().rsplit_once('/')?;
                Some((folder.to_owned(), FileName::parse(name)?, object))
            }));
        }
        Ok(files)
    }

    fn below(&self, folder: &str) -> Result<ObjectPath, Error> {
        Ok(ObjectPath::parse(format!("{}/{folder}", self.prefix).trim_matches('/'))?)
    }
}
