//! `tidemark health`: asks a running job over HTTP whether it is well. For containers, whose image has no other client.

use crate::exit::Failure;
use clap::Args;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Most bytes of the answer that are read: its first line is what counts.
const MOST_BYTES: u64 = 4 << 10;

/// `tidemark health`.
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// Where the job listens for HTTP; 0.0.0.0 is asked at 127.0.0.1.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "TIDEMARK_HTTP_LISTEN",
        default_value = "127.0.0.1:9464",
        value_parser = crate::config::http::parse_listen
    )]
    pub listen: SocketAddr,
    /// Ask whether the job runs, not only whether the process lives.
    #[arg(long)]
    pub ready: bool,
    /// How long to wait for the answer.
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub timeout_ms: u64,
}

/// Succeeds where the answer is yes.
pub fn execute(arguments: &HealthArguments) -> Result<(), Failure> {
    let address = reachable(arguments.listen);
    let path = if arguments.ready { "/readyz" } else { "/healthz" };
    let asked = ask(address, path, Duration::from_millis(arguments.timeout_ms));
    let status = asked.map_err(|error| Failure::failed(format!("http://{address}{path} does not answer: {error}")))?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Failure::failed(format!("http://{address}{path} answers \"{status}\"")))
}

/// The first line of the answer.
fn ask(address: SocketAddr, path: &str, patience: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// The address at which a listener on every address of this machine is reached.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:1", "[::1]:1"), ("10.0.0.3:9464", "10.0.0.3:9464")]
        {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
