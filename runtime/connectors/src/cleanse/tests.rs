//! Decoding as a whole: real captures, every kind of bad input, conversions, tables.

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::batch::{Carried, EventBatch};
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;

/// One record a line.
fn block(lines: &[&[u8]]) -> RawBlock {
    let buffer = Bytes::from(lines.join(&b'\n'));
    let mut start = 0_u32;
    let records = lines.iter().map(|line| {
        let range = start..start + line.len() as u32;
        start = range.end + 1;
        RawRecord { offset: Offset(u64::from(range.start)), range, too_long: None }
    });
    let records = records.collect();
    RawBlock {
        partition: Partition(3),
        start: Offset(0),
        end: Offset(buffer.len() as u64),
        buffer,
        records,
        enrichments: Vec::new(),
        watermark: Carried::Nothing,
    }
}

fn plan(slots: &[(&str, ColumnType)]) -> Arc<ExtractionPlan> {
    let mut plan = ExtractionPlan::default();
    for (path, kind) in slots {
        plan.slot(path, *kind);
    }
    Arc::new(plan)
}

fn settings(toml: &str) -> CleanseSettings {
    serde_json::from_value(serde_json::from_str(toml).expect("JSON")).expect("settings")
}

fn decode_with(settings: &CleanseSettings, slots: &[(&str, ColumnType)], lines: &[&[u8]]) -> EventBatch {
    Decoder::new(settings, plan(slots)).expect("good settings").decode(&block(lines))
}

fn decode(slots: &[(&str, ColumnType)], lines: &[&[u8]]) -> EventBatch {
    decode_with(&CleanseSettings::default(), slots, lines)
}

fn texts(column: &ArrayRef) -> Vec<Option<&str>> {
    column.as_string::<i32>().iter().collect()
}

fn floats(column: &ArrayRef) -> Vec<Option<f64>> {
    column.as_primitive::<Float64Type>().iter().collect()
}

fn integers(column: &ArrayRef) -> Vec<Option<i64>> {
    column.as_primitive::<Int64Type>().iter().collect()
}

/// A minimal event around `data`.
fn event(data: &str) -> Vec<u8> {
    format!(r#"{{"type":"t","timestamp":1767908945298,"data":{data}}}"#).into_bytes()
}

/// The values that a column of this type has for these values of `data.v`.
fn read_as(kind: ColumnType, values: &[&str]) -> ArrayRef {
    let events: Vec<_> = values.iter().map(|value| event(&format!(r#"{{"v":{value}}}"#))).collect();
    let lines: Vec<_> = events.iter().map(Vec::as_slice).collect();
    let batch = decode(&[("data.v", kind)], &lines);
    assert!(batch.dead.is_empty(), "{:?}", batch.dead);
    Arc::clone(&batch.columns[0])
}

/// The folder with real captures, if this machine has it.
fn captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/livepeer");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no captures at {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn values_read_as_their_column_types_promise() {
    let values = ["77", "77.0", "77.5", "\"77\"", "\"7\\u0037\"", "true", "null", "{}", "[77]", "\"x\"", "1e400"];
    let none: Option<i64> = None;
    assert_eq!(
        integers(&read_as(ColumnType::Integer, &values)),
        [Some(77), Some(77), none, Some(77), Some(77), none, none, none, none, none, none]
    );
    assert_eq!(
        floats(&read_as(ColumnType::Float, &["0", "17.29", "\"17.29\"", "\"inf\"", "\" 1\"", "false", "1e400"])),
        [Some(0.0), Some(17.29), Some(17.29), None, None, None, None]
    );
    assert_eq!(
        texts(&read_as(ColumnType::Text, &["\"a\\\"b\\u00e9\"", "1.50", "true", "null", "{}", "\"\""])),
        [Some("a\"b\u{e9}"), Some("1.50"), Some("true"), None, None, Some("")]
    );
    assert_eq!(
        texts(&read_as(ColumnType::Json, &["{\"a\" : [1]}", "\"a\\\"b\"", "1.50", "null", "[ ]"])),
        [Some("{\"a\" : [1]}"), Some("\"a\\\"b\""), Some("1.50"), None, Some("[ ]")]
    );
    let flags = read_as(ColumnType::Boolean, &["true", "false", "1", "\"true\"", "null"]);
    assert_eq!(flags.as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None, None, None]);
}

#[test]
fn data_may_be_an_object_an_array_or_json_in_a_text() {
    let slots = [("data.a.b", ColumnType::Text), ("data.0.a.b", ColumnType::Text), ("data.1", ColumnType::Integer)];
    let events = [
        event(r#"{"a":{"b":"object"}}"#),
        event(r#"[{"a":{"b":"array"}},7,8]"#),
        event(r#""{\"a\":{\"b\":\"te\\\"xt\"}}""#),
        event(r#""[{\"a\":{\"b\":\"x\"}},9]""#),
        event(r#""{\"a\":{\"b\":\"half\"}""#),
        event(r#""no JSON""#),
        event("null"),
    ];
    let batch = decode(&slots, &events.each_ref().map(Vec::as_slice));
    assert!(batch.dead.is_empty(), "{:?}", batch.dead);
    assert_eq!(texts(&batch.columns[0]), [Some("object"), None, Some("te\"xt"), None, None, None, None]);
    assert_eq!(texts(&batch.columns[1]), [None, Some("array"), None, Some("x"), None, None, None]);
    assert_eq!(integers(&batch.columns[2]), [None, Some(7), None, Some(9), None, None, None]);
}

#[test]
fn the_last_of_equal_keys_wins() {
    let slots = [("data.a", ColumnType::Integer), ("data.b.c", ColumnType::Text), ("data.b", ColumnType::Json)];
    let events = [
        event(r#"{"a":1,"b":{"c":"x"},"a":2}"#),
        event(r#"{"a":1,"b":{"c":"x"},"a":null,"b":{}}"#),
        br#"{"type":"u","type":"t","timestamp":1767908945298,"data":{"a":1,"b":{"c":"x"}},"data":{"b":{"c":"y"}}}"#
            .to_vec(),
        event(r#"{"a":"1","\u0061":5}"#),
    ];
    let batch = decode(&slots, &events.each_ref().map(Vec::as_slice));
    assert_eq!(integers(&batch.columns[0]), [Some(2), None, None, Some(5)]);
    assert_eq!(texts(&batch.columns[1]), [Some("x"), None, Some("y"), None]);
    assert_eq!(texts(&batch.columns[2]), [Some(r#"{"c":"x"}"#), Some("{}"), Some(r#"{"c":"y"}"#), None]);
    assert_eq!(batch.types, [Arc::from("t")]);
}

#[test]
fn bad_records_are_dead_letters_and_leave_no_trace_in_the_columns() {
    let good = event(r#"{"v":"good","n":1}"#);
    let deep = event(&format!(r#"{{"v":"deep","w":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000)));
    let bomb = event(&"[".repeat(500_000));
    let bad: Vec<(Vec<u8>, Reason)> = vec![
        (b"not json".to_vec(), Reason::BrokenJson),
        (br#"{"type":"t","timestamp":1767908945298,"data":{"v":"x","n":1}"#.to_vec(), Reason::BrokenJson),
        (br#"{"type":"t","timestamp":1767908945298,"data":{"v":"x","n":1}}}"#.to_vec(), Reason::BrokenJson),
        (br#"{"type":"t","timestamp":1767908945298,"data":{"v":"x","n":1,"w":tru}}"#.to_vec(), Reason::BrokenJson),
        (br#"{"type":"t","timestamp":1767908945298,"data":{"v":"x"},"w":{"x":[1,]}}"#.to_vec(), Reason::BrokenJson),
        (event("{\"v\":\"\u{1}\"}"), Reason::BrokenJson),
        (deep, Reason::BrokenJson),
        (bomb, Reason::BrokenJson),
        (
            event("{\"v\":\"x\"}").into_iter().map(|byte| if byte == b'x' { 0xff } else { byte }).collect(),
            Reason::InvalidUtf8,
        ),
        (b"[1,2]".to_vec(), Reason::BadEnvelope),
        (b"7".to_vec(), Reason::BadEnvelope),
        (b"null".to_vec(), Reason::BadEnvelope),
        (br#"{"timestamp":1767908945298,"data":{"v":"x"}}"#.to_vec(), Reason::BadEnvelope),
        (br#"{"type":7,"timestamp":1767908945298,"data":{"v":"x"}}"#.to_vec(), Reason::BadEnvelope),
        (br#"{"type":"","timestamp":1767908945298,"data":{"v":"x"}}"#.to_vec(), Reason::BadEnvelope),
        (br#"{"type":"t","data":{"v":"x"}}"#.to_vec(), Reason::NoEventTime),
        (br#"{"type":"t","timestamp":"yesterday","data":{"v":"x"}}"#.to_vec(), Reason::NoEventTime),
        (br#"{"type":"t","timestamp":1767908945,"data":{"v":"x"}}"#.to_vec(), Reason::TimeOutOfBounds),
        (br#"{"type":"t","timestamp":-1767908945298,"data":{"v":"x"}}"#.to_vec(), Reason::TimeOutOfBounds),
        (br#"{"type":"t","timestamp":9999999999999,"data":{"v":"x"}}"#.to_vec(), Reason::TimeOutOfBounds),
    ];
    let lines: Vec<&[u8]> = bad.iter().flat_map(|(line, _)| [line.as_slice(), good.as_slice()]).collect();
    let batch = decode(&[("data.v", ColumnType::Text), ("data.n", ColumnType::Integer)], &lines);
    assert_eq!(batch.records, lines.len());
    assert_eq!(texts(&batch.columns[0]), vec![Some("good"); bad.len()]);
    assert_eq!(integers(&batch.columns[1]), vec![Some(1); bad.len()]);
    for (letter, (line, reason)) in batch.dead.iter().zip(&bad) {
        assert_eq!(letter.reason, *reason, "{}", letter.detail);
        assert_eq!(letter.payload, *line);
        assert!(!letter.detail.is_empty());
    }
    assert_eq!(batch.dead.len(), bad.len());
    for row in 0..batch.rows() {
        assert_eq!(batch.raw.get(row), good);
    }
    let (first, second) = (&batch.dead[0], &batch.offsets[0]);
    assert_eq!(first.position, Some((Partition(3), Offset(0))));
    assert_eq!(*second, Offset(9));
}

#[test]
fn a_record_that_was_cut_is_a_dead_letter_with_its_beginning() {
    let mut cut = block(&[b"{\"type\":\"t\"", &event("{}")]);
    cut.records[0].too_long = Some(10_000_000);
    let batch = Decoder::new(&CleanseSettings::default(), plan(&[])).expect("good settings").decode(&cut);
    assert_eq!((batch.rows(), batch.dead.len()), (1, 1));
    assert_eq!((batch.dead[0].reason, batch.dead[0].payload.as_ref()), (Reason::TooLong, &b"{\"type\":\"t\""[..]));
    assert!(batch.dead[0].detail.contains("10000000"));
}

#[test]
fn ids_types_and_interest_are_per_row() {
    let mut wanted = ExtractionPlan::default();
    wanted.want(0, Some(&["a".to_owned()]));
    wanted.want(5, None);
    let mut decoder = Decoder::new(&CleanseSettings::default(), Arc::new(wanted)).expect("good settings");
    let lines: [&[u8]; 4] = [
        br#"{"id":"59485235-8460-472f-a894-3b84f37ee9bb","type":"a","timestamp":"1767908945298"}"#,
        br#"{"id":"other","type":"b","timestamp":"1767908945298"}"#,
        br#"{"id":null,"type":"a","timestamp":"1767908945298"}"#,
        br#"{"type":"a","timestamp":"1767908945298"}"#,
    ];
    for _ in 0..2 {
        let batch = decoder.decode(&block(&lines));
        assert_eq!(batch.interest, [0b10_0001, 0b10_0000, 0b10_0001, 0b10_0001]);
        assert_eq!(batch.type_ids, [0, 1, 0, 0]);
        assert_eq!(batch.types, [Arc::from("a"), Arc::from("b")]);
        let other = xxhash_rust::xxh3::xxh3_128(b"other");
        assert_eq!(batch.ids, [0x5948_5235_8460_472f_a894_3b84_f37e_e9bb, other, 0, 0]);
    }
}

#[test]
fn an_event_cannot_pass_for_the_row_of_a_metric() {
    let named = |kind: &str| format!(r#"{{"type":"{kind}","timestamp":1767908945298,"data":{{}}}}"#).into_bytes();
    let batch = decode_with(&settings("{}"), &[], &[&named("metric.sla-score"), &named("metric"), &named("metrics")]);
    assert_eq!(batch.rows(), 2);
    let letter = &batch.dead[0];
    assert_eq!(letter.reason, Reason::BadEnvelope);
    assert!(letter.detail.contains("`metric.`"), "{}", letter.detail);
}

#[test]
fn schema_rules_hold_for_their_type_only() {
    let rules = settings(
        r#"{"unknown_types": "dead-letter", "schema": [{"type": "t", "required": ["data.id"],
            "types": {"data.fps": "float", "data.n": "integer"}, "ranges": {"data.fps": {"min": 0, "max": 240}}}]}"#,
    );
    let lines = [
        (event(r#"{"id":"x","fps":17.5,"n":"3"}"#), None),
        (event(r#"{"id":"","fps":null}"#), None),
        (event(r#"{"id":null}"#), Some("`data.id` is required")),
        (event(r#"{"fps":1}"#), Some("`data.id` is required")),
        (event(r#"{"id":"x","fps":"fast"}"#), Some("`data.fps` is not a number")),
        (event(r#"{"id":"x","fps":-1}"#), Some("`data.fps` is -1, below 0")),
        (event(r#"{"id":"x","fps":"241"}"#), Some("`data.fps` is 241, above 240")),
        (event(r#"{"id":"x","n":1.5}"#), Some("`data.n` is not an integer")),
        (event(r#""not JSON""#), Some("`data.id` is required")),
        (br#"{"type":"u","timestamp":1767908945298,"data":{}}"#.to_vec(), Some("event type `u` has no schema")),
    ];
    let batch = decode_with(&rules, &[], &lines.each_ref().map(|(line, _)| line.as_slice()));
    let expected: Vec<&str> = lines.iter().filter_map(|(_, detail)| *detail).collect();
    assert_eq!(batch.rows(), lines.len() - expected.len());
    for (letter, expected) in batch.dead.iter().zip(&expected) {
        assert!(letter.detail.contains(expected), "{} / {expected}", letter.detail);
        assert_eq!(letter.event_time, Some(1_767_908_945_298));
    }
    assert_eq!(batch.dead.len(), expected.len());
    assert_eq!(batch.dead.last().expect("some").reason, Reason::UnknownType);
}

#[test]
fn an_envelope_of_another_shape_is_read_by_its_paths() {
    let other = settings(
        r#"{"envelope": {"id": "meta.uuid", "type": "meta.kind", "timestamp": "meta.at", "data": "body.payload"}}"#,
    );
    let line = br#"{"meta":{"uuid":"x","kind":"k","at":"1767908945298"},"body":{"payload":"{\"v\":1}"}}"#;
    let slots = [("data.v", ColumnType::Integer), ("type", ColumnType::Text), ("timestamp", ColumnType::Integer)];
    let batch = decode_with(&other, &slots, &[line]);
    assert_eq!(integers(&batch.columns[0]), [Some(1)]);
    assert_eq!(texts(&batch.columns[1]), [Some("k")]);
    assert_eq!(batch.event_times, [1_767_908_945_298]);
}

#[test]
fn every_mistake_in_the_settings_is_reported_at_once() {
    let wrong = settings(
        r#"{"event_time": [], "min_event_time_ms": 5, "max_event_time_ms": 4, "max_ahead_of_envelope_ms": -1,
            "envelope": {"id": "a..b"},
            "schema": [{"type": "t", "required": ["nowhere.x"], "ranges": {"data.v": {"min": 2, "max": 1}}}, {"type": "t"}],
            "table": [{"name": "o", "event_keys": ["data.a"], "row_keys": [], "fields": {}}]}"#,
    );
    let errors = Decoder::new(&wrong, plan(&[("data..x", ColumnType::Text)])).err().expect("mistakes").0;
    for expected in [
        "cleanse.event_time",
        "min_event_time_ms",
        "max_ahead_of_envelope_ms",
        "cleanse.envelope.id",
        "nowhere.x",
        "range of `data.v`",
        "more than one entry",
        "exactly one of `file` and `event`",
        "`fields` is empty",
        "the same number of paths",
        "`data..x` has an empty segment",
    ] {
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected} in {errors:#?}");
    }
    let unknown = serde_json::from_str::<CleanseSettings>(r#"{"event_tme": []}"#);
    assert!(unknown.expect_err("unknown field").to_string().contains("event_tme"));
}

fn orchestrators() -> CleanseSettings {
    settings(
        r#"{"table": [{"name": "orchestrator", "event": "network_capabilities", "lower_case": true,
            "event_keys": ["data.orchestrator_info.address", "data.orchestrator_info.url"],
            "row_keys": ["local_address", "orch_uri"],
            "fields": {"address": "address", "gpu": "hardware.0.gpu_info.0.name"},
            "max_age_ms": 600000, "max_ahead_ms": 30000}]}"#,
    )
}

#[test]
fn an_event_that_carries_a_table_becomes_a_snapshot_without_its_ambiguous_keys() {
    let data = r#"[
        {"local_address":"0xAb","orch_uri":"https://b","address":"1","hardware":[{"gpu_info":{"0":{"name":"RTX"}}}]},
        {"local_address":"0xaB","orch_uri":"https://A","address":"2","hardware":null},
        {"local_address":"0xC","orch_uri":"u","address":"3"}, {"local_address":"0xc","orch_uri":"u","address":"4"},
        {"local_address":"0xD","orch_uri":"u","address":"5"}, {"local_address":"0xd","orch_uri":"u","address":"5"},
        {"orch_uri":"u","address":"6"}, {"local_address":"","orch_uri":"u","address":"7"}, 8]"#
        .replace('\n', "");
    let text = serde_json::to_string(&data).expect("serializable");
    for data in [data, text] {
        let line = format!(r#"{{"type":"network_capabilities","timestamp":"1767908945298","data":{data}}}"#);
        let batch = decode_with(&orchestrators(), &[], &[line.as_bytes()]);
        let [(_, snapshot)] = batch.snapshots.as_slice() else { panic!("one snapshot, not {:?}", batch.snapshots) };
        assert_eq!((snapshot.table, snapshot.event_time, snapshot.ambiguous), (0, 1_767_908_945_298, 1));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            *snapshot.rows,
            [
                ("0xab\u{1f}https://a".to_owned(), vec![some("2"), None]),
                ("0xab\u{1f}https://b".to_owned(), vec![some("1"), some("RTX")]),
                ("0xd\u{1f}u".to_owned(), vec![some("5"), None]),
            ]
        );
    }
}

#[test]
fn tables_come_from_files_of_every_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tables = Vec::new();
    for (name, content, more) in [
        ("a.csv", "k,v,t\nx,1,5\ny,,6\n", r#""as_of": "t""#),
        ("b.json", r#"{"t": 7, "rows": [{"k":"x","v":1}]}"#, r#""rows": "rows", "as_of": "t""#),
        ("c.ndjson", "{\"k\":\"x\",\"v\":{\"w\":1}}\n{\"k\":\"y\",\"v\":null}\n", r#""lower_case": false"#),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let table = format!(
            r#"{{"name": "{name}", "file": {path:?}, "event_keys": ["data.k"], "row_keys": ["k"], "fields": {{"v": "v"}}, {more}}}"#
        );
        tables.push(serde_json::from_str::<TableSettings>(&table).expect("settings"));
    }
    let found: Vec<_> = read_table_files(&tables)
        .expect("good files")
        .into_iter()
        .map(|snapshot| (snapshot.table, snapshot.event_time, snapshot.rows.as_ref().clone()))
        .collect();
    let row = |key: &str, value: Option<&str>| (key.to_owned(), vec![value.map(str::to_owned)]);
    assert_eq!(
        found,
        [
            (0, 5, vec![row("x", Some("1"))]),
            (0, 6, vec![row("y", None)]),
            (1, 7, vec![row("x", Some("1"))]),
            (2, i64::MIN, vec![row("x", Some(r#"{"w":1}"#)), row("y", None)]),
        ]
    );
    tables[0].as_of = Some("nowhere".to_owned());
    assert!(read_table_files(&tables).expect_err("no time").to_string().contains("nowhere"));
    tables[0].file = Some(folder.path().join("absent.csv"));
    assert!(read_table_files(&tables).expect_err("no file").to_string().contains("absent.csv"));
}

#[test]
fn captured_sessions_decode_without_loss() {
    let Some(folder) = captures() else { return };
    let slots = [
        ("data.inference_status.fps", ColumnType::Float),
        ("data.type", ColumnType::Text),
        ("data.request_id", ColumnType::Text),
        ("data.stats.track_stats.0.jitter", ColumnType::Float),
        ("data.0.latency_ms", ColumnType::Integer),
    ];
    for (file, events, statuses, request) in [
        ("session_db936fab.jsonl", 65, 17, "db936fab"),
        ("session_bd1cd871_swap.jsonl", 16, 2, "bd1cd871"),
        ("session_a06463a9_no_orchestrator.jsonl", 5, 0, "a06463a9"),
    ] {
        let content = std::fs::read(folder.join(file)).expect("a capture");
        let lines: Vec<&[u8]> = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let batch = decode_with(&orchestrators(), &slots, &lines);
        assert!(batch.dead.is_empty(), "{:?}", batch.dead);
        assert_eq!(
            (batch.rows(), batch.columns[0].len() - batch.columns[0].null_count()),
            (events, statuses),
            "{file}"
        );
        for (row, line) in lines.iter().enumerate() {
            let known: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            let time = known["data"]["timestamp"].as_i64();
            let envelope = || known["timestamp"].as_str().and_then(|text| text.parse().ok());
            assert_eq!(Some(batch.event_times[row]), time.or_else(envelope), "{file} row {row}");
            let id = known["id"].as_str().expect("an id").replace('-', "");
            assert_eq!(batch.ids[row], u128::from_str_radix(&id, 16).expect("a UUID"));
            // Not what serde_json reads: without its feature `float_roundtrip` it may be off by the last bit.
            let line = std::str::from_utf8(line).expect("UTF-8");
            let fps = line
                .split_once("\"inference_status\": {\"fps\": ")
                .map(|(_, rest)| &rest[..rest.find(',').expect(",")]);
            let fps = fps.map(|text| text.parse::<f64>().expect("a number").to_bits());
            assert_eq!(floats(&batch.columns[0])[row].map(f64::to_bits), fps);
            assert_eq!(texts(&batch.columns[1])[row], known["data"]["type"].as_str());
            assert_eq!(floats(&batch.columns[3])[row], known["data"]["stats"]["track_stats"][0]["jitter"].as_f64());
            assert_eq!(integers(&batch.columns[4])[row], known["data"][0]["latency_ms"].as_str().map(|_| 77));
            assert_eq!(&*batch.types[usize::from(batch.type_ids[row])], known["type"].as_str().expect("a type"));
            assert!(texts(&batch.columns[2])[row].is_none_or(|id| id == request));
        }
    }
}

#[test]
fn the_captured_scrape_keeps_every_orchestrator_apart() {
    let Some(folder) = captures() else { return };
    let mut table = orchestrators().table.remove(0);
    (table.event, table.file) = (None, Some(folder.join("network_capabilities_scrape.json")));
    table.rows = Some("orchestrators".to_owned());
    let snapshots = read_table_files(std::slice::from_ref(&table)).expect("a good file");
    // 53 orchestrators, one of them twice.
    assert_eq!((snapshots.len(), snapshots[0].ambiguous, snapshots[0].rows.len()), (1, 0, 52));
    // By the address alone, five keys mean more than one orchestrator.
    table.event_keys.truncate(1);
    table.row_keys.truncate(1);
    let snapshots = read_table_files(&[table]).expect("a good file");
    assert_eq!(snapshots[0].ambiguous, 5);
}

#[test]
fn what_was_added_before_stays_with_its_row() {
    let event = br#"{"type":"t","timestamp":"1767908945298"}"#;
    let mut block = block(&[event, b"rubbish", event]);
    let bytes = [&block.buffer[..], br#"{"o.address":"0x1"}{"o.address":"0x2"}"#].concat();
    let at = block.buffer.len() as u32;
    block.buffer = bytes.into();
    block.enrichments = vec![(1, at..at + 19), (2, at + 19..at + 38)];
    block.watermark = Carried::At(7);
    let batch = Decoder::new(&CleanseSettings::default(), plan(&[])).expect("good settings").decode(&block);
    assert_eq!((batch.rows(), batch.dead.len(), batch.watermark), (2, 1, Carried::At(7)));
    assert_eq!(batch.enrichments, [(1, Bytes::from_static(br#"{"o.address":"0x2"}"#))]);
}

#[test]
fn rows_of_metrics_are_events_only_where_they_are_expected() {
    let row: &[u8] = br#"{"type":"metric.m","timestamp":"7","data":{"timestamp":1767908945298,"value":0.1}}"#;
    let slots = [("data.value", ColumnType::Float)];
    let refused = decode(&slots, &[row]);
    assert_eq!((refused.rows(), refused.dead[0].reason), (0, Reason::BadEnvelope));
    let strict = CleanseSettings { unknown_types: UnknownTypes::DeadLetter, rows: true, ..CleanseSettings::default() };
    let taken = decode_with(&strict, &slots, &[row, &event("{}")]);
    assert_eq!(
        (taken.event_times.as_slice(), taken.dead.len()),
        (&[7_i64][..], 1),
        "its time is what the engine gave it"
    );
    assert_eq!(floats(&taken.columns[0]), [Some(0.1)]);
}
