//! Jobs between topics of a real broker: rows are those of files, each once, whether one job runs or two.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;
use support::get;
use support::kafka::{Bench, Running, assert_alike, by_orchestrator, comparable, sorted};
use test_kafka::outside::{LONG, fresh};

const METRICS: [&str; 5] =
    ["prompt-to-first-frame", "startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"];

/// The broker of this test, or an end of it where there can be none.
macro_rules! bench {
    ($test:literal) => {
        match test_kafka::shared(concat!("kafka::", $test)) {
            Some(broker) => Bench::new(broker.address()),
            None => return,
        }
    };
}

#[test]
fn rows_from_topics_to_topics_are_those_from_files_each_once() {
    let bench = bench!("rows_from_topics_to_topics_are_those_from_files_each_once");
    let input = bench.input("10000", &[]);
    let prefix = fresh("rows");
    let file = format!("[source]\nkind = \"file\"\npath = {:?}\n[sink.console]\n", input.folder);
    let from_files = bench.run(&bench.config(&file, &METRICS), &bench.data(), None).fine();
    let expected = sorted(from_files.stdout.lines().map(comparable));
    assert!(expected.len() > 500, "{}", expected.len());

    let config = bench.config(&(bench.source(&[&input.topic]) + &bench.sink(&prefix)), &METRICS);
    let data = bench.data();
    let run = bench.run(&config, &data, None).fine();
    let found = METRICS.iter().flat_map(|metric| bench.rows(&prefix, metric));
    assert!(sorted(found) == expected, "{run:#?}");
    let dead = bench.outside.read(&format!("{prefix}.dead"));
    assert!(!dead.is_empty() && dead.iter().all(|letter| letter.headers.contains_key("reason")), "{dead:?}");
    // It has nothing to do twice.
    let again = bench.run(&config, &data, None).fine();
    assert!(again.stdout.contains("nothing new"), "{again:#?}");
    let found = METRICS.iter().flat_map(|metric| bench.rows(&prefix, metric));
    assert!(sorted(found) == expected);
}

#[test]
fn two_jobs_with_a_topic_between_give_the_rows_of_one() {
    let bench = bench!("two_jobs_with_a_topic_between_give_the_rows_of_one");
    let input = bench.input("10000", &["--late-share", "0"]);
    let by_table = by_orchestrator();
    let metrics = [&METRICS[..], &["by-orchestrator"]].concat();
    let rows = |prefix: &str| sorted(metrics.iter().flat_map(|metric| bench.rows(prefix, metric)));

    let fused = fresh("fused");
    let config = bench.source(&[&input.topic]) + &bench.sink(&fused) + &by_table;
    bench.run(&bench.config(&config, &METRICS), &bench.data(), None).fine();
    let expected = rows(&fused);
    assert!(bench.rows(&fused, "by-orchestrator").len() > 10, "the table is looked into");

    let between = fresh("cleansed");
    let config = format!(
        "[job]\nname = \"{between}\"\njobs = [\"cleanse\"]\n[epoch]\nrecords = 4000\n{}{}\
         events = {{ topic = \"{between}\", key = \"data.stream_id\" }}\n{by_table}",
        bench.source(&[&input.topic]),
        bench.bare_sink()
    );
    bench.run(&bench.config(&config, &METRICS), &bench.data(), None).fine();
    let split = fresh("split");
    let config = format!(
        "[job]\nname = \"{split}\"\njobs = [\"metrics\"]\n{}{}{by_table}",
        bench.source(&[&between]),
        bench.sink(&split)
    )
    .replace("[archive]\nenabled = false\n", "");
    bench.run(&bench.config(&config, &METRICS), &bench.data(), None).fine();
    let reasons_of = |prefix: &str| {
        let mut reasons = BTreeMap::new();
        for letter in bench.outside.read(&format!("{prefix}.dead")) {
            *reasons.entry(letter.headers.get("reason").cloned()).or_insert(0) += 1;
        }
        reasons
    };
    for metric in &metrics {
        let [one, two] = [&fused, &split].map(|prefix| bench.rows(prefix, metric).len());
        assert_eq!(one, two, "{metric}: {:?} {:?}", reasons_of(&fused), reasons_of(&split));
    }
    assert_alike(&rows(&split), &expected);
    // Events without a metric's key are that metric's dead letters here as there; nothing is late or wrong a second time.
    let dead = bench.outside.read(&format!("{split}.dead"));
    let reasons: BTreeSet<_> = dead.iter().filter_map(|letter| letter.headers.get("reason")).collect();
    assert!(reasons.iter().all(|reason| *reason == "missing_key"), "{reasons:?}");
}

#[test]
fn a_live_job_tells_its_lag_and_its_group() {
    let bench = bench!("a_live_job_tells_its_lag_and_its_group");
    let input = bench.input("2000", &[]);
    let (prefix, group) = (fresh("live"), fresh("group"));
    let config = format!(
        "[job]\nname = \"{prefix}\"\n[epoch]\ninterval_ms = 50\n{}group = \"{group}\"\n{}[http]\nlisten = \"127.0.0.1:0\"\n",
        bench.live_source(&[&input.topic]),
        bench.sink(&prefix)
    );
    let mut running = Running::start(&bench.config(&config, &["jitter-coefficient"]), &bench.data());
    let address = running.until("serving")["address"].as_str().expect("an address").to_owned();
    running.until("running");
    let deadline = Instant::now() + LONG;
    let caught_up = |metrics: &str| {
        let lag = |line: &&str| line.starts_with("tidemark_source_lag{") && line.ends_with(" 0");
        metrics.lines().filter(lag).count() == 2 && !metrics.contains("tidemark_kafka_published_epoch 0\n")
    };
    while !caught_up(&get(&address, "/metrics")) {
        assert!(Instant::now() < deadline, "{}", get(&address, "/metrics"));
    }
    let metrics = get(&address, "/metrics");
    for expected in
        ["tidemark_kafka_connected{connector=\"source\"} 1", "tidemark_kafka_connected{connector=\"sink\"} 1"]
    {
        assert!(metrics.contains(expected), "{metrics}");
    }
    // The offsets are committed together with the rows.
    let end = fs::read_to_string(input.folder.join("0.ndjson")).expect("readable").lines().count() as i64;
    let committed = || bench.outside.committed(&group, &input.topic, 0).map(|(offset, _)| offset);
    while committed() != Some(end) {
        assert!(Instant::now() < deadline, "{:?} of {end}", committed());
    }
    running.signal(libc::SIGTERM);
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_cannot_work_is_refused_with_advice() {
    let bench = bench!("what_cannot_work_is_refused_with_advice");
    let input = bench.input("100", &[]);
    let stopped = |config: &str, words: &[&str]| {
        let run = bench.run(&bench.config(config, &["jitter-coefficient"]), &bench.data(), None);
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(words.iter().all(|word| run.stderr.contains(word)), "{run:#?}");
    };
    let sink = bench.sink(&fresh("refused"));
    stopped(&(bench.source(&["nowhere"]) + &sink), &["there is no topic nowhere", "create it"]);
    let source = bench.source(&[&input.topic]);
    stopped(&format!("{source}{sink}transaction_timeout_ms = 3_600_000\n"), &["transaction.max.timeout.ms = 900000"]);
    let no_topics = sink.replace("create_topics = { partitions = 3, replication = 1 }\n", "");
    stopped(&(source.clone() + &no_topics), &["there is no topic", "create_topics"]);
    // Nobody there: it is tried again for as long as it is told to.
    let nobody = source.replace(&bench.outside.address, "127.0.0.1:1");
    stopped(&format!("[job]\npatience_s = 0\n{nobody}{sink}"), &["127.0.0.1:1", "job.patience_s"]);
    // A data folder that is lost altogether: what is published is not published again, nor is anything passed over.
    let prefix = fresh("lost");
    let config =
        bench.config(&format!("[job]\nname = \"{prefix}\"\n{source}{}", bench.sink(&prefix)), &["jitter-coefficient"]);
    bench.run(&config, &bench.data(), None).fine();
    let rows = bench.rows(&prefix, "jitter-coefficient");
    let run = bench.run(&config, &bench.data(), None);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("another name"), "{run:#?}");
    assert_eq!(bench.rows(&prefix, "jitter-coefficient"), rows);
}
