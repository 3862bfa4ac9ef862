//! The generator against its own truth and against the captures' proportions.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

fn generate(settings: GenerateSettings) -> (Vec<u8>, Truth) {
    let mut generator = Generator::new(settings).expect("good settings");
    let mut bytes = Vec::new();
    generator.write(&mut bytes).expect("written");
    (bytes, generator.truth().clone())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").expect("a line end").split(|&byte| byte == b'\n')
}

fn parsed(bytes: &[u8]) -> Vec<serde_json::Value> {
    lines(bytes).map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

fn clean(events: u64) -> GenerateSettings {
    GenerateSettings {
        events: Some(events),
        malformed_share: 0.0,
        republished_share: 0.0,
        ..GenerateSettings::default()
    }
}

#[test]
fn the_same_settings_make_the_same_bytes_for_ever() {
    let settings = GenerateSettings { events: Some(20_000), malformed_share: 0.01, ..GenerateSettings::default() };
    let (bytes, truth) = generate(settings.clone());
    assert_eq!((bytes.clone(), truth), generate(settings.clone()));
    let other = GenerateSettings { seed: 2, ..settings };
    assert_ne!(bytes, generate(other).0);
    // Changes only with a major version: archives and benchmarks of others rest on it.
    let digest =
        xxhash_rust::xxh3::xxh3_64(&generate(GenerateSettings { events: Some(5_000), ..Default::default() }).0);
    assert_eq!(digest, 605522431297799337);
}

#[test]
fn lines_arrive_in_order_and_soon_after_they_were_sent() {
    let settings = GenerateSettings { late_share: 0.0, ..clean(5_000) };
    let (start, disorder) = (settings.start_ms, settings.disorder_ms);
    let mut generator = Generator::new(settings).expect("good settings");
    let (mut line, mut before) = (Vec::new(), start);
    while let Some(time) = generator.next_arrival(&mut line) {
        let event: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        let sent: i64 = event["timestamp"].as_str().and_then(|text| text.parse().ok()).expect("a timestamp");
        assert!(time >= before, "{time} behind {before}");
        // A repeated event is up to five seconds later.
        assert!((sent..=sent + disorder + 5_100).contains(&time), "{time}: {event}");
        before = time;
        line.clear();
    }
}

#[test]
fn bytes_do_not_depend_on_how_they_are_taken() {
    let settings = GenerateSettings { events: Some(3_000), malformed_share: 0.01, ..GenerateSettings::default() };
    let (bytes, _) = generate(settings.clone());
    let mut read = Vec::new();
    let generator = Generator::new(settings.clone()).expect("good settings");
    generator.into_reader().read_to_end(&mut read).expect("read");
    assert!(read == bytes);
    assert!(Generator::new(settings).expect("good settings").collect::<Vec<_>>().concat() == bytes);
}

#[test]
fn proportions_are_those_of_the_network() {
    let (bytes, truth) = generate(clean(100_000));
    let per_event = bytes.len() as f64 / 100_000.0;
    assert!((600.0..660.0).contains(&per_event), "{per_event} bytes an event");
    let events = parsed(&bytes);
    let mut types = BTreeMap::<&str, f64>::new();
    for event in &events {
        *types.entry(event["type"].as_str().expect("a type")).or_default() += 1e-5;
    }
    for (kind, expected) in [
        ("ai_stream_status", 0.15..0.30),
        ("stream_ingest_metrics", 0.30..0.55),
        ("stream_trace", 0.15..0.40),
        ("create_new_payment", 0.03..0.10),
        ("discovery_results", 0.01..0.05),
        ("ai_stream_events", 0.005..0.05),
        ("network_capabilities", 0.000_01..0.001),
    ] {
        assert!(expected.contains(&types[kind]), "{kind}: {}", types[kind]);
    }
    assert_eq!(types.len(), 7);
    let fps: Vec<f64> = events.iter().filter_map(|event| event["data"]["inference_status"]["fps"].as_f64()).collect();
    let zeros = fps.iter().filter(|&&fps| fps == 0.0).count() as f64 / fps.len() as f64;
    assert!((0.05..0.4).contains(&zeros), "{zeros}");
    let mut frames: Vec<f64> = fps.into_iter().filter(|&fps| fps > 0.0).collect();
    frames.sort_by(f64::total_cmp);
    assert!((15.0..19.0).contains(&frames[frames.len() / 2]) && frames.last().is_some_and(|&most| most <= 38.0));
    assert!(truth.swaps > 0 && truth.requests > 1_000);
}

#[test]
fn the_truth_is_what_the_lines_hold() {
    let settings = GenerateSettings { duplicate_share: 0.01, missing_share: 0.01, late_share: 0.01, ..clean(50_000) };
    let (bytes, truth) = generate(settings);
    let events = parsed(&bytes);
    assert_eq!((truth.lines, truth.bytes), (50_000, bytes.len() as u64));
    let mut ids = BTreeSet::new();
    let unique: Vec<_> = events.iter().filter(|event| ids.insert(event["id"].as_str().expect("an id"))).collect();
    assert_eq!(truth.duplicates, (events.len() - unique.len()) as u64);
    let named = |name: &str| unique.iter().filter(|event| event["data"]["type"] == name).count() as u64;
    assert_eq!(truth.requests, named("gateway_receive_stream_request"));
    assert_eq!(truth.swaps, named("orchestrator_swap"));
    let frames =
        |event: &&&serde_json::Value| event["data"]["inference_status"]["fps"].as_f64().is_some_and(|fps| fps > 0.0);
    assert_eq!(truth.fps_samples, unique.iter().filter(frames).count() as u64);
    assert_eq!(truth.events.values().sum::<u64>() + truth.duplicates, 50_000);
    for share in [truth.duplicates, truth.missing, truth.late] {
        assert!((350..650).contains(&share), "{truth:?}");
    }
}

#[test]
fn only_late_events_are_behind_by_more_than_the_disorder() {
    let settings = GenerateSettings {
        late_share: 0.0,
        duplicate_share: 0.0,
        disorder_ms: 500,
        capabilities_every_ms: 60_000,
        ..clean(20_000)
    };
    let behind = |settings: GenerateSettings| {
        let (bytes, truth) = generate(settings);
        let (mut newest, mut count) = (0, 0);
        for event in parsed(&bytes) {
            let sent: i64 = event["timestamp"].as_str().expect("a text").parse().expect("a number");
            // Runners' clocks may be two seconds behind, and envelopes differ by some milliseconds.
            count += u64::from(newest - sent > 500 + 2_000 + 49);
            newest = newest.max(sent);
        }
        (count, truth.late)
    };
    assert_eq!(behind(settings.clone()), (0, 0));
    let (count, late) = behind(GenerateSettings { late_share: 0.01, ..settings });
    assert!(late > 100 && count == late, "{count} of {late}");
}

#[test]
fn a_session_tells_its_story_in_order_and_again_after_a_swap() {
    let settings = GenerateSettings {
        streams: 3,
        swap_share: 0.9,
        missing_share: 0.0,
        late_share: 0.0,
        duplicate_share: 0.0,
        disorder_ms: 0,
        ..clean(4_000)
    };
    let (bytes, _) = generate(settings);
    let mut sessions = BTreeMap::<String, Vec<(String, String)>>::new();
    for event in parsed(&bytes).iter().filter(|event| event["type"] == "stream_trace") {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let data = &event["data"];
        sessions
            .entry(text(&data["request_id"]))
            .or_default()
            .push((text(&data["type"]), text(&data["orchestrator_info"]["address"])));
    }
    let closed = |story: &&Vec<(String, String)>| story.iter().any(|(name, _)| name == "gateway_ingest_stream_closed");
    assert!(sessions.values().filter(closed).count() >= sessions.len() - 3, "all but the last of each stream end");
    let swapped = sessions.values().filter(|story| story.iter().any(|(name, _)| name == "orchestrator_swap"));
    let mut repeated = 0;
    for story in swapped {
        assert_eq!(story[0].0, "gateway_receive_stream_request");
        let first: Vec<_> = story.iter().filter(|(name, _)| name == "gateway_send_first_ingest_segment").collect();
        let swap = story.iter().find(|(name, _)| name == "orchestrator_swap").expect("filtered");
        assert_eq!(swap.1, first[0].1, "the address is the abandoned one");
        repeated += usize::from(first.len() == 2);
    }
    assert!(repeated > 10, "{repeated}");
}

#[test]
fn mistakes_are_reported_together_and_no_end_is_refused() {
    let wrong = GenerateSettings { streams: 0, late_share: 2.0, disorder_ms: -1, ..GenerateSettings::default() };
    let mistakes = Generator::new(wrong).err().expect("mistakes");
    for name in ["streams", "late_share", "disorder_ms"] {
        assert!(mistakes.contains(name), "{mistakes}");
    }
    let endless = GenerateSettings { events: None, ..GenerateSettings::default() };
    assert!(Generator::new(endless).expect("good settings").write(&mut Vec::new()).is_err());
}
