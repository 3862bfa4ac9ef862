//! Whether a broker answers: one metadata request of the Kafka protocol, written by hand so that no client is needed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Metadata of all topics, version 1: header (API 3, version 1, correlation 1, client `probe`), then a null list.
const REQUEST: [u8; 23] = [0, 0, 0, 19, 0, 3, 0, 1, 0, 0, 0, 1, 0, 5, b'p', b'r', b'o', b'b', b'e', 255, 255, 255, 255];

/// Whether the broker at `address` names at least one broker of its cluster: it is one of it then, and serves.
pub(crate) fn is_ready(address: SocketAddr) -> bool {
    brokers(address).is_ok_and(|count| count > 0)
}

fn brokers(address: SocketAddr) -> io::Result<i32> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST)?;
    // Size, correlation id, number of brokers.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let [.., a, b, c, d] = answer;
    Ok(i32::from_be_bytes([a, b, c, d]))
}
