//! What tests of the source share: sources over a broker, and the blocks that they give.

use super::{LONG, Outside};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_connectors::cleanse::CleanseSettings;
use tidemark_connectors::source::ReadSettings;
use tidemark_connectors::source::generate::{GenerateSettings, Generator};
use tidemark_connectors::source::kafka::{KafkaSource, KafkaSourceSettings, Until};
use tidemark_engine::batch::EventBatch;
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};

pub fn start(records: usize) -> SourceStart {
    let mut plan = ExtractionPlan::default();
    plan.slot("data.request_id", ColumnType::Text);
    SourceStart { plan: Arc::new(plan), block_records: records, block_bytes: 1 << 20, ..SourceStart::default() }
}

pub fn bounded(outside: &Outside, topics: &[&str]) -> KafkaSourceSettings {
    KafkaSourceSettings { until: Some(Until::End), ..live(outside, topics) }
}

pub fn live(outside: &Outside, topics: &[&str]) -> KafkaSourceSettings {
    KafkaSourceSettings { discover_ms: 100, ..KafkaSourceSettings::new(&outside.address, topics) }
}

pub fn connect(settings: KafkaSourceSettings, decoders: usize) -> Result<KafkaSource, PortError> {
    let read = ReadSettings { decoders, max_record_bytes: 64 * 1024, ..ReadSettings::default() };
    KafkaSource::connect(settings, read, CleanseSettings::default())
}

/// Every block of every partition of a bounded source, by partition name.
pub fn drain(settings: KafkaSourceSettings, decoders: usize, start: SourceStart) -> BTreeMap<String, Vec<EventBatch>> {
    let mut source = connect(settings, decoders).expect("connected");
    source.start(start).expect("started");
    assert!(source.bounded());
    let names = source.partitions().to_vec();
    let mut blocks = BTreeMap::new();
    for (place, name) in names.into_iter().enumerate() {
        let partition = Partition(place as u32);
        let found: &mut Vec<EventBatch> = blocks.entry(name).or_default();
        while let Next::Block(block) = source.next(partition, Duration::ZERO).expect("read") {
            assert_eq!(block.start, found.last().map_or(block.start, |last| last.end), "blocks are seamless");
            found.push(block);
        }
        assert!(matches!(source.next(partition, Duration::ZERO), Ok(Next::End)), "the end stays");
    }
    blocks
}

/// Offset and bytes of every record, the dead ones included.
pub fn records(blocks: &[EventBatch]) -> Vec<(u64, Vec<u8>)> {
    let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
    for block in blocks {
        all.extend((0..block.rows()).map(|row| (block.offsets[row].0, block.raw.get(row).to_vec())));
        let dead = block.dead.iter().map(|letter| (letter.position.expect("a position").1.0, letter.payload.to_vec()));
        all.extend(dead);
    }
    all.sort();
    all
}

pub fn ends(blocks: &[EventBatch]) -> Vec<Offset> {
    blocks.iter().map(|block| block.end).collect()
}

pub fn generated(events: u64, seed: u64) -> Vec<Vec<u8>> {
    let settings = GenerateSettings {
        events: Some(events),
        malformed_share: 0.02,
        too_long_bytes: 100_000,
        seed,
        ..GenerateSettings::default()
    };
    let mut bytes = Vec::new();
    Generator::new(settings).expect("good settings").write(&mut bytes).expect("written");
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

pub fn lines(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|id| format!(r#"{{"type":"t","timestamp":"1767908945298","id":"{id}"}}"#)).collect()
}

/// Takes blocks of a live source until so many records came, by partition name.
pub fn take(source: &mut KafkaSource, mut wanted: usize) -> BTreeMap<String, Vec<EventBatch>> {
    let mut blocks: BTreeMap<String, Vec<EventBatch>> = BTreeMap::new();
    let deadline = Instant::now() + LONG;
    while wanted > 0 {
        assert!(Instant::now() < deadline, "{wanted} records are still missing");
        for place in 0..source.partitions().len() {
            if let Next::Block(block) = source.next(Partition(place as u32), Duration::from_millis(5)).expect("read") {
                wanted = wanted.checked_sub(block.records).expect("no more than wanted");
                blocks.entry(source.partitions()[place].clone()).or_default().push(block);
            }
        }
    }
    blocks
}

pub fn counts(blocks: &BTreeMap<String, Vec<EventBatch>>) -> Vec<(&str, usize)> {
    blocks.iter().map(|(name, blocks)| (name.as_str(), records(blocks).len())).collect()
}
