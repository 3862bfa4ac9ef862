//! The results, for people and for comparison.

use crate::first_frame::FirstFrameRow;
use crate::jitter::JitterRow;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub(crate) fn jitter_summary(rows: &[JitterRow]) -> String {
    let samples: u64 = rows.iter().map(|row| row.samples).sum();
    let sum: f64 = rows.iter().filter_map(|row| row.jitter).sum();
    format!("jitter rows         {:>10}   samples {samples}   sum of jitter {sum:.6}", rows.len())
}

pub(crate) fn first_frame_summary(rows: &[FirstFrameRow]) -> String {
    let matched = rows.iter().filter(|row| row.matched).count();
    let sum: i64 = rows.iter().filter_map(|row| row.latency_ms).sum();
    format!("first-frame rows    {:>10}   matched {matched}   sum of latencies {sum} ms", rows.len())
}

/// Writes `jitter.csv` and `first_frame.csv` into `folder`; floats in the shortest form that reads back the same.
pub(crate) fn write(folder: &Path, mut jitter: Vec<JitterRow>, mut first_frames: Vec<FirstFrameRow>) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    jitter.sort_by(|a, b| (&a.stream_id, a.window_start).cmp(&(&b.stream_id, b.window_start)));
    first_frames.sort_by(|a, b| (&a.request_id, a.requested).cmp(&(&b.request_id, b.requested)));

    let mut text = String::from("key,window_start,samples,mean_fps,jitter\n");
    for JitterRow { stream_id, window_start, samples, mean, jitter } in &jitter {
        writeln!(text, "{stream_id},{window_start},{samples},{},{}", or_empty(*mean), or_empty(*jitter))?;
    }
    write_file(&folder.join("jitter.csv"), &text)?;

    let mut text = String::from("key,latency_ms,matched\n");
    for FirstFrameRow { request_id, latency_ms, matched, .. } in &first_frames {
        writeln!(text, "{request_id},{},{matched}", or_empty(*latency_ms))?;
    }
    write_file(&folder.join("first_frame.csv"), &text)
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
