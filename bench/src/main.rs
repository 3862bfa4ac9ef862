//! `baseline INPUT`: jitter-coefficient and prompt-to-first-frame as a good engineer writes them in an hour, without a
//! stream processor: one thread, one pass, everything in memory, results at the end.
//!
//! The measure for `cargo xtask bench job`, so it is neither slowed down nor tuned: a buffered reader, one line buffer,
//! serde_json into structs that borrow from it and hold what is needed, `FxHashMap`s. No watermark, no limit of memory,
//! no recovery, no output but the figures (and the rows with `--rows`, to compare them).

mod event;
mod first_frame;
mod jitter;
mod rows;

use anyhow::{Context as _, Result};
use clap::Parser;
use event::Event;
use first_frame::FirstFrames;
use jitter::Jitter;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Computes jitter-coefficient and prompt-to-first-frame of an NDJSON file, in memory, on one thread.
#[derive(Parser)]
struct Arguments {
    /// Events, one JSON object per line.
    input: PathBuf,
    /// Also write the rows to jitter.csv and first_frame.csv in this folder, sorted.
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
}

/// What one pass over the events gives.
#[derive(Default)]
struct Job {
    events: u64,
    malformed: u64,
    jitter: Jitter,
    first_frames: FirstFrames,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let job = Job::over(&arguments.input)?;
    let (jitter, first_frames) = (job.jitter.rows(), job.first_frames.rows());
    let seconds = started.elapsed().as_secs_f64();

    let rate = job.events as f64 / seconds;
    println!("events              {:>10}   malformed {}", job.events, job.malformed);
    println!("seconds             {seconds:>10.3}   events/s {rate:.0}");
    println!("{}", rows::jitter_summary(&jitter));
    println!("{}", rows::first_frame_summary(&first_frames));
    if let Some(folder) = &arguments.rows {
        rows::write(folder, jitter, first_frames)?;
    }
    Ok(())
}

impl Job {
    fn over(path: &Path) -> Result<Self> {
        let told = || format!("cannot read {}", path.display());
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).with_context(told)?);
        let mut job = Self::default();
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).with_context(told)? > 0 {
            job.events += 1;
            match serde_json::from_slice(&line) {
                Ok(event) => job.take(&event),
                Err(_) => job.malformed += 1,
            }
            line.clear();
        }
        Ok(job)
    }

    fn take(&mut self, event: &Event<'_>) {
        let data = &event.data;
        let Some(time) = data.timestamp.0.or(event.timestamp.0) else { return };
        match (event.kind.as_ref(), data.kind.as_ref()) {
            ("ai_stream_status", _) => self.jitter.add(data.stream_id.as_ref(), time, data.inference_status.fps),
            ("stream_trace", "gateway_receive_stream_request") => {
                self.first_frames.requested(data.request_id.as_ref(), time);
            }
            ("stream_trace", "gateway_receive_first_processed_segment") => {
                self.first_frames.processed(data.request_id.as_ref(), time);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lines: &[&str]) -> Job {
        let mut job = Job::default();
        lines.iter().for_each(|line| job.take(&serde_json::from_str(line).expect("an event")));
        job
    }

    #[test]
    fn events_reach_their_metric() {
        let job = take(&[
            r#"{"type": "stream_trace", "timestamp": "1000", "data": {"type": "gateway_receive_stream_request", "request_id": "r", "timestamp": 990}}"#,
            r#"{"type": "stream_trace", "timestamp": "3000", "data": {"type": "gateway_receive_first_processed_segment", "request_id": "r"}}"#,
            r#"{"type": "ai_stream_status", "timestamp": "1", "data": {"stream_id": "s", "timestamp": 61000, "inference_status": {"fps": 0}}}"#,
            r#"{"type": "ai_stream_status", "timestamp": "1", "data": {"stream_id": "s", "timestamp": 62000, "inference_status": {"fps": null}}}"#,
            r#"{"type": "discovery_results", "timestamp": "1", "data": [{"address": "0x52"}]}"#,
            r#"{"type": "ai_stream_status", "timestamp": 63000, "data": "{\"stream_id\": \"s\", \"inference_status\": {\"fps\": 2.5}}"}"#,
        ]);
        let [first] = job.first_frames.rows().try_into().expect("one request");
        assert_eq!((first.request_id.as_str(), first.latency_ms, first.matched), ("r", Some(2010), true));
        let [window] = job.jitter.rows().try_into().expect("one window");
        assert_eq!((window.stream_id.as_str(), window.window_start, window.samples), ("s", 60_000, 2));
    }
}
