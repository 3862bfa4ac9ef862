//! Where the tables lie: below a data folder, or in an object store.

use crate::QueryError;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::{ObjectMeta, ObjectStore};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::prelude::SessionContext;
use futures::{StreamExt as _, TryStreamExt as _};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_connectors::object_storage::ObjectStoreSettings;
use tidemark_connectors::sink::parquet::{ReadHold, Selection, StoreReader};
use url::Url;

/// What the store is called within a query, whoever's it is.
const STORE: &str = "tidemark://cold";
/// Footers of files read at one time.
const FOOTERS_AT_ONCE: usize = 32;

/// Where the tables to query lie.
#[derive(Clone, Debug)]
pub enum Place {
    /// A data folder.
    Folder(PathBuf),
    /// An object store that the Parquet sink writes to.
    Store {
        /// Which, and how to get there.
        store: ObjectStoreSettings,
        /// The job's data folder, which knows of metrics that have no rows yet.
        data: Option<PathBuf>,
    },
}

impl Place {
    /// A folder, or an object store where `text` is a URL; credentials come from the environment then.
    #[must_use]
    pub fn named(text: &str) -> Self {
        if text.contains("://") {
            let store = ObjectStoreSettings { url: text.to_owned(), ..ObjectStoreSettings::default() };
            Self::Store { store, data: None }
        } else {
            Self::Folder(PathBuf::from(text))
        }
    }

    /// The data folder, where there is one.
    pub(super) fn data(&self) -> Option<&Path> {
        match self {
            Self::Folder(data) => Some(data),
            Self::Store { data, .. } => data.as_deref(),
        }
    }
}

impl From<&Path> for Place {
    fn from(data: &Path) -> Self {
        Self::Folder(data.to_owned())
    }
}

/// The files of a place, held for a query.
#[derive(Debug)]
pub(super) enum Files {
    /// No file is merged away while this lives.
    Folder(ReadHold),
    Store(StoreReader),
}

/// The files of a table.
pub(super) struct Listed {
    pub(super) urls: Vec<ListingTableUrl>,
    /// The columns of each.
    pub(super) schemas: Vec<SchemaRef>,
}

impl Files {
    pub(super) fn open(place: &Place) -> std::result::Result<Self, QueryError> {
        match place {
            Place::Folder(data) if !data.is_dir() => Err(QueryError::NoData(data.clone())),
            Place::Folder(data) => {
                let hold = ReadHold::take(&data.join("output"));
                Ok(Self::Folder(hold.map_err(|error| QueryError::Failed(error.to_string()))?))
            }
            Place::Store { store, .. } => {
                Ok(Self::Store(StoreReader::open(store).map_err(|error| QueryError::Refused(error.to_string()))?))
            }
        }
    }

    /// The store and what it is called, where there is one.
    pub(super) fn store(&self) -> Option<(Url, Arc<dyn ObjectStore>)> {
        match self {
            Self::Folder(_) => None,
            Self::Store(reader) => Some((Url::parse(STORE).ok()?, reader.store().clone())),
        }
    }

    pub(super) async fn metric_names(&self) -> Result<Vec<String>> {
        match self {
            Self::Folder(hold) => Ok(hold.metric_names()?),
            Self::Store(reader) => Ok(reader.metric_names().await?),
        }
    }

    pub(super) async fn list(&self, selection: Selection<'_>) -> Result<Listed> {
        match self {
            Self::Folder(hold) => {
                let files = hold.files(selection)?;
                let urls = files.iter().map(|file| local_url(file)).collect::<Result<_>>()?;
                let schemas = files.iter().map(|file| {
                    let metadata = ArrowReaderMetadata::load(&File::open(file)?, ArrowReaderOptions::new())?;
                    Ok(metadata.schema().clone())
                });
                Ok(Listed { urls, schemas: schemas.collect::<Result<_>>()? })
            }
            Self::Store(reader) => {
                let files = reader.files(selection).await?;
                let urls = files.iter().map(store_url).collect::<Result<_>>()?;
                let (format, state) = (parquet_format(), SessionContext::new().state());
                let (format, state, store) = (&format, &state, reader.store());
                let schemas = futures::stream::iter(files).map(move |file| async move {
                    format.infer_schema(state, store, std::slice::from_ref(&file)).await
                });
                Ok(Listed { urls, schemas: schemas.buffered(FOOTERS_AT_ONCE).try_collect().await? })
            }
        }
    }
}

/// How files are read.
pub(super) fn parquet_format() -> ParquetFormat {
    ParquetFormat::default().with_force_view_types(false).with_enable_pruning(true)
}

fn local_url(file: &Path) -> Result<ListingTableUrl> {
    let absolute = std::path::absolute(file)?;
    let url = Url::from_file_path(&absolute)
        .map_err(|()| DataFusionError::External(format!("{} is not a path", absolute.display()).into()))?;
    ListingTableUrl::try_new(url, None)
}

fn store_url(file: &ObjectMeta) -> Result<ListingTableUrl> {
    let mut url = Url::parse(STORE).map_err(|error| DataFusionError::External(error.into()))?;
    // Segment by segment: a per cent sign in a name is part of it.
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(file.location.as_ref().split('/'));
    }
    ListingTableUrl::try_new(url, None)
}
