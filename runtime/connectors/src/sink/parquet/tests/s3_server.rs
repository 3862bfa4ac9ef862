//! The place in an S3 server that tests write to, and how they get there.

use crate::sink::parquet::ObjectStoreSettings;
use std::path::PathBuf;
use test_s3::names;
pub(crate) use test_s3::{ACCESS_KEY, SECRET_KEY};

const BUCKET: &str = "cold";
/// The place in the bucket that tests use.
const PREFIX: &str = "a job/output";

/// A server with one bucket, ended when it is dropped.
pub(crate) struct S3Server(test_s3::S3Server);

impl S3Server {
    pub(crate) fn start() -> Self {
        Self(test_s3::S3Server::start(super::driver::folder(), BUCKET))
    }

    /// How to write there. The credentials lie in a file beside the bucket.
    pub(crate) fn settings(&self) -> ObjectStoreSettings {
        let credentials = self.0.folder().join("credentials");
        let lines = format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n");
        std::fs::write(&credentials, lines).unwrap();
        let options = [("endpoint", self.0.endpoint()), ("allow_http", "true".to_owned())];
        ObjectStoreSettings {
            url: format!("s3://{BUCKET}/{PREFIX}"),
            options: options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            credentials_file: Some(credentials),
            // What readers would need the time for has no readers here.
            keep_replaced_s: 0,
        }
    }

    /// The root of what was written, as other clients of the server name it.
    pub(crate) fn url(&self) -> String {
        format!("{}/{BUCKET}/{PREFIX}", self.0.endpoint())
    }

    /// Where the server keeps the objects below [`Self::url`], each as a file.
    pub(crate) fn objects(&self) -> PathBuf {
        self.0.bucket().join(PREFIX)
    }

    /// Parts of uploads that were neither completed nor aborted.
    pub(crate) fn parts(&self) -> Vec<String> {
        self.0.parts()
    }

    /// Everything in the hidden folder of the place.
    pub(crate) fn staged(&self) -> Vec<String> {
        names(&self.objects().join(".staging"))
    }
}
