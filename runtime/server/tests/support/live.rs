//! A job of the real binary that follows files while a test writes them, and its API.

use super::job::TIDEMARK;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything should take.
pub const LONG: Duration = Duration::from_secs(120);

/// A running job; killed when dropped.
pub struct Running {
    pub child: Child,
    pub address: SocketAddr,
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

impl Running {
    /// Starts `tidemark run` and waits until it runs. `environment` is set beside.
    pub fn start(config: &Path, address: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(config.with_extension("log")).expect("a log");
        let mut command = Command::new(TIDEMARK);
        command.arg("run").arg(config).stdout(Stdio::null()).stderr(log).env_remove("TIDEMARK_KILL_AT");
        command.envs(environment.iter().copied());
        let mut running = Self { child: command.spawn().expect("starts"), address };
        let started = Instant::now();
        while request(address, "GET", "/readyz", "", b"").is_none_or(|(status, _)| status != 200) {
            let ended = running.child.try_wait().expect("a child");
            let log = || std::fs::read_to_string(config.with_extension("log")).unwrap_or_default();
            assert!(ended.is_none() && started.elapsed() < LONG, "{ended:?}: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    /// Ends it as a power failure does.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child");
    }

    /// A request; `None` where nobody answers.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request(self.address, method, path, "application/json", body.as_bytes())
    }

    /// Uploads a module and waits until it is admitted. Returns its digest.
    pub fn push(&self, module: &[u8]) -> String {
        let (status, mut answer) =
            request(self.address, "POST", "/api/v1/modules", "application/wasm", module).expect("an answer");
        assert_eq!(status, 202, "{answer}");
        let digest = answer["digest"].as_str().expect("a digest").to_owned();
        let started = Instant::now();
        while answer["status"] == "checking" {
            assert!(started.elapsed() < LONG, "{answer}");
            std::thread::sleep(Duration::from_millis(5));
            answer = self.ask("GET", &format!("/api/v1/modules/{digest}"), &Value::Null).expect("an answer").1;
        }
        assert_eq!(answer["status"], "admitted", "{answer}");
        digest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing more can be done about either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str, media: &str, body: &[u8]) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    // A server that refuses an upload may close before it has read all of it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Some((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size > rest.len() {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// The rows of a query over a data folder.
pub fn sql(data: &Path, query: &str) -> Vec<Value> {
    let output = Command::new(TIDEMARK).args(["sql", query, "--format", "json", "--data"]).arg(data).output();
    let output = output.expect("starts");
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("an array of rows")
}

/// The same component with other bytes: a custom section at its end, which no runtime looks at.
pub fn disguised(module: &[u8], mark: u8) -> Vec<u8> {
    // Section 0, of length 3, with the one-letter name `v` and one byte.
    [module, &[0, 3, 1, b'v', mark]].concat()
}
