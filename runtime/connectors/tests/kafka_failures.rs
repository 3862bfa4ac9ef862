//! What Kafka does to those who use it: brokers die, passwords are wrong, rights are missing. Each test has a broker of
//! its own.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};
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
        match connect(settings, 1).map(drop) {
            Err(PortError::Stop(message)) => {
                assert!(message.contains(expected) && !message.contains(password), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}
