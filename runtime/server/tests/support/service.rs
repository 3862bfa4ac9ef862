//! A `tidemark` process that serves, and talking HTTP to it.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes: what is awaited until then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, ended when it is dropped.
pub struct Service {
    process: Child,
    pub address: SocketAddr,
    pub token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Service {
    /// Starts `tidemark` with these arguments, which must make it listen, and waits until it does.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tidemark"))
            .args(arguments)
            .args(["--log-format", "json", "--log-level", "info"])
            .envs(environment.iter().copied())
            .env_remove("TIDEMARK_KILL_AT")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut log = BufReader::new(process.stderr.take().expect("piped"));
        let mut told = String::new();
        let address = loop {
            let mut line = String::new();
            if log.read_line(&mut line).expect("the log is read") == 0 {
                let _ = process.wait();
                panic!("{arguments:?} ended before it listened: {told}");
            }
            told.push_str(&line);
            if line.contains("serving the API") {
                let start = line.find("127.0.0.1:").expect("its address");
                let end = line[start..].find('"').map_or(line.len(), |end| start + end);
                break line[start..end].parse().expect("an address");
            }
        };
        // The pipe must not fill up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address, token: None }
    }

    /// With this token in each request.
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A GET.
    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    /// A POST of JSON.
    pub fn post(&self, target: &str, body: &Value) -> Answer {
        self.ask("POST", target, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// A request.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.send(method, target, headers, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: answer.split_off(end + 4) }
    }

    /// The connection behind a request, of which nothing was read yet. HTTP/1.0: the body ends with the connection.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut head = format!("{method} {target} HTTP/1.0\r\nHost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).expect("sent");
        // Whoever refuses a body may have closed already.
        let _ = stream.write_all(body);
        stream
    }

    /// Asks again until the answer is as wanted.
    #[track_caller]
    pub fn until(&self, target: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let answer = self.get(target);
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(started.elapsed() < PATIENCE, "{target} never was as wanted: {}", answer.text());
            std::thread::yield_now();
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// Server-sent events of a connection.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Behind the head of the answer.
    pub fn of(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).expect("a head") > 2 {
            line.clear();
        }
        Self(reader)
    }

    /// The next event: its name and its data.
    pub fn next(&mut self) -> (String, Value) {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("an event in time") > 0, "the stream has ended");
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => data = value.to_owned(),
                _ if line == "\n" && !name.is_empty() => {
                    return (name, serde_json::from_str(&data).expect("data is JSON"));
                }
                _ => {}
            }
        }
    }
}

/// Writes `text` as a configuration into `folder`.
pub fn configure(folder: &Path, text: &str) -> String {
    let file = folder.join("tidemark.toml");
    std::fs::write(&file, text).expect("writes");
    file.to_str().expect("UTF-8").to_owned()
}
