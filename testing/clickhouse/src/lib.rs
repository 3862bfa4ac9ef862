//! A ClickHouse to test against: the engine that `cargo xtask setup` installed, behind the HTTP front beside this file.
//!
//! `TIDEMARK_TEST_CLICKHOUSE_URL`, with `…_USER` and `…_PASSWORD`, names a server instead, for the tests that share one.
//! Depends on the standard library alone; any crate's tests can use it.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment that `cargo xtask setup` makes below the target folder.
const ENVIRONMENT: &str = "clickhouse-26.9.0";

/// The server that this process's tests share. `None` where there can be none: the test, which is named, was not run
/// then.
///
/// # Panics
/// Where `CI` is set and there is no engine: there every test must run.
pub fn shared(test: &str) -> Option<Server> {
    (has_server_elsewhere() || is_installed_for(test)).then(Server::shared)
}

/// An engine for one test, which may end it. `None` and panics as with [`shared`].
pub fn own(test: &str, data: &Path, port: u16) -> Option<Engine> {
    is_installed_for(test).then(|| Engine::start(data, port))
}

fn has_server_elsewhere() -> bool {
    env::var_os("TIDEMARK_TEST_CLICKHOUSE_URL").is_some()
}

/// Reports past the test harness, which keeps the output of tests that pass to itself.
fn is_installed_for(test: &str) -> bool {
    let python = target().join(ENVIRONMENT).join("bin").join("python");
    if python.is_file() {
        return true;
    }
    let missing = format!("ClickHouse's engine is not in {}: run `cargo xtask setup`", python.display());
    assert!(env::var_os("CI").is_none(), "{test} needs a server: {missing}");
    // A report that cannot be written changes nothing.
    let _ = writeln!(std::io::stdout(), "not run: {test}: {missing}");
    false
}

/// A server and how to log in.
#[derive(Clone, Debug)]
pub struct Server {
    /// `http://host:port`.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// With which password.
    pub password: String,
}

impl Server {
    /// The server that this process's tests share.
    pub fn shared() -> Self {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        if let Ok(url) = env::var("TIDEMARK_TEST_CLICKHOUSE_URL") {
            let user = env::var("TIDEMARK_TEST_CLICKHOUSE_USER").unwrap_or_else(|_| "default".to_owned());
            let password = env::var("TIDEMARK_TEST_CLICKHOUSE_PASSWORD").unwrap_or_default();
            return Self { url, user, password };
        }
        ENGINE.get_or_init(|| Engine::start(&scratch("clickhouse-shared"), 0)).server()
    }

    /// The name of a database that nobody has used.
    pub fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
        format!("tidemark_test_{:x}_{number}", since_1970.as_nanos())
    }

    /// The answer to a query, or the error.
    pub fn try_query(&self, database: &str, query: &str) -> Result<String, String> {
        let address = self.url.strip_prefix("http://").expect("tests speak plain HTTP").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        let parameters = "date_time_output_format=iso&output_format_json_quote_64bit_integers=0";
        let request = format!(
            "POST /?database={database}&{parameters} HTTP/1.0\r\nHost: {address}\r\nX-ClickHouse-User: {}\r\n\
             X-ClickHouse-Key: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{query}",
            self.user,
            self.password,
            query.len()
        );
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.lines().next().is_some_and(|status| status.contains(" 200 ")) {
            return Ok(body.to_owned());
        }
        Err(format!("{query}: {body}"))
    }

    /// The answer to a query, without the last line end.
    pub fn query(&self, database: &str, query: &str) -> String {
        self.try_query(database, query).unwrap_or_else(|error| panic!("{error}")).trim_end().to_owned()
    }
}

/// An engine of one's own, ended when it is dropped.
pub struct Engine {
    process: Child,
    /// Closed, it ends the process, also when the test does not come to drop it.
    _alive: ChildStdin,
    port: u16,
}

impl Engine {
    /// Starts the engine over the folder `data`. Port 0 takes any that is free.
    pub fn start(data: &Path, port: u16) -> Self {
        let python = python();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server.py");
        let mut process = Command::new(&python)
            .arg(script)
            .arg("--data")
            .arg(data)
            .args(["--port", &port.to_string(), "--user", "tidemark", "--password", "open sesame"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", python.display()));
        let alive = process.stdin.take().expect("standard input is piped");
        let mut line = String::new();
        let output = process.stdout.take().expect("standard output is piped");
        BufReader::new(output).read_line(&mut line).expect("the engine says where it listens");
        let port = line.trim().strip_prefix("listening on ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the ClickHouse engine did not start: it said {line:?}"));
        Self { process, _alive: alive, port }
    }

    /// Where it listens.
    pub fn server(&self) -> Server {
        let url = format!("http://127.0.0.1:{}", self.port);
        Server { url, user: "tidemark".to_owned(), password: "open sesame".to_owned() }
    }

    /// Its port, to start another one there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a power cut would but for what the operating system still writes.
    pub fn kill(mut self) {
        self.process.kill().expect("the engine can be killed");
        self.process.wait().expect("the engine ends");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An empty folder below the target folder, for this process. Those of earlier processes are removed.
pub fn scratch(name: &str) -> PathBuf {
    let (all, start) = (target().join("tmp"), format!("{name}-"));
    let folder = all.join(format!("{start}{}", std::process::id()));
    for other in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let process = other.file_name().to_string_lossy().strip_prefix(&start).and_then(|id| id.parse::<u32>().ok());
        // Where there is no list of processes, nothing is removed.
        let is_alive = |id: u32| !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{id}")).exists();
        if process.is_some_and(|id| id == std::process::id() || !is_alive(id)) {
            let _ = std::fs::remove_dir_all(other.path());
        }
    }
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

fn python() -> PathBuf {
    let python = target().join(ENVIRONMENT).join("bin").join("python");
    assert!(
        python.is_file(),
        "these tests run against ClickHouse's engine, which is not in {}: `cargo xtask setup` installs it",
        python.display()
    );
    python
}

/// Cargo's target folder: tests run from `target/<profile>/deps`.
fn target() -> PathBuf {
    let executable = env::current_exe().expect("a test knows its path");
    executable.ancestors().nth(3).expect("tests lie in target/<profile>/deps").to_owned()
}
