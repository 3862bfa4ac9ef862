//! Sources as the engine uses them: whatever the threads, limits and interruptions, the same rows.

use super::*;
use crate::cleanse::KEPT_OF_TOO_LONG;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use generate::{GenerateSettings, Generator};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::batch::EventBatch;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::Offset;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::Positions;

/// Longer than any wait should take; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(30);

fn plan() -> Arc<ExtractionPlan> {
    let mut plan = ExtractionPlan::default();
    plan.slot("data.request_id", ColumnType::Text);
    plan.slot("data.inference_status.fps", ColumnType::Float);
    Arc::new(plan)
}

fn start(records: usize, bytes: usize) -> SourceStart {
    SourceStart { plan: plan(), block_records: records, block_bytes: bytes, ..SourceStart::default() }
}

fn file(path: &Path, follow: bool, decoders: usize) -> RecordSource {
    let from = SourceKind::File(FileSettings { path: path.to_owned(), follow });
    let read = ReadSettings { decoders, max_record_bytes: 64 * 1024, ..ReadSettings::default() };
    RecordSource::new(SourceSettings { from, read }, CleanseSettings::default())
}

/// Every block of every partition of a bounded source, by partition name.
fn drain(mut source: RecordSource, start: SourceStart) -> Result<BTreeMap<String, Vec<EventBatch>>, PortError> {
    source.start(start)?;
    assert!(source.bounded());
    let names = source.partitions().to_vec();
    let mut blocks = BTreeMap::new();
    for (place, name) in names.into_iter().enumerate() {
        let partition = Partition(place as u32);
        let found: &mut Vec<EventBatch> = blocks.entry(name).or_default();
        while let Next::Block(block) = source.next(partition, Duration::ZERO)? {
            assert_eq!(block.partition, partition);
            assert_eq!(block.start, found.last().map_or(block.start, |last| last.end), "blocks are seamless");
            found.push(block);
        }
        assert!(matches!(source.next(partition, Duration::ZERO)?, Next::End), "the end stays");
    }
    Ok(blocks)
}

/// Everything about every record, in order: offset, and the row or the dead letter.
fn records(blocks: &[EventBatch]) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for block in blocks {
        assert_eq!(block.records, block.rows() + block.dead.len());
        for row in 0..block.rows() {
            let cells: Vec<_> = block.columns.iter().map(|column| format!("{:?}", column.slice(row, 1))).collect();
            let kind = &block.types[usize::from(block.type_ids[row])];
            let raw = String::from_utf8_lossy(block.raw.get(row)).into_owned();
            all.push((
                block.offsets[row].0,
                format!("{kind} {} {:x} {cells:?} {raw}", block.event_times[row], block.ids[row]),
            ));
        }
        for letter in &block.dead {
            let (_, offset) = letter.position.expect("a position");
            all.push((offset.0, format!("{:?} {} {:?}", letter.reason, letter.detail, letter.payload)));
        }
    }
    all.sort();
    all
}

fn ends(blocks: &[EventBatch]) -> Vec<Offset> {
    blocks.iter().map(|block| block.end).collect()
}

fn generated(events: u64) -> Vec<u8> {
    let settings = GenerateSettings {
        events: Some(events),
        malformed_share: 0.02,
        too_long_bytes: 100_000,
        streams: 20,
        ..GenerateSettings::default()
    };
    let mut bytes = Vec::new();
    Generator::new(settings).expect("good settings").write(&mut bytes).expect("written");
    bytes
}

/// A folder with one file.
fn folder(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    (folder, path)
}

fn only(blocks: BTreeMap<String, Vec<EventBatch>>) -> Vec<EventBatch> {
    assert_eq!(blocks.len(), 1);
    blocks.into_values().next().expect("one")
}

#[test]
fn blocks_are_exactly_as_large_as_the_limits_say_with_any_threads() {
    let (_folder, path) = folder("events.ndjson", &generated(5_000));
    let inline = only(drain(file(&path, false, 0), start(256, 1 << 20)).expect("read"));
    assert!(inline[..inline.len() - 1].iter().all(|block| block.records == 256));
    for decoders in [1, 3] {
        let ahead = only(drain(file(&path, false, decoders), start(256, 1 << 20)).expect("read"));
        assert_eq!(ends(&ahead), ends(&inline));
        assert_eq!(records(&ahead), records(&inline));
    }
    let small = only(drain(file(&path, false, 1), start(10_000, 20_000)).expect("read"));
    assert!(small.iter().all(|block| block.records == 1 || block.raw.buffer.len() <= 20_000 + 64 * 1024));
    assert_eq!(records(&small), records(&inline));
}

#[test]
fn every_compression_gives_the_same_records_whatever_the_name() {
    let plain = generated(2_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("compressed");
    let mut members = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    members.write_all(&plain[..1_000]).expect("compressed");
    let mut members = members.finish().expect("compressed");
    let mut second = flate2::write::GzEncoder::new(&mut members, flate2::Compression::fast());
    second.write_all(&plain[1_000..]).expect("compressed");
    second.finish().expect("compressed");
    let (_folder, path) = folder("events", &plain);
    let expected = only(drain(file(&path, false, 1), start(300, 1 << 20)).expect("read"));
    for content in
        [gzip.finish().expect("compressed"), members, zstd::encode_all(plain.as_slice(), 1).expect("compressed")]
    {
        fs::write(&path, content).expect("written");
        let found = only(drain(file(&path, false, 1), start(300, 1 << 20)).expect("read"));
        assert_eq!((ends(&found), records(&found)), (ends(&expected), records(&expected)));
        let resume = Positions::from([("events".to_owned(), expected[2].end)]);
        let rest =
            only(drain(file(&path, false, 1), SourceStart { positions: resume, ..start(300, 1 << 20) }).expect("read"));
        assert_eq!(records(&rest), records(&expected[3..]));
    }
    fs::write(&path, [0x1f, 0x8b, 8, 0, 1]).expect("written");
    let damaged = drain(file(&path, false, 1), start(300, 1 << 20)).expect_err("a damaged file");
    assert!(matches!(damaged, PortError::Stop(message) if message.contains("events")));
}

#[test]
fn line_ends_of_every_kind_are_no_part_of_records() {
    let line = r#"{"type":"t","timestamp":1767908945298}"#;
    let content = format!("\n\r\n{line}\r\n\n{line}\n\n\n{line}");
    let (_folder, path) = folder("a", content.as_bytes());
    for decoders in [0, 1] {
        let blocks = only(drain(file(&path, false, decoders), start(2, 1 << 20)).expect("read"));
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].start, blocks[0].offsets.as_slice()), (Offset(0), &[Offset(3), Offset(44)][..]));
        assert_eq!((blocks[0].end, blocks[1].end), (Offset(83), Offset(content.len() as u64)));
        assert_eq!(blocks[1].offsets, [Offset(85)]);
        assert!(blocks.iter().all(|block| (0..block.rows()).all(|row| block.raw.get(row) == line.as_bytes())));
    }
    for empty in ["", "\n", "\r\n\n\n"] {
        fs::write(&path, empty).expect("written");
        assert!(only(drain(file(&path, false, 1), start(2, 1 << 20)).expect("read")).is_empty());
    }
}

#[test]
fn a_line_of_ten_megabytes_never_sits_in_memory_and_is_one_dead_letter() {
    let line = br#"{"type":"t","timestamp":1767908945298}"#;
    let mut content = line.to_vec();
    content.push(b'\n');
    content.extend(std::iter::repeat_n(b'x', 10_000_000));
    content.push(b'\n');
    content.extend_from_slice(line);
    let (_folder, path) = folder("a", &content);
    for records in [1, 2, 100] {
        let blocks = only(drain(file(&path, false, 0), start(records, 1 << 22)).expect("read"));
        let dead: Vec<_> = blocks.iter().flat_map(|block| &block.dead).collect();
        assert_eq!((dead.len(), dead[0].reason, dead[0].payload.len()), (1, Reason::TooLong, KEPT_OF_TOO_LONG));
        assert_eq!(dead[0].position.expect("a position").1, Offset(39));
        let offsets: Vec<_> = blocks.iter().flat_map(|block| block.offsets.clone()).collect();
        assert_eq!(offsets, [Offset(0), Offset(39 + 10_000_001)]);
        assert!(blocks.iter().all(|block| block.raw.buffer.len() < 1 << 20));
        assert_eq!(blocks.last().expect("blocks").end, Offset(content.len() as u64));
    }
}

#[test]
fn a_folder_is_a_partition_per_file() {
    let (folder, _) = folder("b.ndjson", &generated(700));
    fs::write(folder.path().join("a.ndjson"), generated(300)).expect("written");
    fs::write(folder.path().join(".hidden"), "x").expect("written");
    fs::create_dir(folder.path().join("sub")).expect("made");
    for decoders in [0, 2] {
        let blocks = drain(file(folder.path(), false, decoders), start(128, 1 << 20)).expect("read");
        let counts: Vec<_> = blocks.iter().map(|(name, blocks)| (name.as_str(), records(blocks).len())).collect();
        assert_eq!(counts, [("a.ndjson", 300), ("b.ndjson", 700)]);
    }
    // A file that came between two runs stands behind those that were there.
    let mut source = file(folder.path(), false, 1);
    let positions = Positions::from([("b.ndjson".to_owned(), Offset(0))]);
    source.start(SourceStart { positions, ..start(128, 1 << 20) }).expect("started");
    assert_eq!(source.partitions(), ["b.ndjson", "a.ndjson"]);
}

#[test]
fn what_was_committed_must_still_be_there() {
    let content = generated(100);
    let (folder, path) = folder("a", &content);
    let resume = |name: &str, offset: usize| {
        let positions = Positions::from([(name.to_owned(), Offset(offset as u64))]);
        drain(file(&path, false, 1), SourceStart { positions, ..start(10, 1 << 20) })
    };
    assert!(only(resume("a", content.len()).expect("at the end")).is_empty());
    for (name, offset, expected) in [("a", content.len() + 1, "changed or shortened"), ("gone", 0, "is gone")] {
        let error = resume(name, offset).expect_err("not there").to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    }
    // A cut that no record ends at.
    let cuts = BTreeMap::from([("a".to_owned(), vec![Offset(5)])]);
    let error = drain(file(&path, false, 1), SourceStart { cuts, ..start(10, 1 << 20) }).expect_err("no cut there");
    assert!(error.to_string().contains("byte 5"), "{error}");
    let cuts = BTreeMap::from([("a".to_owned(), vec![Offset(content.len() as u64 + 9)])]);
    assert!(drain(file(&path, false, 1), SourceStart { cuts, ..start(10, 1 << 20) }).is_err());
    assert!(drain(file(&folder.path().join("nowhere"), false, 1), start(10, 1 << 20)).is_err());
    fs::remove_file(&path).expect("removed");
    let error = drain(file(folder.path(), false, 1), start(10, 1 << 20)).expect_err("an empty folder");
    assert!(error.to_string().contains("at least one"), "{error}");
}

/// The next block of a followed source.
fn wait_for_block(source: &mut RecordSource, partition: u32) -> EventBatch {
    match source.next(Partition(partition), LONG).expect("read") {
        Next::Block(block) => block,
        other => panic!("a block, not {other:?}"),
    }
}

fn append(path: &Path, content: &str) {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened")
        .write_all(content.as_bytes())
        .expect("written");
}

#[test]
fn a_followed_file_waits_for_whole_lines_and_new_files_join() {
    let line = |id: u32| format!(r#"{{"type":"t","timestamp":1767908945298,"id":"{id}"}}"#);
    for decoders in [0, 1] {
        let (folder, path) = folder("a", format!("{}\n{}", line(1), line(2)).as_bytes());
        let mut source = file(folder.path(), true, decoders);
        source.start(start(100, 1 << 20)).expect("started");
        assert!(!source.bounded());
        let first = wait_for_block(&mut source, 0);
        assert_eq!((first.rows(), first.end), (1, Offset(line(1).len() as u64 + 1)));
        assert!(matches!(source.next(Partition(0), Duration::ZERO), Ok(Next::Pending)));
        append(&path, &format!("\n{}\n", line(3)));
        assert_eq!(wait_for_block(&mut source, 0).rows(), 2);
        append(&folder.path().join("b"), &format!("{}\n", line(4)));
        while source.partitions().len() == 1 {
            assert!(matches!(source.next(Partition(0), Duration::from_millis(5)), Ok(Next::Pending)));
        }
        assert_eq!(source.partitions(), ["a", "b"]);
        assert_eq!(wait_for_block(&mut source, 1).rows(), 1);
        // Truncation stops the source with advice.
        fs::write(&path, "").expect("truncated");
        let error = source.next(Partition(0), LONG).expect_err("truncated").to_string();
        assert!(error.contains("truncated") && error.contains("followed folder"), "{error}");
    }
}

#[test]
fn a_followed_file_that_is_replaced_stops_the_source() {
    let (folder, path) = folder("a", b"{\"type\":\"t\",\"timestamp\":1767908945298}\n");
    let mut source = file(&path, true, 0);
    source.start(start(100, 1 << 20)).expect("started");
    assert_eq!(wait_for_block(&mut source, 0).rows(), 1);
    fs::rename(&path, folder.path().join("a.1")).expect("renamed");
    assert!(source.next(Partition(0), LONG).expect_err("gone").to_string().contains("replaced"));
    let compressed = zstd::encode_all(&b"{}"[..], 1).expect("compressed");
    fs::write(&path, compressed).expect("written");
    let mut source = file(&path, true, 0);
    source.start(start(100, 1 << 20)).expect("started");
    assert!(source.next(Partition(0), LONG).expect_err("compressed").to_string().contains("cannot be followed"));
}

#[test]
fn the_generator_is_a_source_that_resumes_where_it_was() {
    let generator = GenerateSettings { events: Some(2_000), ..GenerateSettings::default() };
    let source = |decoders| {
        let from =
            SourceKind::Generate(GenerateSourceSettings { generator: generator.clone(), paced_per_second: None });
        let read = ReadSettings { decoders, ..ReadSettings::default() };
        RecordSource::new(SourceSettings { from, read }, CleanseSettings::default())
    };
    let all = only(drain(source(1), start(100, 1 << 20)).expect("read"));
    assert_eq!(records(&all).len(), 2_000);
    let positions = Positions::from([("generate".to_owned(), all[7].end)]);
    let rest = only(drain(source(0), SourceStart { positions, ..start(100, 1 << 20) }).expect("read"));
    assert_eq!(records(&rest), records(&all[8..]));
}

#[test]
fn what_is_decoded_is_what_was_generated() {
    let generator = GenerateSettings {
        events: Some(30_000),
        malformed_share: 0.02,
        republished_share: 0.05,
        duplicate_share: 0.01,
        ..GenerateSettings::default()
    };
    let mut expected = Generator::new(generator.clone()).expect("good settings");
    expected.write(&mut std::io::sink()).expect("written");
    let truth = expected.truth().clone();
    let mut plan = ExtractionPlan::default();
    plan.slot("data.type", ColumnType::Text);
    plan.slot("data.inference_status.fps", ColumnType::Float);
    let from = SourceKind::Generate(GenerateSourceSettings { generator, paced_per_second: None });
    let source = RecordSource::new(SourceSettings { from, read: ReadSettings::default() }, CleanseSettings::default());
    let start = SourceStart { plan: Arc::new(plan), ..start(1_000, 1 << 22) };
    let (mut types, mut dead, mut ids) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let (mut requests, mut frames, mut duplicates) = (0, 0, 0);
    for block in only(drain(source, start).expect("read")) {
        block.dead.iter().for_each(|letter| *dead.entry(letter.reason.name()).or_default() += 1);
        let (kinds, fps) = (block.columns[0].as_string::<i32>(), block.columns[1].as_primitive::<Float64Type>());
        for row in 0..block.rows() {
            if !ids.insert(block.ids[row]) {
                duplicates += 1;
                continue;
            }
            *types.entry(block.types[usize::from(block.type_ids[row])].to_string()).or_default() += 1;
            requests += u64::from(kinds.is_valid(row) && kinds.value(row) == "gateway_receive_stream_request");
            frames += u64::from(fps.is_valid(row) && fps.value(row) > 0.0);
        }
    }
    let generated: BTreeMap<String, u64> =
        truth.events.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!((types, &dead), (generated, &truth.malformed));
    assert_eq!((requests, frames, duplicates), (truth.requests, truth.fps_samples, truth.duplicates));
    assert!(truth.lines == 30_000 && truth.duplicates > 200 && dead.len() == 6);
}

#[test]
fn a_paced_generator_is_endless_and_says_the_same() {
    let generator = GenerateSettings { events: None, malformed_share: 0.0, ..GenerateSettings::default() };
    let mut expected = Generator::new(generator.clone()).expect("good settings");
    let from = SourceKind::Generate(GenerateSourceSettings { generator, paced_per_second: Some(50_000) });
    let read = ReadSettings::default();
    let mut source = RecordSource::new(SourceSettings { from, read }, CleanseSettings::default());
    source.start(start(50, 1 << 20)).expect("started");
    assert!(!source.bounded());
    let mut rows = 0;
    while rows < 500 {
        let block = wait_for_block(&mut source, 0);
        for row in 0..block.rows() {
            let line = expected.next().expect("endless");
            assert_eq!(block.raw.get(row), line.strip_suffix(b"\n").expect("a line end"));
        }
        rows += block.rows();
    }
    // Dropping it ends its threads, or this test never returns.
}

#[test]
fn settings_are_read_from_configuration_and_checked() {
    let settings: SourceSettings = serde_json::from_str(
        r#"{"from": {"kind": "generate", "generator": {"events": 5}, "paced_per_second": 7}, "read": {"decoders": 0, "prefetch": 0}}"#,
    )
    .expect("settings");
    let SourceKind::Generate(generate) = &settings.from else { panic!("a generator") };
    assert!(generate.mistakes()[0].contains("exactly one"));
    assert!(settings.read.mistakes()[0].contains("prefetch"));
    for wrong in [
        r#"{"from": {"kind": "file"}}"#,
        r#"{"from": {"kind": "stdin"}, "raed": {}}"#,
        r#"{"from": {"kind": "file", "path": "x", "folow": true}}"#,
    ] {
        assert!(serde_json::from_str::<SourceSettings>(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn limits_threads_resumes_and_cuts_change_nothing(
        seed in any::<u64>(), limit in 1_usize..200, bytes in 1_usize..100_000, decoders in 0_usize..4,
        place in any::<prop::sample::Index>(),
    ) {
        let settings = GenerateSettings {
            seed, events: Some(400), malformed_share: 0.1, too_long_bytes: 70_000, streams: 5, ..GenerateSettings::default()
        };
        let mut content = Vec::new();
        Generator::new(settings).expect("good settings").write(&mut content).expect("written");
        let (_folder, path) = folder("a", &content);
        let whole = only(drain(file(&path, false, 0), start(usize::MAX, 1 << 30)).expect("read"));
        prop_assert_eq!(whole.len(), 1);
        let blocks = only(drain(file(&path, false, decoders), start(limit, bytes)).expect("read"));
        prop_assert_eq!(records(&blocks), records(&whole));
        prop_assert!(blocks.iter().all(|block| block.records <= limit));

        let at = place.index(blocks.len());
        let positions = Positions::from([("a".to_owned(), blocks[at].end)]);
        let rest = only(drain(file(&path, false, decoders), SourceStart { positions: positions.clone(), ..start(limit, bytes) }).expect("read"));
        prop_assert_eq!(ends(&rest), ends(&blocks[at + 1..]));
        prop_assert_eq!(records(&rest), records(&blocks[at + 1..]));

        // Cut again as before, up to some block, whatever the limits are now.
        let cuts = BTreeMap::from([("a".to_owned(), ends(&blocks[..=at]))]);
        let again = only(drain(file(&path, false, decoders), SourceStart { cuts, ..start(3, 5_000) }).expect("read"));
        prop_assert_eq!(ends(&again[..=at]), ends(&blocks[..=at]));
        prop_assert_eq!(records(&again), records(&whole));
    }
}

/// Whatever was decoded ahead, every block from the change on has the new columns, and none from before it.
#[test]
fn a_new_plan_holds_for_what_was_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let line = |row: u64| {
        format!(
            "{{\"id\":\"{row}\",\"type\":\"a\",\"timestamp\":\"{row}\",\"data\":{{\"request_id\":\"r{row}\",\"fps\":{row}}}}}\n"
        )
    };
    fs::write(&path, (1..=400).map(line).collect::<String>()).unwrap();
    let mut other = ExtractionPlan::default();
    other.slot("data.fps", ColumnType::Integer);
    other.slot("data.request_id", ColumnType::Text);
    other.want(0, None);
    let other = Arc::new(other);
    let mut expected = None;
    for (decoders, change_after) in [(0, 3), (1, 3), (4, 3)] {
        let mut source = file(&path, false, decoders);
        source.start(start(10, 1 << 20)).unwrap();
        let mut blocks = Vec::new();
        loop {
            if blocks.len() == change_after {
                // Time to read ahead is what this is about, but nothing depends on it.
                std::thread::yield_now();
                source.change_plan(Arc::clone(&other)).unwrap();
            }
            match source.next(Partition(0), LONG).unwrap() {
                Next::Block(block) => blocks.push(block),
                _ => break,
            }
        }
        assert_eq!(blocks.len(), 40);
        for (place, block) in blocks.iter().enumerate() {
            let new = place >= change_after;
            assert_eq!(block.columns[0].as_string_opt::<i32>().is_none(), new, "block {place}, {decoders} decoders");
            assert!(block.interest.iter().all(|interest| *interest == u64::from(new)));
        }
        let found = records(&blocks);
        assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "{decoders} decoders");
    }
    let mut source = file(&path, false, 1);
    source.start(start(10, 1 << 20)).unwrap();
    let mut wrong = ExtractionPlan::default();
    wrong.slot("nowhere.to.be.found", ColumnType::Text);
    assert!(matches!(source.change_plan(Arc::new(wrong)), Err(PortError::Stop(_))));
    let Next::Block(block) = source.next(Partition(0), LONG).unwrap() else { panic!("a block") };
    assert!(block.columns[0].as_string_opt::<i32>().is_some(), "nothing has changed");
}
