//! Metrics are swapped, again and again, while events flow and the process is killed: nothing is lost, nothing is counted
//! twice, and every window is one version's. What must come out is worked out here, from the events, without the engine.

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::job::{TIDEMARK, metrics_folder};
use support::live::{Running, disguised, free_address, request, sql};

const SWAPS: u8 = 50;
const EVENTS_PER_SECOND: u64 = 100_000;
const PARTITIONS: u64 = 2;
const KEYS: u64 = 200;
const WINDOW_MS: i64 = 100;
/// The time of the first event: 2026-01-01.
const START: i64 = 1_767_225_600_000;

/// Requested and swapped, by key and window.
type Expected = BTreeMap<(String, i64), (i64, i64)>;

/// Writes events, as many a second as are wanted, until it is told to stop.
struct Writer {
    files: Vec<File>,
    number: u64,
    seed: u64,
    expected: Expected,
}

impl Writer {
    fn new(folder: &Path) -> Self {
        let files = (0..PARTITIONS).map(|part| File::create(folder.join(format!("{part}.ndjson"))).expect("a file"));
        Self { files: files.collect(), number: 0, seed: 0x9e37_79b9_7f4a_7c15, expected: Expected::new() }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// Writes `count` events: event time goes on by a second per `EVENTS_PER_SECOND`, and each comes up to 300 ms late.
    fn write(&mut self, count: u64) {
        let mut texts = vec![String::new(); PARTITIONS as usize];
        for _ in 0..count {
            let time = (self.number * 1_000 / EVENTS_PER_SECOND) as i64 + START - self.random(300) as i64;
            let (key, swaps) = (format!("o-{}", self.random(KEYS)), self.random(2) as i64);
            let part = self.random(PARTITIONS) as usize;
            texts[part] += &format!(
                "{{\"id\":\"e-{}\",\"type\":\"request\",\"timestamp\":\"{time}\",\"data\":{{\"orchestrator\":\"{key}\",\"swaps\":{swaps}}}}}\n",
                self.number
            );
            let window = self.expected.entry((key, time.div_euclid(WINDOW_MS) * WINDOW_MS)).or_default();
            window.0 += 1;
            window.1 += swaps;
            self.number += 1;
        }
        self.files.iter_mut().zip(texts).for_each(|(file, text)| file.write_all(text.as_bytes()).expect("written"));
    }

    /// Keeps the pace until `stop`.
    fn run(mut self, stop: &AtomicBool) -> (u64, Expected, f64) {
        let started = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let due = (started.elapsed().as_secs_f64() * EVENTS_PER_SECOND as f64) as u64;
            if due > self.number {
                self.write(due - self.number);
            } else {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        (self.number, self.expected, started.elapsed().as_secs_f64())
    }
}

fn write_config(path: &Path, input: &Path, data: &Path, address: std::net::SocketAddr, follow: bool) {
    let module = metrics_folder().join("swap-rate.wasm");
    let config = format!(
        "[job]\nworkers = 2\n[data]\ndir = \"{}\"\n[source]\nkind = \"file\"\npath = \"{}\"\nfollow = {follow}\n\
         [watermark]\nbound_ms = 1000\n[cleanse.dedup]\nenabled = false\n[archive]\nenabled = false\n\
         [epoch]\ninterval_ms = 200\n[checkpoint]\nevery = 20\n[http]\nlisten = \"{address}\"\n[sink.parquet]\n\
         [[metric]]\nname = \"steady\"\nmodule = \"{}\"\nfilter = {{ type = [\"request\"] }}\n\
         window = {{ kind = \"tumbling\", size_ms = {WINDOW_MS} }}\n",
        data.display(),
        input.display(),
        module.display()
    );
    std::fs::write(path, config).expect("written");
}

fn windows(rows: &[Value]) -> Vec<((String, i64), (i64, i64))> {
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap_or_else(|| panic!("{field} in {row}"));
    let read = |row: &Value| {
        let key = row["key"].as_str().expect("a key").to_owned();
        ((key, number(row, "start")), (number(row, "requested"), number(row, "swapped")))
    };
    rows.iter().map(read).collect()
}

#[test]
fn fifty_swaps_among_kills_lose_and_double_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, data, config) =
        (folder.path().join("input"), folder.path().join("data"), folder.path().join("job.toml"));
    std::fs::create_dir(&input).expect("a folder");
    let address = free_address();
    write_config(&config, &input, &data, address, true);
    let original = std::fs::read(metrics_folder().join("swap-rate.wasm")).expect("a module");
    let writer = Writer::new(&input);
    let stop = AtomicBool::new(false);
    let (mut held_up, mut kills, mut undone) = (Vec::new(), 0, 0);
    let (written, expected, seconds) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.run(&stop));
        let mut job = Running::start(&config, address, &[]);
        for swap in 0..SWAPS {
            let digest = job.push(&disguised(&original, swap));
            let body = json!({
                "module": format!("sha256:{digest}"), "filter": { "type": ["request"] },
                "window": { "kind": "tumbling", "size_ms": WINDOW_MS },
            });
            if swap % 7 == 6 {
                // Killed while it is asked for, at another moment each time.
                let asked = body.to_string();
                let asking = scope.spawn(move || {
                    request(address, "PUT", "/api/v1/metrics/swapped", "application/json", asked.as_bytes())
                });
                std::thread::sleep(Duration::from_millis(u64::from(swap) * 7 % 60));
                job.kill();
                kills += 1;
                let answered = asking.join().expect("no panic").is_some_and(|(status, _)| status == 200);
                job = Running::start(&config, address, &[]);
                let (_, deployed) = job.ask("GET", "/api/v1/deployments/swapped", &Value::Null).expect("an answer");
                let took_effect = deployed["module"] == json!(digest);
                assert!(took_effect || !answered, "who was told that it is committed was told the truth: {deployed}");
                if took_effect {
                    continue;
                }
                undone += 1;
            }
            let (status, answer) = job.ask("PUT", "/api/v1/metrics/swapped", &body).expect("an answer");
            assert_eq!(status, 200, "{answer}");
            held_up.push(answer["held_up_us"].as_u64().expect("a time") as f64 / 1_000.0);
        }
        // Behind the last swap there are windows of its version, too.
        std::thread::sleep(Duration::from_millis(1_000));
        stop.store(true, Ordering::Relaxed);
        let written = writing.join().expect("no panic");
        job.kill();
        written
    });

    // The input has an end now: the same job reads it to there, and every window is closed.
    write_config(&config, &input, &data, address, false);
    let output = Command::new(TIDEMARK).arg("run").arg(&config).output().expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let query = |view: &str| {
        sql(
            &data,
            &format!("SELECT key, CAST(window_start AS BIGINT) AS start, requested, swapped, digest FROM {view}"),
        )
    };
    let steady = windows(&query("steady"));
    let by_window: Expected = steady.iter().cloned().collect();
    assert_eq!(by_window.len(), steady.len(), "no window has two rows");
    let different: Vec<_> = expected
        .iter()
        .filter(|(window, counts)| by_window.get(*window) != Some(*counts))
        .map(|(window, counts)| (window, counts, by_window.get(window)))
        .collect();
    let count = different.len();
    let of = expected.len();
    assert!(different.is_empty(), "{count} windows of {of} differ: {:?}", &different[..count.min(5)]);
    assert_eq!(by_window.len(), expected.len(), "no window that there is not");

    let rows = query("swapped");
    let swapped = windows(&rows);
    let by_window: Expected = swapped.iter().cloned().collect();
    assert_eq!(by_window.len(), swapped.len(), "no window has two rows");
    let first = by_window.keys().map(|(_, start)| *start).min().expect("it has rows");
    let whole: Expected = expected.into_iter().filter(|((_, start), _)| *start >= first).collect();
    let lost = whole.keys().filter(|window| !by_window.contains_key(*window)).count();
    assert!(by_window == whole, "{lost} windows are lost of {}, and others differ", whole.len());
    let mut digests: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    for row in &rows {
        let start = row["start"].as_i64().expect("a start");
        digests.entry(start).or_default().insert(row["digest"].as_str().expect("a digest"));
    }
    assert!(digests.values().all(|digests| digests.len() == 1), "one version for all keys of a window");
    let versions: BTreeSet<&str> = digests.values().flatten().copied().collect();
    assert!(versions.len() > 5, "{} versions have windows", versions.len());
    held_up.sort_by(f64::total_cmp);
    println!(
        "{written} events in {seconds:.1} s ({:.0}/s), {SWAPS} swaps, {kills} kills of which {undone} undid a swap, {} \
         versions with windows, {} windows; held up for {:.1} ms in the middle, {:.1} ms at most",
        written as f64 / seconds,
        versions.len(),
        swapped.len(),
        held_up[held_up.len() / 2],
        held_up[held_up.len() - 1]
    );
}
