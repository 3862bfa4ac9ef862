//! The Kafka source against a real broker: what is read, from where, and what the blocks are.

mod support;

use rdkafka::producer::Producer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::sink::{ADDED, Job, event_rows};
use support::source::{bounded, connect, counts, drain, ends, generated, lines, live, records, start, take};
use support::{LONG, Outside};
use tidemark_connectors::cleanse::KEPT_OF_TOO_LONG;
use tidemark_connectors::sink::kafka::{EventsSettings, KafkaSinkSettings};
use tidemark_connectors::source::kafka::{KafkaSourceSettings, Start};
use tidemark_engine::batch::{Carried, EventBatch};
use tidemark_engine::ids::{Epoch, Offset, Partition};
use tidemark_engine::output::Table;
use tidemark_engine::ports::{Next, PortError, Positions, Sink, Source, SourceStart};

/// The broker of this test, or an end of it where there can be none.
macro_rules! outside {
    ($test:literal) => {
        match test_kafka::shared(concat!("kafka_source::", $test)) {
            Some(broker) => Outside::new(broker.address()),
            None => return,
        }
    };
}

#[test]
fn every_record_of_every_partition_is_read_once_whatever_the_threads() {
    let outside = outside!("every_record_of_every_partition_is_read_once_whatever_the_threads");
    let topic = outside.topic("all", 3);
    let input: Vec<Vec<Vec<u8>>> = (0..3).map(|partition| generated(2_000 + partition, partition)).collect();
    for (partition, events) in input.iter().enumerate() {
        outside.put(&topic, partition as i32, events);
    }
    let mut first: Option<BTreeMap<String, Vec<EventBatch>>> = None;
    for decoders in [0, 1, 3] {
        let blocks = drain(bounded(&outside, &[&topic]), decoders, start(256));
        for (partition, events) in input.iter().enumerate() {
            let found = &blocks[&format!("{topic}/{partition}")];
            assert!(found[..found.len() - 1].iter().all(|block| block.records == 256));
            let kept = |event: &Vec<u8>| {
                let too_long = event.len() > 64 * 1024;
                if too_long { event[..KEPT_OF_TOO_LONG].to_vec() } else { event.clone() }
            };
            let expected: Vec<_> = (0..).zip(events.iter().map(kept)).collect();
            assert!(records(found) == expected);
        }
        let first = first.get_or_insert(blocks.clone());
        assert!(blocks.iter().all(|(name, blocks)| ends(blocks) == ends(&first[name])));
    }
}

#[test]
fn topics_are_found_by_name_and_by_pattern() {
    let outside = outside!("topics_are_found_by_name_and_by_pattern");
    let (eu, us, other) = (outside.topic("found.eu", 1), outside.topic("found.us", 12), outside.topic("other", 1));
    for topic in [&eu, &us, &other] {
        outside.put(topic, 0, &lines(0..5));
    }
    let source = connect(live(&outside, &["^found\\.(eu|us)-", &other]), 1).expect("connected");
    let mut expected = vec![format!("{eu}/0")];
    expected.extend((0..12).map(|number| format!("{us}/{number}")));
    expected.push(format!("{other}/0"));
    expected.sort_by_key(|name| {
        let (topic, number) = name.split_once('/').expect("a name");
        (topic.to_owned(), number.parse::<i32>().expect("a number"))
    });
    assert_eq!(source.partitions(), expected);
    let blocks = drain(bounded(&outside, &["^found\\.(eu|us)-"]), 1, start(10));
    assert_eq!(blocks.values().map(|blocks| records(blocks).len()).sum::<usize>(), 10);
}

#[test]
fn it_begins_where_it_is_told_to() {
    let outside = outside!("it_begins_where_it_is_told_to");
    let topic = outside.topic("begin", 2);
    outside.put(&topic, 0, &lines(0..10));
    outside.put(&topic, 1, &lines(0..20));
    let between = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() + 1;
    while std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() <= between {
        std::thread::yield_now();
    }
    outside.put(&topic, 0, &lines(10..15));
    let group = support::fresh("group");
    let from = |start: Start| KafkaSourceSettings { start, group: Some(group.clone()), ..bounded(&outside, &[&topic]) };
    let name = |number: u32| format!("{topic}/{number}");
    let sizes = |settings: KafkaSourceSettings, start: SourceStart| {
        let blocks = drain(settings, 1, start);
        [0, 1].map(|number| records(&blocks[&name(number)]).len())
    };
    assert_eq!(sizes(from(Start::Earliest), start(4)), [15, 20]);
    assert_eq!(sizes(from(Start::Latest), start(4)), [0, 0]);
    assert_eq!(sizes(from(Start::TimestampMs(between as i64)), start(4)), [5, 0]);
    assert_eq!(sizes(from(Start::Offsets([(name(0), 12)].into())), start(4)), [3, 20]);
    assert_eq!(sizes(from(Start::Committed), start(4)), [15, 20]);
    // The group is told what is committed, and the next job begins there.
    let mut source = connect(from(Start::Earliest), 1).expect("connected");
    source.committed(&Positions::from([(name(0), Offset(9))]));
    let deadline = Instant::now() + LONG;
    while outside.committed(&group, &topic, 0).is_none() && Instant::now() < deadline {}
    assert_eq!(outside.committed(&group, &topic, 0).map(|(offset, _)| offset), Some(9));
    assert_eq!(sizes(from(Start::Committed), start(4)), [6, 20]);
    // What the group has not read any more was removed.
    outside.remove_before(&topic, 0, 12);
    assert_eq!(sizes(from(Start::Committed), start(4)), [3, 20]);
    // Positions go before everything else; what has none came since, and is read whole.
    let positions = Positions::from([(name(0), Offset(14))]);
    assert_eq!(sizes(from(Start::Latest), SourceStart { positions, ..start(4) }), [1, 20]);
    let mut source = connect(from(Start::Latest), 1).expect("connected");
    source.start(start(4)).expect("started");
    assert_eq!([0, 1].map(|place| source.first_offset(Partition(place))), [Offset(15), Offset(20)]);
    let unknown = from(Start::Offsets([("nowhere/0".to_owned(), 1)].into()));
    let error = connect(unknown, 1).expect("connected").start(start(4)).expect_err("unknown").to_string();
    assert!(error.contains("nowhere/0"), "{error}");
}

#[test]
fn new_partitions_and_topics_are_read_from_their_beginning() {
    let outside = outside!("new_partitions_and_topics_are_read_from_their_beginning");
    let prefix = support::fresh("grow");
    let (topic, later) = (format!("{prefix}.a"), format!("{prefix}.b"));
    outside.create(&topic, 1, &[]);
    outside.put(&topic, 0, &lines(0..3));
    let settings = KafkaSourceSettings { start: Start::Latest, ..live(&outside, &[&format!("^{prefix}\\.")]) };
    let mut source = connect(settings, 1).expect("connected");
    source.start(start(10)).expect("started");
    outside.put(&topic, 0, &lines(3..5));
    assert_eq!(counts(&take(&mut source, 2)), [(format!("{topic}/0").as_str(), 2)]);
    outside.grow(&topic, 3);
    outside.put(&topic, 2, &lines(0..7));
    outside.create(&later, 1, &[]);
    outside.put(&later, 0, &lines(0..4));
    let blocks = take(&mut source, 11);
    assert_eq!(counts(&blocks), [(format!("{topic}/2").as_str(), 7), (format!("{later}/0").as_str(), 4)]);
    assert_eq!(source.partitions()[0], format!("{topic}/0"), "known ones keep their places");
    let telemetry = source.telemetry();
    assert!(telemetry.connected());
    let deadline = Instant::now() + LONG;
    while telemetry.partitions().iter().any(|partition| partition.lag() > 0) {
        assert!(Instant::now() < deadline, "nothing is left, so there is no lag");
    }
}

#[test]
fn blocks_that_were_cut_before_are_cut_again() {
    let outside = outside!("blocks_that_were_cut_before_are_cut_again");
    let topic = outside.topic("again", 1);
    let name = format!("{topic}/0");
    // Two runs of records, an aborted transaction between them, a marker at the end.
    outside.put(&topic, 0, &lines(0..100));
    outside.begin(&topic, 0, &lines(0..50)).abort_transaction(LONG).expect("aborted");
    outside.begin(&topic, 0, &lines(100..130)).commit_transaction(LONG).expect("committed");
    // A live run, whose blocks depend on time.
    let mut source = connect(live(&outside, &[&topic]), 1).expect("connected");
    source.start(start(40)).expect("started");
    let mut first = take(&mut source, 130).remove(&name).expect("blocks");
    // The offset behind the last marker, too: it is no record.
    let deadline = Instant::now() + LONG;
    while first.last().expect("blocks").end < Offset(182) {
        assert!(Instant::now() < deadline, "the end is known");
        if let Next::Block(block) = source.next(Partition(0), Duration::from_millis(10)).expect("read") {
            assert_eq!(block.records, 0);
            first.push(block);
        }
    }
    drop(source);
    outside.put(&topic, 0, &lines(130..140));
    for (settings, decoders) in [(live(&outside, &[&topic]), 1), (bounded(&outside, &[&topic]), 0)] {
        let cuts = BTreeMap::from([(name.clone(), ends(&first))]);
        let mut source = connect(settings, decoders).expect("connected");
        source.start(SourceStart { cuts, ..start(7) }).expect("started");
        for earlier in &first {
            let Next::Block(block) = source.next(Partition(0), LONG).expect("read") else { panic!("a block") };
            assert_eq!((block.start, block.end), (earlier.start, earlier.end));
            assert_eq!(records(&[block]), records(std::slice::from_ref(earlier)));
        }
        assert_eq!(counts(&take(&mut source, 10)), [(name.as_str(), 10)]);
    }
    // In the middle, from a position.
    let positions = Positions::from([(name.clone(), first[0].end)]);
    let rest = drain(bounded(&outside, &[&topic]), 1, SourceStart { positions, ..start(1_000) });
    assert_eq!(
        records(&rest[&name]),
        [records(&first[1..]), records(&rest[&name])[130 - first[0].records..].to_vec()].concat()
    );
}

#[test]
fn open_and_aborted_transactions_are_not_read() {
    let outside = outside!("open_and_aborted_transactions_are_not_read");
    let topic = outside.topic("open", 1);
    let name = format!("{topic}/0");
    outside.begin(&topic, 0, &lines(0..3)).abort_transaction(LONG).expect("aborted");
    outside.put(&topic, 0, &lines(3..5));
    let open = outside.begin(&topic, 0, &lines(5..8));
    outside.put(&topic, 0, &lines(8..9));
    let mut source = connect(live(&outside, &[&topic]), 1).expect("connected");
    source.start(start(10)).expect("started");
    assert_eq!(counts(&take(&mut source, 2)), [(name.as_str(), 2)]);
    // A bounded source goes to what was the end when it started, and waits for what becomes of an open transaction.
    let mut bounded_source = connect(bounded(&outside, &[&topic]), 1).expect("connected");
    bounded_source.start(start(10)).expect("started");
    open.commit_transaction(LONG).expect("committed");
    assert_eq!(counts(&take(&mut source, 4)), [(name.as_str(), 4)]);
    let mut blocks = Vec::new();
    loop {
        match bounded_source.next(Partition(0), LONG).expect("read") {
            Next::Block(block) => blocks.push(block),
            Next::Pending => {}
            Next::End => break,
        }
    }
    assert_eq!(records(&blocks).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(blocks.last().expect("blocks").end, Offset(10));
    // Nothing but markers: nothing is read, and the end is reached.
    let empty = outside.topic("aborted", 1);
    outside.begin(&empty, 0, &lines(0..3)).abort_transaction(LONG).expect("aborted");
    let blocks = drain(bounded(&outside, &[&empty]), 1, start(10));
    assert_eq!(ends(&blocks[&format!("{empty}/0")]), [Offset(4)]);
}

#[test]
fn records_of_any_size_and_none_are_rows_or_dead_letters() {
    let outside = outside!("records_of_any_size_and_none_are_rows_or_dead_letters");
    let topic = outside.topic("sizes", 1);
    let long = format!(r#"{{"type":"t","timestamp":"1767908945298","text":"{}"}}"#, "x".repeat(100_000));
    outside.put(&topic, 0, &[lines(0..1)[0].as_str(), long.as_str(), "", "rubbish", lines(1..2)[0].as_str()]);
    let blocks = drain(bounded(&outside, &[&topic]), 1, start(100)).into_values().next().expect("a partition");
    let reasons: Vec<_> = blocks[0].dead.iter().map(|letter| letter.reason.name()).collect();
    assert_eq!((blocks.len(), blocks[0].rows()), (1, 2));
    assert_eq!(reasons, ["too_long", "broken_json", "broken_json"]);
    assert!(blocks[0].raw.buffer.len() < 8_192, "only the beginning of what is too long is kept");
}

#[test]
fn what_is_not_there_stops_it_with_advice() {
    let outside = outside!("what_is_not_there_stops_it_with_advice");
    let stop = |result: Result<(), PortError>, words: &[&str]| match result {
        Err(PortError::Stop(message)) => {
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
        other => panic!("{other:?}"),
    };
    let connected = |settings| connect(settings, 1).map(drop);
    // Nor is it there afterwards, though this broker makes topics when it is asked for one.
    for _ in 0..2 {
        stop(connected(live(&outside, &["nowhere-to-be-found"])), &["nowhere-to-be-found", "create it"]);
    }
    stop(connected(bounded(&outside, &["^nowhere-"])), &["no topic matches"]);
    let unknown = live(&outside, &["a"]);
    let unknown = KafkaSourceSettings { properties: unknown.properties.clone().with("no.such.thing", "1"), ..unknown };
    stop(connected(unknown), &["no.such.thing"]);
    // A position that retention has overtaken, and one that the topic has not reached.
    let topic = outside.topic("gone", 1);
    outside.put(&topic, 0, &lines(0..10));
    outside.remove_before(&topic, 0, 5);
    for position in [3, 11] {
        let positions = Positions::from([(format!("{topic}/0"), Offset(position))]);
        let started =
            connect(live(&outside, &[&topic]), 1).expect("connected").start(SourceStart { positions, ..start(1) });
        stop(started, &[&format!("no position {position} "), "retention"]);
    }
}

#[test]
fn cleansed_events_bring_what_was_added_and_how_far_time_has_come() {
    let outside = outside!("cleansed_events_bring_what_was_added_and_how_far_time_has_come");
    let topic = outside.topic("cleansed", 2);
    let mut job = Job::new(&outside, "unused");
    let events = EventsSettings { topic: topic.clone(), key: Some("data.s".to_owned()), watermarks: true };
    job.settings = KafkaSinkSettings { events: Some(events), metrics: None, ..job.settings };
    let mut sink = job.recovered().expect("recovered");
    let table = Table::events();
    let event = |key: &str| format!(r#"{{"type":"t","timestamp":"1767908945298","data":{{"s":"{key}"}}}}"#);
    for (epoch, watermark_ms) in [(1, 1_000), (2, 2_000)] {
        sink.write(&table, &event_rows(&table, &[event("a"), event("a")])).expect("written");
        sink.watermark(watermark_ms);
        let handle = sink.prepare(Epoch(epoch)).expect("prepared");
        sink.finalise(Epoch(epoch), &handle).expect("finalised");
    }
    // Another reader sees them as records without a value.
    let marks = outside.read(&topic).into_iter().filter(|seen| seen.value.is_empty());
    assert_eq!(marks.map(|seen| seen.headers["tidemark-watermark"].clone()).collect::<Vec<_>>().len(), 4);
    let cleansed = |cleansed| KafkaSourceSettings { cleansed, ..bounded(&outside, &[&topic]) };
    let blocks = drain(cleansed(true), 1, start(1));
    let (mut added, mut rows, mut silent) = (Vec::new(), 0, 0);
    for blocks in blocks.values() {
        let said = blocks.iter().filter_map(|block| match block.watermark {
            Carried::At(watermark_ms) => Some(watermark_ms),
            _ => None,
        });
        assert_eq!(said.collect::<Vec<_>>().last(), Some(&2_000), "the last block of each partition says it");
        for block in blocks {
            assert!(block.dead.is_empty() && block.watermark != Carried::Nothing);
            rows += block.rows();
            silent += usize::from(block.rows() == 0);
            added.extend(block.enrichments.iter().map(|(row, json)| (*row, json.clone())));
        }
    }
    assert_eq!((rows, added.len()), (4, 2));
    assert!(silent > 0, "one partition has nothing but marks");
    assert!(added.iter().all(|(row, json)| *row == 0 && json == ADDED.as_bytes()), "{added:?}");
    // To a source of raw events the marks are records like others.
    let blocks = drain(cleansed(false), 1, start(10));
    let dead: usize = blocks.values().flatten().map(|block| block.dead.len()).sum();
    assert_eq!(dead, 4);
    assert!(blocks.values().flatten().all(|block| block.watermark == Carried::Nothing && block.enrichments.is_empty()));
}

#[test]
fn a_topic_that_is_deleted_stops_it() {
    let outside = outside!("a_topic_that_is_deleted_stops_it");
    let topic = outside.topic("deleted", 1);
    outside.put(&topic, 0, &lines(0..2));
    let mut source = connect(live(&outside, &[&topic]), 1).expect("connected");
    source.start(start(10)).expect("started");
    take(&mut source, 2);
    outside.delete(&topic);
    let deadline = Instant::now() + LONG;
    let error = loop {
        assert!(Instant::now() < deadline, "it notices");
        match source.next(Partition(0), Duration::from_millis(10)) {
            Ok(Next::Pending) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, PortError::Stop(message) if message.contains(&topic)), "{error}");
}
