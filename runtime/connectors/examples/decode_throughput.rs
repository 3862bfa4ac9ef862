//! How fast one thread decodes generated events, beside serde_json reading the same fields into a struct.
//!
//! ```text
//! cargo run --release -p tidemark-connectors --example decode_throughput [-- EVENTS [CONTENDER]]
//! ```
//!
//! The slots are those of the metrics `jitter-coefficient` and `prompt-to-first-frame`. Every contender goes over the
//! same lines in memory, cut into blocks beforehand; each is run several times in turn and its best time counts: time on
//! the processor where the system tells it, so that other programs do not count.

use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidemark_connectors::cleanse::{CleanseSettings, Decoder, RawBlock, RawRecord};
use tidemark_connectors::source::generate::{GenerateSettings, Generator};
use tidemark_engine::batch::Carried;
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;

/// Records of a block.
const BLOCK: usize = 4_096;

/// Runs of each contender.
const ROUNDS: usize = 5;

/// Reads all blocks and says how many records were events.
type Contender = Box<dyn FnMut(&[RawBlock]) -> usize>;

/// What the plan asks for, as a program without Tidemark would write it down.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

/// The payload where it is an object.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stream_id: Option<Cow<'a, str>>,
    timestamp: Option<f64>,
    inference_status: Option<InferenceStatus>,
}

#[derive(Deserialize)]
struct InferenceStatus {
    fps: Option<f64>,
}

fn main() {
    let events = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let begun = seconds();
    let settings = GenerateSettings { events: Some(events), ..GenerateSettings::default() };
    let mut generator = Generator::new(settings).expect("default settings are good");
    let mut lines = Vec::new();
    generator.write(&mut lines).expect("a vector takes every byte");
    let rate = events as f64 / (seconds() - begun);
    println!("{events} events, {} bytes each; made at {rate:.0} events/s", lines.len() as u64 / events);
    let blocks = blocks(Bytes::from(lines));
    let mut decoder = Decoder::new(&CleanseSettings::default(), plan()).expect("default settings are good");
    let mut contenders: [(&str, f64, Contender); 2] = [
        (
            "tidemark decoder",
            0.0,
            Box::new(move |blocks| blocks.iter().map(|block| decoder.decode(block).rows()).sum()),
        ),
        ("serde_json, struct", 0.0, Box::new(|blocks| typed(blocks, |text| serde_json::from_slice(text).ok()))),
    ];
    let only = std::env::args().nth(2).unwrap_or_default();
    for _ in 0..ROUNDS {
        for (_, best, run) in contenders.iter_mut().filter(|(name, ..)| name.contains(&only)) {
            let begun = seconds();
            black_box(run(&blocks));
            *best = best.max(events as f64 / (seconds() - begun));
        }
    }
    let reference = contenders[1].1;
    for (name, best, _) in contenders.iter().filter(|(_, best, _)| *best > 0.0) {
        println!(
            "{name:>20}: {best:>10.0} events/s, {:>5.0} ns each, {:.2} x serde_json",
            1e9 / best,
            best / reference
        );
    }
}

/// Time that this thread has had a processor, or on other systems than Linux the time of day.
fn seconds() -> f64 {
    let on_processor = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_processor = on_processor.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    on_processor.map_or_else(now, |nanoseconds| nanoseconds / 1e9)
}

/// Reads every record that is an event of the usual shape, with the fields that the plan has.
fn typed<'a>(blocks: &'a [RawBlock], read: impl Fn(&'a [u8]) -> Option<Event<'a>>) -> usize {
    let mut sum = 0;
    for block in blocks {
        for record in &block.records {
            let text = &block.buffer[record.range.start as usize..record.range.end as usize];
            if let Some(event) = read(text) {
                let data = &event.data;
                let fps = data.inference_status.as_ref().and_then(|status| status.fps);
                black_box((&event.id, &event.kind, &event.timestamp, fps, data.timestamp));
                black_box((&data.kind, &data.request_id, &data.stream_id));
                sum += 1;
            }
        }
    }
    sum
}

fn plan() -> Arc<ExtractionPlan> {
    let mut plan = ExtractionPlan::default();
    for (path, kind) in [
        ("data.stream_id", ColumnType::Text),
        ("data.inference_status.fps", ColumnType::Float),
        ("data.request_id", ColumnType::Text),
        ("data.type", ColumnType::Text),
    ] {
        plan.slot(path, kind);
    }
    plan.want(0, Some(&["ai_stream_status".to_owned()]));
    plan.want(1, Some(&["stream_trace".to_owned()]));
    Arc::new(plan)
}

fn blocks(buffer: Bytes) -> Vec<RawBlock> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', &buffer) {
        ranges.push(start..end);
        start = end + 1;
    }
    let block = |ranges: &[std::ops::Range<usize>]| {
        let (start, end) = (ranges[0].start, ranges[ranges.len() - 1].end);
        let records = ranges.iter().map(|range| RawRecord {
            offset: Offset(range.start as u64),
            range: (range.start - start) as u32..(range.end - start) as u32,
            too_long: None,
        });
        RawBlock {
            partition: Partition(0),
            start: Offset(start as u64),
            end: Offset(end as u64 + 1),
            records: records.collect(),
            buffer: buffer.slice(start..end),
            enrichments: Vec::new(),
            watermark: Carried::Nothing,
        }
    };
    ranges.chunks(BLOCK).map(block).collect()
}
