//! An S3 server over a folder, in this process: real HTTP, real signatures.

use crate::sink::parquet::ObjectStoreSettings;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// What the server knows its only user by.
pub(crate) const ACCESS_KEY: &str = "tidemark";
pub(crate) const SECRET_KEY: &str = "open sesame";
const BUCKET: &str = "cold";
/// The place in the bucket that tests use.
const PREFIX: &str = "a job/output";

/// A server with one bucket, ended with its runtime.
pub(crate) struct S3Server {
    folder: tempfile::TempDir,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let folder = super::driver::folder();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, port) = mpsc::channel();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap().port()).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { folder, port: port.recv().unwrap(), _runtime: runtime }
    }

    /// How to write there. The credentials lie in a file beside the bucket.
    pub(crate) fn settings(&self) -> ObjectStoreSettings {
        let credentials = self.folder.path().join("credentials");
        let lines = format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n");
        std::fs::write(&credentials, lines).unwrap();
        let options = [("endpoint", format!("http://127.0.0.1:{}", self.port)), ("allow_http", "true".to_owned())];
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
        format!("http://127.0.0.1:{}/{BUCKET}/{PREFIX}", self.port)
    }

    /// Where the server keeps the objects below [`Self::url`], each as a file.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.path().join(BUCKET).join(PREFIX)
    }

    /// Parts of uploads that were neither completed nor aborted.
    pub(crate) fn parts(&self) -> Vec<String> {
        names(self.folder.path()).into_iter().filter(|name| name.contains(".part-")).collect()
    }

    /// Everything in the hidden folder of the place.
    pub(crate) fn staged(&self) -> Vec<String> {
        names(&self.objects().join(".staging"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
