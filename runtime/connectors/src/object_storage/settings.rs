//! Settings of an object store, and the client that they make.

use super::Objects;
use crate::sink::secret::Secret;
use object_store::ObjectStore;
use object_store::ObjectStoreScheme;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tidemark_engine::ports::PortError;
use url::Url;

/// Where files go in an object store. Credentials come from the store's usual environment variables (`AWS_…`,
/// `GOOGLE_…`, `AZURE_…`), from a file, or from the machine's own identity.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectStoreSettings {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or the provider's `https://` form of these.
    pub url: String,
    /// Options of the store by their names there: `endpoint`, `region`, `allow_http`, … No credentials.
    pub options: BTreeMap<String, String>,
    /// A file with further options, credentials among them, one `name = value` a line.
    pub credentials_file: Option<PathBuf>,
    /// How long a file stays that a merged one has replaced: longer than any query takes.
    pub keep_replaced_s: u64,
}

impl Default for ObjectStoreSettings {
    fn default() -> Self {
        Self { url: String::new(), options: BTreeMap::new(), credentials_file: None, keep_replaced_s: 900 }
    }
}

/// Parts of names of options that hold credentials.
const CREDENTIALS: [&str; 5] = ["secret", "password", "token", "access_key", "sas"];

impl ObjectStoreSettings {
    /// Every mistake, one sentence each, names relative to this table.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        match Url::parse(&self.url).map_err(|error| error.to_string()).and_then(|url| Ok((scheme(&url)?, url))) {
            Ok((_, url)) if !url.username().is_empty() && url.scheme() != "abfss" || url.password().is_some() => {
                mistakes.push("url must hold no credentials: use the environment or credentials_file".to_owned());
            }
            Ok(_) => {}
            Err(error) => mistakes.push(format!("url: {error}")),
        }
        for name in self.options.keys().filter(|name| CREDENTIALS.iter().any(|part| name.contains(part))) {
            mistakes.push(format!("options.{name} is a credential: put it into the environment or credentials_file"));
        }
        if self.keep_replaced_s > 7 * 86_400 {
            mistakes.push(format!("keep_replaced_s = {} must be from 0 to 604800", self.keep_replaced_s));
        }
        mistakes
    }

    /// Whether a client can be made of them, credentials included. Opens no connection.
    ///
    /// # Errors
    /// [`PortError::Stop`] with what is wrong.
    pub fn check(&self) -> Result<(), PortError> {
        self.connect().map(|_| ())
    }

    /// A client for readers, and the place within the bucket.
    ///
    /// # Errors
    /// [`PortError::Stop`] for settings with mistakes, and credentials that cannot be read.
    pub fn reader(&self) -> Result<(Arc<dyn ObjectStore>, ObjectPath), PortError> {
        let (store, prefix) = self.connect()?;
        let store: Arc<dyn ObjectStore> = store;
        Ok((store, prefix))
    }

    /// The client, and the place within the bucket.
    pub(super) fn connect(&self) -> Result<(Arc<dyn Objects>, ObjectPath), PortError> {
        let mistakes = self.mistakes();
        if !mistakes.is_empty() {
            return Err(PortError::Stop(format!("settings of the object store: {}", mistakes.join("; "))));
        }
        let url = Url::parse(&self.url).map_err(|error| PortError::Stop(format!("url: {error}")))?;
        let (scheme, prefix) = scheme(&url).map_err(PortError::Stop)?;
        let options = self.all_options()?;
        let wrong = |error: object_store::Error| PortError::Stop(format!("settings of the object store: {error}"));
        macro_rules! build {
            ($builder:ty) => {{
                let mut builder = <$builder>::from_env().with_url(self.url.clone());
                for (name, value) in &options {
                    let key = name.parse().map_err(|_| {
                        PortError::Stop(format!("settings of the object store: there is no option {name}"))
                    })?;
                    builder = builder.with_config(key, value.expose());
                }
                Arc::new(builder.build().map_err(wrong)?)
            }};
        }
        let store: Arc<dyn Objects> = match scheme {
            ObjectStoreScheme::AmazonS3 => build!(AmazonS3Builder),
            ObjectStoreScheme::GoogleCloudStorage => build!(GoogleCloudStorageBuilder),
            _ => build!(MicrosoftAzureBuilder),
        };
        Ok((store, prefix))
    }

    fn all_options(&self) -> Result<Vec<(String, Secret)>, PortError> {
        let mut options: Vec<(String, Secret)> =
            self.options.iter().map(|(name, value)| (name.clone(), Secret::from(value.clone()))).collect();
        let Some(path) = &self.credentials_file else { return Ok(options) };
        let content = Secret::read(Some(path), "")?;
        let lines = content.iter().flat_map(|content| content.expose().lines()).enumerate();
        for (number, line) in lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| {
                // Not shown: it may be a secret.
                PortError::Stop(format!("line {} of {} is not `name = value`", number + 1, path.display()))
            })?;
            let value = value.trim().trim_matches('"').to_owned();
            options.push((name.trim().to_ascii_lowercase(), Secret::from(value)));
        }
        Ok(options)
    }
}

/// The kind of store and the place within its bucket.
fn scheme(url: &Url) -> Result<(ObjectStoreScheme, ObjectPath), String> {
    let parsed = ObjectStoreScheme::parse(url).map_err(|error| format!("{url} names no object store: {error}"))?;
    match parsed.0 {
        ObjectStoreScheme::AmazonS3 | ObjectStoreScheme::GoogleCloudStorage | ObjectStoreScheme::MicrosoftAzure => {
            Ok(parsed)
        }
        _ => Err("must begin with s3://, gs:// or az://; a local folder needs no object store".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ObjectStoreSettings {
        ObjectStoreSettings { url: url.to_owned(), ..ObjectStoreSettings::default() }
    }

    #[test]
    fn stores_are_known_by_their_url() {
        for url in ["s3://bucket/a/b", "gs://bucket/a/b", "az://container/a/b"] {
            assert_eq!(settings(url).mistakes(), Vec::<String>::new());
            assert_eq!(scheme(&Url::parse(url).unwrap()).unwrap().1.as_ref(), "a/b");
        }
        for url in ["", "file:///tmp", "ftp://x", "s3://me:mine@bucket/x"] {
            let mistakes = settings(url).mistakes();
            assert_eq!(mistakes.len(), 1, "{url}: {mistakes:?}");
            assert!(!mistakes[0].contains("mine"), "{mistakes:?}");
        }
    }

    #[test]
    fn a_client_is_made_for_each_kind_of_store() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        for (url, credentials, prefix) in [
            ("s3://bucket/a", "access_key_id = me\nsecret_access_key = c2VzYW1l\n", "a"),
            ("https://bucket.s3.eu-central-1.amazonaws.com/a/b", "access_key_id = me\nsecret_access_key = x\n", "a/b"),
            ("gs://bucket/a", "skip_signature = true\n", "a"),
            ("az://container/a", "account_name = me\naccess_key = c2VzYW1l\n", "a"),
            ("https://me.blob.core.windows.net/container/a", "access_key = c2VzYW1l\n", "a"),
        ] {
            std::fs::write(&keys, credentials).unwrap();
            let settings = ObjectStoreSettings { credentials_file: Some(keys.clone()), ..settings(url) };
            let (_, found) = settings.reader().unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(found.as_ref(), prefix, "{url}");
        }
    }

    #[test]
    fn credentials_are_not_settings_and_are_not_shown() {
        let mut settings = settings("s3://bucket");
        settings.options.insert("secret_access_key".to_owned(), "abc".to_owned());
        assert!(settings.mistakes()[0].contains("is a credential"), "{:?}", settings.mistakes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::fs::write(&path, "# ours\naccess_key_id = me\nsecret_access_key = \"open sesame\"\nnonsense = 1\n")
            .unwrap();
        settings.options.clear();
        settings.credentials_file = Some(path.clone());
        let options = settings.all_options().unwrap();
        assert_eq!(options[1].1.expose(), "open sesame");
        assert!(!format!("{options:?}").contains("sesame"));
        let error = settings.connect().err().unwrap().to_string();
        assert!(error.contains("no option nonsense"), "{error}");
        std::fs::write(&path, "open sesame\n").unwrap();
        let error = settings.connect().err().unwrap().to_string();
        assert!(error.contains("line 1 of") && !error.contains("sesame"), "{error}");
    }
}
