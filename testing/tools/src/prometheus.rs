//! A running Prometheus, on a free port of the loopback interface.

use crate::{Background, Tools};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long it may take to answer, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ended when dropped.
pub struct Prometheus {
    process: Background,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts one with a configuration file, keeping its data in `data`. It answers when this returns.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(tools: &Tools, configuration: &Path, data: &Path) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = port.expect("loopback has a free port");
        let mut program = Command::new(tools.prometheus());
        program.arg(format!("--config.file={}", configuration.display()));
        program.arg(format!("--storage.tsdb.path={}", data.display()));
        program.arg(format!("--web.listen-address={address}"));
        let process = Background::start(&program, &data.with_added_extension("log"));
        let prometheus = Self { process, address };
        let deadline = Instant::now() + PATIENCE;
        while !prometheus.get("/-/ready").is_ok_and(|answer| answer.contains("Ready")) {
            assert!(Instant::now() < deadline, "Prometheus does not answer: {}", prometheus.process.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        prometheus
    }

    /// The body of the answer to a GET, whatever its status.
    ///
    /// # Errors
    /// It does not answer.
    pub fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// The answer of its API to an expression, as JSON.
    ///
    /// # Errors
    /// It does not answer.
    pub fn query(&self, expression: &str) -> io::Result<String> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.get(&format!("/api/v1/query?query={encoded}"))
    }
}
