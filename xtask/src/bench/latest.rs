//! The newest row of a key among ten million, asked over HTTP: how long an answer takes.

use crate::{process, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// As the example writes them.
const KEYS: u64 = 50_000;
const ROWS: u64 = 10_000_000;

const REQUESTS: usize = 2_000;
const TARGET: Duration = Duration::from_millis(20);

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let folder = workspace::root().join("target/bench/latest");
    if !folder.join("complete").is_file() {
        println!("writing {ROWS} rows");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        process::run(Command::new(workspace::built("examples/ten_million_rows")).arg(&folder))?;
    }
    let mut service = Service::start(&folder)?;
    let known = service.measure(|number| format!("stream-{:05}", number % KEYS))?;
    let unknown = service.measure(|number| format!("stream-{:05}x", number % KEYS))?;
    let files = fs::read_to_string(folder.join("complete"))?;
    let line = |what: &str, times: &[Duration]| {
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        let (target, verdict) = (TARGET.as_millis(), super::figures::verdict(at(99) <= TARGET.as_secs_f64() * 1e3));
        format!("| {what} | ≤ {target} ms | {:.1} ms (median {:.1} ms) | {verdict} |\n", at(99), at(50))
    };
    let text = format!(
        "`GET /api/v1/metrics/jitter-coefficient/latest?key=…` over {ROWS} rows of {KEYS} keys in {} Parquet files, default \
         settings; {REQUESTS} requests one after the other, each on a connection of its own, keys in random order.\n\
         Command: `cargo xtask bench latest`.\n\n| p99 | target | measured | |\n| --- | --- | --- | --- |\n{}{}",
        files.trim(),
        line("of keys that are there", &known),
        line("of keys that are not", &unknown),
    );
    println!("\n{text}");
    Ok(text)
}

/// `tidemark serve` over the rows.
struct Service {
    process: Child,
    address: String,
    random: u64,
}

impl Service {
    fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("serve.toml");
        fs::write(&config, "[source]\nkind = \"stdin\"\n[http]\nlisten = \"127.0.0.1:0\"\n")?;
        let mut command = Command::new(workspace::built("tidemark"));
        command.arg("serve").arg(&config).arg("--data").arg(folder).args([
            "--log-format",
            "json",
            "--log-level",
            "info",
        ]);
        let mut process = command.stderr(Stdio::piped()).spawn().context("cannot start tidemark")?;
        let mut line = String::new();
        BufReader::new(process.stderr.take().context("no log")?).read_line(&mut line)?;
        let address =
            line.find("127.0.0.1:").map(|start| line[start..].split('"').next().unwrap_or_default().to_owned());
        let Some(address) = address else { bail!("it does not listen: {line}") };
        Ok(Self { process, address, random: 1 })
    }

    /// Times of answers, sorted. The first tenth is to warm up and does not count.
    fn measure(&mut self, key: impl Fn(u64) -> String) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(REQUESTS);
        for number in 0..REQUESTS + REQUESTS / 10 {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let started = Instant::now();
            self.ask(&key(self.random >> 33))?;
            if number >= REQUESTS / 10 {
                times.push(started.elapsed());
            }
        }
        times.sort_unstable();
        Ok(times)
    }

    fn ask(&self, key: &str) -> Result<()> {
        let mut stream = TcpStream::connect(&self.address)?;
        let target = format!("/api/v1/metrics/jitter-coefficient/latest?key={key}");
        write!(stream, "GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let is_there = answer.contains(&format!("\"key\":\"{key}\""));
        ensure!(answer.contains(" 200 ") && is_there != key.ends_with('x'), "{target}: {answer}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
