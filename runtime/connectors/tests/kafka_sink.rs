//! The Kafka sink against a real broker: each row once for those who read committed records, whatever dies.

mod support;

use std::fs;
use support::Outside;
use support::sink::{Job, dead_letter_rows, event_rows, ids_in, metric_rows, metric_table, open, recover};
use tidemark_connectors::fail_point::disabled;
use tidemark_connectors::sink::kafka::{
    CreateTopics, DeadLettersSettings, Delivery, EventsSettings, FAIL_POINTS, KafkaSinkSettings, MetricsSettings,
};
use tidemark_engine::ids::{Epoch, Offset};
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Sink};

/// The broker of this test, or an end of it where there can be none.
macro_rules! outside {
    ($test:literal) => {
        match test_kafka::shared(concat!("kafka_sink::", $test)) {
            Some(broker) => Outside::new(broker.address()),
            None => return,
        }
    };
}

/// The sentence with which something stops.
fn stop<T>(result: Result<T, PortError>) -> String {
    match result {
        Err(PortError::Stop(message)) => message,
        Err(error) => panic!("not for good: {error}"),
        Ok(_) => panic!("it does not stop"),
    }
}

#[test]
fn each_row_arrives_once_wherever_the_process_dies() {
    let outside = outside!("each_row_arrives_once_wherever_the_process_dies");
    for point in FAIL_POINTS {
        for nth in [1, 2] {
            let topic = outside.topic("rows", 3);
            let mut job = Job::new(&outside, &topic);
            job.run(3, point, nth);
            assert_eq!(ids_in(&outside, &topic), job.ids(), "{point}, time {nth}");
            let left = fs::read_dir(job.outbox()).expect("listed").count();
            assert_eq!(left, 2, "a lock and a note are all that is left");
            // Rows of one key are in one partition, in the order of their epochs.
            let mut seen = outside.read(&topic);
            seen.sort_by_key(|seen| (seen.key.clone(), seen.partition, seen.offset));
            assert!(seen.is_sorted_by_key(|seen| (seen.key.clone(), seen.headers["row_id"].clone())));
        }
    }
}

#[test]
fn records_have_keys_values_and_headers() {
    let outside = outside!("records_have_keys_values_and_headers");
    let (events, rows, dead) = (outside.topic("events", 1), support::fresh("rows"), outside.topic("dead", 1));
    let mut job = Job::new(&outside, "unused");
    job.settings = KafkaSinkSettings {
        events: Some(EventsSettings {
            topic: events.clone(),
            key: Some("data.stream_id".to_owned()),
            watermarks: true,
        }),
        metrics: Some(MetricsSettings {
            topic: format!("{rows}.{{metric}}"),
            names: Default::default(),
            expected: Default::default(),
        }),
        dead_letters: Some(DeadLettersSettings { topic: dead.clone() }),
        create_topics: Some(CreateTopics {
            partitions: 2,
            replication: 1,
            retention_ms: Some(3_600_000),
            exact: false,
        }),
        ..job.settings
    };
    let mut sink = job.recovered().expect("recovered");
    let event = |data: &str| format!(r#"{{"type":"t","timestamp":"1767908945298","data":{data}}}"#);
    let raw = [event(r#"{"stream_id":"a"}"#), event("{}")];
    let (event_table, metric_table, dead_table) = (Table::events(), metric_table(), Table::dead_letters());
    sink.write(&event_table, &event_rows(&event_table, &raw)).expect("written");
    sink.write(&metric_table, &metric_rows(&metric_table, 1, 4..6)).expect("written");
    sink.write(&dead_table, &dead_letter_rows(&dead_table)).expect("written");
    let handle = sink.prepare(Epoch(1)).expect("prepared");
    assert!(outside.read(&events).is_empty(), "nothing is visible before the commit point");
    sink.finalise(Epoch(1), &handle).expect("finalised");
    sink.finalise(Epoch(1), &handle).expect("finalised again");

    let seen = outside.read(&events);
    let found: Vec<_> = seen.iter().map(|seen| (seen.key.as_deref(), seen.value.clone())).collect();
    assert_eq!(found, [(Some("a"), raw[0].clone()), (None, raw[1].clone())]);

    let seen = outside.read(&format!("{rows}.latency"));
    assert_eq!(seen.len(), 2);
    let first = seen.iter().find(|seen| seen.key.as_deref() == Some("key-4")).expect("a row");
    let value: serde_json::Value = serde_json::from_str(&first.value).expect("JSON");
    assert_eq!((&value["key"], &value["value"], &value["epoch"]), (&"key-4".into(), &4.0.into(), &1.into()));
    let headers: Vec<_> = first.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("digest", "d1"), ("epoch", "1"), ("metric", "latency"), ("module_version", "1.2.3")];
    assert_eq!(headers[..4], expected);
    assert_eq!(headers[4], ("row_id", "00000001-00000004"));

    let seen = outside.read(&dead);
    assert_eq!((seen[0].key.as_deref(), seen[1].key.as_deref()), (None, Some("key-1")));
    let headers =
        |at: usize| seen[at].headers.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(headers(0), ["detail=at byte 1", "epoch=1", "offset=17", "partition=input/0", "reason=broken_json"]);
    assert_eq!(
        headers(1),
        [
            "detail=unreachable",
            "digest=d1",
            "epoch=1",
            "event_time=1767908945298",
            "metric=latency",
            "reason=guest_trap",
            "window_end=1767908945299",
            "window_start=1767908945297"
        ]
    );
}

#[test]
fn who_comes_later_takes_the_place_and_the_earlier_one_stops() {
    let outside = outside!("who_comes_later_takes_the_place_and_the_earlier_one_stops");
    let topic = outside.topic("rows", 1);
    let mut job = Job::new(&outside, &topic);
    let mut zombie = job.recovered().expect("recovered");
    job.commit(&mut zombie);
    job.finalise(&mut zombie).expect("finalised");
    job.commit(&mut zombie);
    // The same job with the same state on another machine: another folder.
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::create_dir(elsewhere.path().join("outbox")).expect("made");
    for name in ["e000000000002.outbox", "published"] {
        let copy = elsewhere.path().join("outbox").join(name);
        fs::copy(job.outbox().join(name), copy).expect("copied");
    }
    let names = job.names.clone();
    let mut heir = open(&job.settings, &names, &elsewhere.path().join("outbox"), disabled()).expect("opened");
    recover(&mut heir, job.committed, job.handle.as_deref()).expect("recovered");
    let message = stop(job.finalise(&mut zombie));
    assert!(message.contains("two processes run this job"), "{message}");
    assert_eq!(ids_in(&outside, &topic), job.ids());
    job.commit(&mut heir);
    job.finalise(&mut heir).expect("finalised");
    assert_eq!(ids_in(&outside, &topic), job.ids());
    // Nor can two processes share a folder.
    let message = stop(open(&job.settings, &names, &elsewhere.path().join("outbox"), disabled()));
    assert!(message.contains("another process writes to"), "{message}");
}

#[test]
fn the_marker_says_what_is_out_even_if_the_disk_is_lost() {
    let outside = outside!("the_marker_says_what_is_out_even_if_the_disk_is_lost");
    let topic = outside.topic("rows", 1);
    let mut job = Job::new(&outside, &topic);
    let mut sink = job.recovered().expect("recovered");
    job.commit(&mut sink);
    job.finalise(&mut sink).expect("finalised");
    let (epoch, note) = outside.committed(&job.group(), &topic, 0).expect("a marker");
    assert_eq!((epoch, note.len()), (1, 32));
    // The disk is lost; the epoch is out.
    drop(sink);
    fs::remove_dir_all(job.outbox()).expect("lost");
    let mut sink = job.recovered().expect("recovered");
    // It is lost with an epoch that is not.
    job.commit(&mut sink);
    drop(sink);
    fs::remove_dir_all(job.outbox()).expect("lost");
    let mut sink = job.recovered().expect("recovered");
    assert!(sink.needs_rows(), "its rows are lost");
    assert_eq!(ids_in(&outside, &topic).len(), 20);
    // It is run again, and gives the same rows.
    job.committed = Epoch(1);
    job.commit(&mut sink);
    job.finalise(&mut sink).expect("finalised");
    assert_eq!(ids_in(&outside, &topic), job.ids());
    drop(sink);
    // A state that is older than what is out, or none, is refused, and nobody is put aside for it.
    let mut running = job.recovered().expect("recovered");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut wrong = open(&job.settings, &job.names, elsewhere.path(), disabled()).expect("opened");
    let message = stop(wrong.recover(Epoch(0), None));
    assert!(message.contains("up to epoch 2") && message.contains("another name"), "{message}");
    job.commit(&mut running);
    job.finalise(&mut running).expect("finalised");
    assert_eq!(ids_in(&outside, &topic), job.ids());
}

#[test]
fn a_forgotten_marker_needs_a_person() {
    let outside = outside!("a_forgotten_marker_needs_a_person");
    let topic = outside.topic("rows", 1);
    let mut job = Job::new(&outside, &topic);
    let mut sink = job.recovered().expect("recovered");
    job.commit(&mut sink);
    job.finalise(&mut sink).expect("finalised");
    drop(sink);
    outside.forget(&job.group());
    // With nothing on its way that is no harm.
    let mut sink = job.recovered().expect("recovered");
    job.commit(&mut sink);
    drop(sink);
    let message = stop(job.recovered());
    assert!(message.contains("epoch = 2") && message.contains("published"), "{message}");
    // The advice helps.
    fs::remove_file(job.outbox().join("published")).expect("removed");
    job.recovered().expect("recovered");
    assert_eq!(ids_in(&outside, &topic), job.ids());
}

#[test]
fn positions_of_the_source_go_with_the_rows() {
    let outside = outside!("positions_of_the_source_go_with_the_rows");
    let (topic, input) = (outside.topic("rows", 1), outside.topic("input", 2));
    let mut job = Job::new(&outside, &topic);
    let group = support::fresh("group");
    job.names.source_group = Some(group.clone());
    let mut sink = job.recovered().expect("recovered");
    // An epoch without rows moves them as well.
    for (epoch, offset) in [(1, 5), (2, 9)] {
        if epoch == 2 {
            let table = metric_table();
            sink.write(&table, &metric_rows(&table, epoch, 0..3)).expect("written");
        }
        let positions = [0, 1].map(|number| (format!("{input}/{number}"), Offset(offset as u64 + number)));
        sink.positions(&positions.into());
        let handle = sink.prepare(Epoch(epoch)).expect("prepared");
        sink.finalise(Epoch(epoch), &handle).expect("finalised");
        let committed = [0, 1].map(|partition| outside.committed(&group, &input, partition).map(|(offset, _)| offset));
        assert_eq!(committed, [Some(offset), Some(offset + 1)]);
    }
    let handle = sink.prepare(Epoch(3)).expect("prepared");
    sink.finalise(Epoch(3), &handle).expect("an epoch with nothing at all");
    assert_eq!(outside.read(&topic).len(), 3);
}

#[test]
fn what_kafka_will_not_take_is_refused_before_the_commit_point() {
    let outside = outside!("what_kafka_will_not_take_is_refused_before_the_commit_point");
    let topic = outside.topic("rows", 1);
    let job = Job::new(&outside, &topic);
    let with = |change: &dyn Fn(&mut KafkaSinkSettings)| {
        let mut settings = job.settings.clone();
        change(&mut settings);
        open(&settings, &job.names, &job.outbox(), disabled())
    };
    let message = stop(with(&|settings| settings.transaction_timeout_ms = 3_600_000));
    assert!(message.contains("transaction_timeout_ms = 3600000") && message.contains("900000"), "{message}");
    // Nor is a topic there afterwards, though this broker makes topics when it is asked for one.
    for _ in 0..2 {
        let none = || Some(DeadLettersSettings { topic: "none".to_owned() });
        let message = stop(with(&|settings| settings.dead_letters = none()));
        assert!(message.contains("no topic none") && message.contains("create_topics"), "{message}");
    }
    let message = stop(with(&|settings| settings.properties = settings.properties.clone().with("linger.ms", "x")));
    assert!(message.contains("linger.ms"), "{message}");
    let message = stop(with(&|settings| {
        settings.events = Some(EventsSettings { topic: "a".to_owned(), key: Some("?".to_owned()), watermarks: true })
    }));
    assert!(message.contains("events.key"), "{message}");
    // A record that is larger than the topic takes.
    let small = support::fresh("small");
    outside.create(&small, 1, &[("max.message.bytes", "2000")]);
    let table = Table::events();
    let settings = KafkaSinkSettings {
        events: Some(EventsSettings { topic: small.clone(), key: None, watermarks: true }),
        metrics: None,
        ..job.settings.clone()
    };
    let mut sink = open(&settings, &job.names, &job.outbox(), disabled()).expect("opened");
    recover(&mut sink, Epoch(0), None).expect("recovered");
    sink.write(&table, &event_rows(&table, &["x".repeat(3_000)])).expect("written");
    let message = stop(sink.prepare(Epoch(1)));
    assert!(
        message.contains(&format!("too large for topic {small}")) && message.contains("max.message.bytes"),
        "{message}"
    );
}

#[test]
fn an_epoch_larger_than_every_queue_arrives_whole() {
    let outside = outside!("an_epoch_larger_than_every_queue_arrives_whole");
    let topic = outside.topic("rows", 6);
    let mut job = Job { rows: 100_000, ..Job::new(&outside, &topic) };
    job.settings.properties = job.settings.properties.clone().with("queue.buffering.max.messages", "5000");
    job.run(1, "never", 1);
    assert!(ids_in(&outside, &topic) == job.ids());
}

#[test]
fn at_least_once_is_at_least_once() {
    let outside = outside!("at_least_once_is_at_least_once");
    for point in FAIL_POINTS {
        let topic = outside.topic("rows", 2);
        let mut job = Job::new(&outside, &topic);
        job.settings.delivery = Delivery::AtLeastOnce;
        job.run(3, point, 1);
        let (mut ids, expected) = (ids_in(&outside, &topic), job.ids());
        let doubled = ids.len() - expected.len();
        ids.dedup();
        assert_eq!(ids, expected);
        assert_eq!(doubled, if point == "kafka.publish.produced" { 20 } else { 0 }, "{point}");
        assert_eq!(outside.committed(&job.group(), &topic, 0).map(|(epoch, _)| epoch), Some(3));
    }
}
