//! The whole job with five million live keys: how much memory it takes, to the last closed one.

use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KEYS: u64 = 5_000_000;

/// Keys that come in a second of event time: all of them within fifty, so that none is due before the last has come.
const KEYS_PER_SECOND: u64 = 100_000;

/// 1 GB.
const MOST_BYTES: u64 = 1_000_000_000;

/// The file of settings, seen from the root of the workspace: all are the defaults.
const CONFIG: &str = "bench/five-million-keys.toml";

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let folder = workspace::root().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let input = input(&folder, KEYS)?;
    let data = folder.join("data-keys");
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    let mut command = Command::new(workspace::built("tidemark"));
    command.arg("run").arg(workspace::root().join(CONFIG)).arg("--input").arg(&input).arg("--data").arg(&data);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start tidemark")?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The kernel keeps the greatest value itself; it is gone with the process.
        peak = peak.max(peak_of(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(status.success(), "the job failed: {status}");
    let seconds = started.elapsed().as_secs_f64();
    let text = format!(
        "prompt-to-first-frame over {KEYS} requests that nobody answers, all open at once, then all closed when the input \
         ends; default settings, deduplication on.\nCommand: `cargo xtask bench keys`; settings: `{CONFIG}`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n\
         | peak of resident memory | ≤ {} MB | {} MB | {} |\n\n{seconds:.0} s, {:.0} keys a second from first to last.\n",
        MOST_BYTES / 1_000_000,
        peak / 1_000_000,
        super::figures::verdict(peak <= MOST_BYTES),
        KEYS as f64 / seconds,
    );
    println!("\n{text}");
    Ok(text)
}

/// `VmHWM` of proc(5), in bytes.
fn peak_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// When it is asked for `key`.
pub(super) fn time_of(key: u64) -> u64 {
    1_767_900_000_000 + key * 1_000 / KEYS_PER_SECOND
}

/// So many requests, made once.
pub(super) fn input(folder: &Path, keys: u64) -> Result<PathBuf> {
    let path = folder.join(format!("requests-{keys}.ndjson"));
    if path.is_file() {
        return Ok(path);
    }
    println!("writing {keys} requests");
    let unfinished = path.with_extension("unfinished");
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        for key in 0..keys {
            let time = time_of(key);
            writeln!(
                out,
                r#"{{"id":"{key:08x}-0000-4000-8000-{key:012x}","type":"stream_trace","timestamp":"{time}","gateway":"gateway","data":{{"type":"gateway_receive_stream_request","timestamp":{time},"request_id":"{key:08x}","stream_id":"stream-{:05}"}}}}"#,
                key % 100_000,
            )?;
        }
        out.flush()?;
        fs::rename(&unfinished, &path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
