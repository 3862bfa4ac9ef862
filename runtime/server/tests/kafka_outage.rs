//! What Kafka does to a running job: brokers go away and come back, topics are deleted. The job waits with bounded memory
//! and catches up exactly, or ends with a sentence that says what to do.

mod support;

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;
use support::job::metrics_folder;
use support::kafka::{Bench, Running};
use support::live;
use test_kafka::outside::{LONG, fresh};
use test_kafka::{Settings, own};

fn connected(address: &str) -> [bool; 2] {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    ["source", "sink"].map(|side| answer.contains(&format!("tidemark_kafka_connected{{connector=\"{side}\"}} 1")))
}

#[track_caller]
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + 2 * LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

#[test]
fn a_job_waits_for_its_broker_and_ends_when_its_topic_is_gone() {
    let test = "kafka_outage::a_job_waits_for_its_broker_and_ends_when_its_topic_is_gone";
    let Some(broker) = own(test, &Settings::default()) else { return };
    let bench = Bench::new(broker.address());
    let input = bench.input("4000", &["--late-share", "0"]);
    let raw = bench.outside.topic("raw", 2);
    let put = |half: usize| {
        for partition in 0..2 {
            let text = std::fs::read_to_string(input.folder.join(format!("{partition}.ndjson"))).expect("readable");
            let lines: Vec<&str> = text.lines().collect();
            let middle = lines.len() / 2;
            bench.outside.put(&raw, partition, if half == 0 { &lines[..middle] } else { &lines[middle..] });
        }
    };
    put(0);
    let prefix = fresh("outage");
    let head = format!("[job]\nname = \"{prefix}\"\n[epoch]\ninterval_ms = 50\n[http]\nlisten = \"127.0.0.1:0\"\n");
    let live = head.clone() + &bench.live_source(&[&raw]) + &bench.sink(&prefix);
    let data = bench.data();
    let mut running = Running::start(&bench.config(&live, &["jitter-coefficient"]), &data);
    let address = running.until("serving")["address"].as_str().expect("an address").to_owned();
    running.until("running");
    let topic = format!("{prefix}.jitter-coefficient");
    wait_for("rows are published", || bench.outside.read(&topic).len() >= 5);

    broker.kill();
    running.until("Kafka does not answer");
    wait_for("the source knows", || !connected(&address)[0]);
    broker.start_again().expect("it starts");
    wait_for("both know", || connected(&address)[0]);
    let before = bench.outside.read(&topic).len();
    put(1);
    wait_for("it goes on", || bench.outside.read(&topic).len() > before);
    running.signal(libc::SIGTERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");

    // The next start reads the rest, and nothing is there twice.
    let bounded = head + &bench.source(&[&raw]) + &bench.sink(&prefix);
    bench.run(&bench.config(&bounded, &["jitter-coefficient"]), &data, None).fine();
    let other = fresh("undisturbed");
    let undisturbed = bench.source(&[&raw]) + &bench.sink(&other);
    bench.run(&bench.config(&undisturbed, &["jitter-coefficient"]), &bench.data(), None).fine();
    assert_eq!(bench.rows(&prefix, "jitter-coefficient"), bench.rows(&other, "jitter-coefficient"));

    // A topic that is deleted under a running job.
    let gone = fresh("gone");
    let config = bench.live_source(&[&raw]) + &bench.sink(&gone);
    let mut running = Running::start(&bench.config(&config, &["jitter-coefficient"]), &bench.data());
    running.until("running");
    bench.outside.delete(&raw);
    let (code, log) = running.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&raw) && log.contains("is gone"), "{log}");
}

/// A metric whose rows could not be published is refused when it is deployed, and the job goes on.
fn deploys_only_what_has_a_topic(bench: &Bench, address: &str, prefix: &str) {
    let address = address.parse().expect("an address");
    let ask = |method: &str, path: &str, media: &str, body: &[u8]| {
        live::request(address, method, path, media, body).expect("an answer")
    };
    let module = std::fs::read(metrics_folder().join("swap-rate.wasm")).expect("a module");
    let (_, pushed) = ask("POST", "/api/v1/modules", "application/wasm", &module);
    let digest = pushed["digest"].as_str().expect("a digest");
    wait_for("the module is admitted", || {
        ask("GET", &format!("/api/v1/modules/{digest}"), "", b"").1["status"] == "admitted"
    });
    let deploy = |name: &str, more: Value| {
        let mut metric = json!({ "module": format!("sha256:{digest}"), "filter": { "type": ["stream_trace"] } });
        metric.as_object_mut().expect("fields").extend(more.as_object().cloned().expect("fields"));
        ask("PUT", &format!("/api/v1/metrics/{name}"), "application/json", metric.to_string().as_bytes())
    };
    let (status, answer) = deploy("missing", json!({}));
    let missing = answer["detail"].as_str().unwrap_or_default();
    assert!(status == 422 && missing.contains(&format!("there is no topic {prefix}.missing: create it")), "{answer}");
    let forbidden = format!("{prefix}.forbidden");
    bench.outside.create(&forbidden, 1, &[]);
    bench.outside.deny_writing("tide", &forbidden);
    let (status, answer) = deploy("forbidden", json!({}));
    let detail = answer["detail"].as_str().unwrap_or_default();
    assert!(status == 422 && detail.contains("may not write") && detail.contains(&forbidden), "{answer}");
    assert!(!answer.to_string().contains("open sesame"), "{answer}");
    // With its topic it is fine.
    bench.outside.create(&format!("{prefix}.missing"), 1, &[]);
    assert_eq!(deploy("missing", json!({})).0, 200);
    let (_, list) = ask("GET", "/api/v1/deployments", "", b"");
    assert_eq!(list["deployments"].as_array().map(Vec::len), Some(2), "{list}");
}

#[test]
fn a_job_that_loses_its_rights_ends_with_advice() {
    let test = "kafka_outage::a_job_that_loses_its_rights_ends_with_advice";
    let settings = Settings { user: Some(("tide".to_owned(), "open sesame".to_owned())), ..Settings::default() };
    let settings = settings
        .with("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .with("super.users", "User:ANONYMOUS");
    let Some(broker) = own(test, &settings) else { return };
    let bench = Bench::new(broker.address());
    let input = bench.input("2000", &[]);
    bench.outside.allow("tide");
    std::fs::write(bench.folder.path().join("password"), "open sesame\n").expect("written");
    let login = "\"security.protocol\" = \"SASL_PLAINTEXT\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"tide\"\n\
                 sasl.password_file = \"password\"\n";
    let prefix = fresh("rights");
    let as_user = |section: String| section.replace(&bench.outside.address, &broker.sasl_address());
    // Topics are made by who may: the user has no right on the cluster.
    bench.outside.create(&format!("{prefix}.jitter-coefficient"), 1, &[]);
    bench.outside.create(&format!("{prefix}.dead"), 1, &[]);
    let config = format!(
        "{}[source.properties]\n{login}[epoch]\ninterval_ms = 50\n{}[sink.kafka.properties]\n{login}\
         [http]\nlisten = \"127.0.0.1:0\"\n",
        as_user(bench.live_source(&[&input.topic])),
        as_user(bench.sink(&prefix)).replace("create_topics = { partitions = 3, replication = 1 }\n", "")
    );
    let mut running = Running::start(&bench.config(&config, &["jitter-coefficient"]), &bench.data());
    let address = running.until("serving")["address"].as_str().expect("an address").to_owned();
    running.until("running");
    deploys_only_what_has_a_topic(&bench, &address, &prefix);
    wait_for("rows are published", || !bench.outside.read(&format!("{prefix}.jitter-coefficient")).is_empty());
    bench.outside.forbid_topics("tide");
    let (code, log) = running.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("right to read or write the topic") && !log.contains("open sesame"), "{log}");
}
