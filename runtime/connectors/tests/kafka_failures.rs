//! What Kafka does to those who use it: brokers die, passwords are wrong, rights are missing. Each test has a broker of
//! its own.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::sink::{Job, ids_in, recover};
use support::source::{connect, counts, lines, live, start, take};
use support::{LONG, Outside};
use test_kafka::{Settings, own};
use tidemark_connectors::source::kafka::KafkaSourceSettings;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{Next, PortError, Source};

#[test]
fn a_source_goes_on_when_its_broker_comes_back() {
    let test = "kafka_failures::a_source_goes_on_when_its_broker_comes_back";
    let Some(broker) = own(test, &Settings::default()) else { return };
    let outside = Outside::new(broker.address());
    let topic = outside.topic("back", 2);
    outside.put(&topic, 0, &lines(0..10));
    let mut source = connect(live(&outside, &[&topic]), 1).expect("connected");
    source.start(start(4)).expect("started");
    let first = take(&mut source, 10);
    broker.kill();
    let telemetry = source.telemetry();
    let deadline = Instant::now() + LONG;
    while telemetry.connected() {
        assert!(Instant::now() < deadline, "it notices");
        assert!(matches!(source.next(Partition(0), Duration::from_millis(10)), Ok(Next::Pending)));
    }
    broker.start_again().expect("it starts");
    outside.put(&topic, 0, &lines(10..15));
    outside.put(&topic, 1, &lines(0..5));
    let second = take(&mut source, 10);
    assert_eq!(second[&format!("{topic}/0")][0].start, first[&format!("{topic}/0")].last().expect("blocks").end);
    assert_eq!(counts(&second), [(format!("{topic}/0").as_str(), 5), (format!("{topic}/1").as_str(), 5)]);
    let deadline = Instant::now() + LONG;
    while !telemetry.connected() {
        assert!(Instant::now() < deadline, "it notices");
    }
    // One that cannot be reached at all is worth another try, and says which.
    broker.stop();
    match connect(live(&outside, &[&topic]), 1) {
        Err(PortError::Retry(message)) => assert!(message.contains(&outside.address), "{message}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("nobody is there"),
    }
}

#[test]
fn refused_credentials_and_missing_rights_stop_with_advice_and_without_the_secret() {
    let test = "kafka_failures::refused_credentials_and_missing_rights_stop_with_advice_and_without_the_secret";
    let settings = Settings { user: Some(("reader".to_owned(), "the right one".to_owned())), ..Settings::default() };
    let settings = settings
        .with("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .with("super.users", "User:ANONYMOUS");
    let Some(broker) = own(test, &settings) else { return };
    let outside = Outside::new(broker.address());
    let topic = outside.topic("secret", 1);
    let inside = Outside::new(broker.sasl_address());
    let with = |password_file: &std::path::Path| {
        let settings = live(&inside, &[&topic]);
        let properties = settings.properties.clone();
        let properties = properties.with("security.protocol", "SASL_PLAINTEXT").with("sasl.mechanism", "PLAIN");
        let properties = properties.with("sasl.username", "reader");
        let properties = properties.with("sasl.password_file", &password_file.display().to_string());
        KafkaSourceSettings { properties, ..settings }
    };
    for (password, expected) in [("hunter2", "check the user, the password"), ("the right one", "right to read")] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(password.as_bytes()).expect("written");
        let settings = with(file.path());
        assert!(!format!("{settings:?}").contains(password));
        let settings_of_the_source = settings.clone();
        match connect(settings, 1).map(drop) {
            Err(PortError::Stop(message)) => {
                assert!(message.contains(expected) && !message.contains(password), "{message}");
            }
            other => panic!("{other:?}"),
        }
        let mut job = Job::new(&inside, &topic);
        job.settings.properties = settings_of_the_source.properties;
        match job.recovered().map(drop) {
            Err(PortError::Stop(message)) => {
                assert!(message.contains("check the user") || message.contains("right"), "{message}");
                assert!(!message.contains(password), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Does `act` when `point` is reached for the first time.
fn once(point: &'static str, act: impl Fn() + Send + Sync + 'static) -> tidemark_connectors::fail_point::FailPoint {
    let count = AtomicUsize::new(0);
    Arc::new(move |reached| {
        if reached == point && count.fetch_add(1, Ordering::Relaxed) == 0 {
            act();
        }
    })
}

#[test]
fn an_epoch_is_published_once_though_the_broker_dies_in_the_transaction() {
    let test = "kafka_failures::an_epoch_is_published_once_though_the_broker_dies_in_the_transaction";
    let Some(broker) = own(test, &Settings::default()).map(Arc::new) else { return };
    let outside = Outside::new(broker.address());
    for point in ["kafka.publish.before", "kafka.publish.produced"] {
        let topic = outside.topic("rows", 2);
        let mut job = Job::new(&outside, &topic);
        let dying = Arc::clone(&broker);
        let mut sink = job
            .open(once(point, move || {
                dying.kill();
                let coming_back = Arc::clone(&dying);
                std::thread::spawn(move || coming_back.start_again().expect("it starts"));
            }))
            .expect("opened");
        recover(&mut sink, job.committed, None).expect("recovered");
        for _ in 0..3 {
            job.commit(&mut sink);
            let deadline = Instant::now() + 3 * LONG;
            // As the engine does it: what may go away is tried again.
            while let Err(error) = job.finalise(&mut sink) {
                assert!(matches!(error, PortError::Retry(_)) && Instant::now() < deadline, "{error}");
            }
        }
        assert_eq!(ids_in(&outside, &topic), job.ids(), "{point}");
    }
}

#[test]
fn a_transaction_that_lasts_too_long_is_published_again() {
    let test = "kafka_failures::a_transaction_that_lasts_too_long_is_published_again";
    let settings = Settings::default().with("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200");
    let Some(broker) = own(test, &settings) else { return };
    let outside = Outside::new(broker.address());
    let topic = outside.topic("rows", 2);
    let mut job = Job::new(&outside, &topic);
    job.settings.transaction_timeout_ms = 1_000;
    let (seen, probe) = (outside.clone(), topic.clone());
    let mut sink = job
        .open(once("kafka.publish.produced", move || {
            // A record behind the open transaction can be read as soon as the brokers have taken it back.
            let marker = r#"{"type":"t"}"#;
            seen.put(&probe, 0, &[marker]);
            let deadline = Instant::now() + LONG;
            while !seen.read(&probe).iter().any(|seen| seen.value == marker) {
                assert!(Instant::now() < deadline, "the brokers take it back");
            }
        }))
        .expect("opened");
    recover(&mut sink, job.committed, None).expect("recovered");
    for _ in 0..2 {
        job.commit(&mut sink);
        job.finalise(&mut sink).expect("finalised");
    }
    let rows = outside.read(&topic).into_iter().filter_map(|seen| seen.headers.get("row_id").cloned());
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    assert_eq!(rows, job.ids());
}
