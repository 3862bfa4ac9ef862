//! An S3 server over a folder, in this process: real HTTP, real signatures. Nothing here knows Tidemark or a client.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// What the server knows its only user by.
pub const ACCESS_KEY: &str = "tidemark";
/// What that user signs with.
pub const SECRET_KEY: &str = "open sesame";

/// A server with one bucket, ended with its runtime.
pub struct S3Server {
    folder: tempfile::TempDir,
    bucket: String,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl S3Server {
    /// Starts one that keeps its objects in `folder`.
    ///
    /// # Panics
    /// Where the loopback interface or the folder cannot be used.
    pub fn start(folder: tempfile::TempDir, bucket: &str) -> Self {
        std::fs::create_dir(folder.path().join(bucket)).expect("the folder can be written");
        let files = FileSystem::new(folder.path()).expect("the folder can be served");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be started");
        let (sender, port) = mpsc::channel();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
            let address = listener.local_addr().expect("a listener has an address");
            sender.send(address.port()).expect("the starter waits for the port");
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes away in the middle is no failure of the server.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let port = port.recv().expect("the server says where it listens");
        Self { folder, bucket: bucket.to_owned(), port, _runtime: runtime }
    }

    /// `http://host:port`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder that holds the bucket's folder; parts of unfinished uploads lie in it, too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the server keeps the objects, each as a file.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(&self.bucket)
    }

    /// Parts of uploads that were neither completed nor aborted.
    pub fn parts(&self) -> Vec<String> {
        names(self.folder.path()).into_iter().filter(|name| name.contains(".part-")).collect()
    }
}

/// The names in a folder, sorted; none where it is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}
