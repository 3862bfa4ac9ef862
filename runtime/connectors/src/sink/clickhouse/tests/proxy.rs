//! A connection that can be cut: between the sink and the server, with the moments of failure that matter.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// What happens to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Mode {
    /// They pass.
    Pass,
    /// Connections are cut as soon as they are made.
    Away,
    /// Requests pass; of the answers to inserts nothing does.
    LoseAnswers,
}

/// A listener in front of a server.
pub(super) struct Proxy {
    pub(super) url: String,
    mode: Arc<AtomicU8>,
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of `server`, `http://host:port`.
    pub(super) fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (mode, lost) = (Arc::new(AtomicU8::new(Mode::Pass as u8)), Arc::new(AtomicUsize::new(0)));
        let server = server.trim_start_matches("http://").to_owned();
        let shared = (mode.clone(), lost.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.0.load(Ordering::SeqCst) == Mode::Away as u8 {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                forward(client, server, shared.clone());
            }
        });
        Self { url, mode, lost }
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

type Shared = (Arc<AtomicU8>, Arc<AtomicUsize>);

fn forward(client: TcpStream, server: TcpStream, (mode, lost): Shared) {
    let inserts = Arc::new(AtomicUsize::new(0));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (seen, away) = (inserts.clone(), mode.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if away.load(Ordering::SeqCst) == Mode::Away as u8 {
                break;
            }
            if buffer[..length].windows(11).any(|window| window == b"ArrowStream") {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let answers_insert = inserts.swap(0, Ordering::SeqCst) > 0;
            if answers_insert && mode.load(Ordering::SeqCst) == Mode::LoseAnswers as u8 {
                lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
