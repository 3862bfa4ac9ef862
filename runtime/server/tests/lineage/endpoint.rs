//! An HTTP endpoint that first answers 503 a few times and then takes everything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

/// The endpoint, for as long as the process lives.
pub struct Endpoint {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Request>>>,
}

impl Endpoint {
    /// One that answers 503 to the first `unwell` requests.
    pub fn start(mut unwell: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let status = if unwell > 0 { "503 Service Unavailable" } else { "201 Created" };
                if unwell == 0 {
                    requests.lock().expect("no thread panicked").push(request);
                }
                unwell = unwell.saturating_sub(1);
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                // Who has gone does not want to hear it.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { address, taken }
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/v1/lineage", self.address)
    }

    /// What was taken so far.
    pub fn taken(&self) -> Vec<Request> {
        self.taken.lock().expect("no thread panicked").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body: String::from_utf8(body).ok()? })
}
