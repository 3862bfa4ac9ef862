//! A registry of containers, on a free port of the loopback interface: Debian's `docker-registry`, unpacked and not
//! installed, since installing it would start a service.

use crate::install::{below_target, download, run};
use crate::{Background, Unavailable, not_run};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Changes whenever what is in the folder does.
const VERSION: &str = "registry-1";

/// How long it may take to answer, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ended when dropped, with all that it holds.
pub struct Registry {
    _process: Background,
    folder: TempDir,
    address: SocketAddr,
}

fn program() -> PathBuf {
    below_target(VERSION).join("usr/bin/docker-registry")
}

/// Puts it into the target folder, where it is not there.
///
/// # Errors
/// A program or the network that this needs is not there.
pub fn install_registry() -> Result<(), Unavailable> {
    if program().is_file() {
        return Ok(());
    }
    let folder = below_target(VERSION);
    let broken = |error: io::Error| Unavailable::Broken(format!("cannot write {}: {error}", folder.display()));
    let downloads = folder.with_added_extension("downloads");
    let package = download("docker-registry", &downloads)?;
    // Taken for it only when it is whole.
    let unpacked = folder.with_added_extension("partial");
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    fs::remove_dir_all(&downloads).map_err(broken)?;
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&unpacked, &folder).map_err(broken)
}

impl Registry {
    /// Starts one that answers those who are in `htpasswd`, lines of `name:bcrypt`. `None` where it is not installed: the
    /// test of this name was not run then.
    ///
    /// # Panics
    /// Where `CI` is set and it is not there, and where it does not start.
    pub fn start(test: &str, htpasswd: &str) -> Option<Self> {
        if !program().is_file() {
            return not_run(test, &Unavailable::Missing(format!("there is no {}", program().display())));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = port.expect("loopback has a free port");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
             http: {{addr: {:?}, secret: nobody-else-is-asked}}\nauth: {{htpasswd: {{realm: test, path: {:?}}}}}\n",
            path("data"),
            address.to_string(),
            path("htpasswd"),
        );
        fs::write(path("config.yml"), config).expect("written");
        fs::write(path("htpasswd"), htpasswd).expect("written");
        let mut command = Command::new(program());
        command.args(["serve", &path("config.yml")]);
        let process = Background::start(&command, &folder.path().join("log"));
        let deadline = Instant::now() + PATIENCE;
        while !answers(address).unwrap_or(false) {
            assert!(Instant::now() < deadline, "the registry does not answer: {}", process.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { _process: process, folder, address })
    }

    /// Changes one byte of what it keeps under a SHA-256 digest, behind its back.
    ///
    /// # Panics
    /// If there is no such thing.
    pub fn damage(&self, digest: &str) {
        let place = format!("data/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]);
        let path = self.folder.path().join(place);
        let mut bytes = fs::read(&path).expect("it is kept");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("written");
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Whether it says who it is, even if to refuse.
fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET /v2/ HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.0 401") || answer.starts_with("HTTP/1.1 401"))
}
