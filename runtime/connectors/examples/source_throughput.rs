//! How fast sources give decoded events: a file, a Kafka topic of one partition and one of six, in turn in one run.
//!
//! ```text
//! cargo xtask setup && cargo run --release -p tidemark-connectors --example source_throughput [-- EVENTS [ROUNDS]]
//! ```
//!
//! The same generated events everywhere, decoded for two metrics by one thread. A broker of our own runs on the same
//! machine and takes a part of it: so besides the time of day the time on the processor of this process counts, all its
//! threads together.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_connectors::cleanse::CleanseSettings;
use tidemark_connectors::source::generate::{GenerateSettings, Generator};
use tidemark_connectors::source::kafka::{KafkaSource, KafkaSourceSettings, Until};
use tidemark_connectors::source::{FileSettings, ReadSettings, RecordSource, SourceKind, SourceSettings};
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::ids::Partition;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, Source, SourceStart};

/// Records of a tick, as the engine has it by default.
const TICK: usize = 16_384;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let events = arguments.next().transpose()?.unwrap_or(1_000_000);
    let rounds = arguments.next().transpose()?.unwrap_or(5);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.ndjson");
    let settings = GenerateSettings { events: Some(events), malformed_share: 0.0, ..GenerateSettings::default() };
    let mut lines = Vec::new();
    Generator::new(settings)?.write(&mut lines)?;
    std::fs::write(&path, &lines)?;
    println!("{events} events of {} bytes on average", lines.len() as u64 / events);
    let broker = test_kafka::Broker::start(&test_kafka::Settings { heap_mib: 1024, ..Default::default() })?;
    let address = broker.address();
    for (topic, partitions) in [("one", 1), ("six", 6)] {
        fill(&address, topic, partitions, &lines)?;
    }
    drop(lines);
    let decoders = |decoders| ReadSettings { decoders, ..ReadSettings::default() };
    println!("{:>28} {:>12} {:>22}", "", "events/s", "per processor second");
    for _ in 0..rounds {
        measure("file", events, Box::new(file(&path, decoders(1))))?;
        measure("Kafka, one partition", events, Box::new(kafka(&address, "one", decoders(1))?))?;
        measure("Kafka, six partitions", events, Box::new(kafka(&address, "six", decoders(1))?))?;
    }
    Ok(())
}

fn file(path: &Path, read: ReadSettings) -> RecordSource {
    let from = SourceKind::File(FileSettings { path: path.to_owned(), follow: false });
    RecordSource::new(SourceSettings { from, read }, CleanseSettings::default())
}

fn kafka(address: &str, topic: &str, read: ReadSettings) -> Result<KafkaSource, Failure> {
    let settings = KafkaSourceSettings { until: Some(Until::End), ..KafkaSourceSettings::new(address, &[topic]) };
    Ok(KafkaSource::connect(settings, read, CleanseSettings::default())?)
}

/// Takes every block as the engine does, and prints how long it took.
fn measure(name: &str, events: u64, mut source: Box<dyn Source>) -> Result<(), Failure> {
    let (begun, processor) = (Instant::now(), processor_seconds());
    let partitions = source.partitions().len();
    source.start(SourceStart {
        plan: plan(),
        block_records: TICK / partitions,
        block_bytes: 8 << 20,
        ..SourceStart::default()
    })?;
    let (mut records, mut open) = (0, vec![true; partitions]);
    while open.contains(&true) {
        for (place, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
            match source.next(Partition(place as u32), Duration::from_millis(20))? {
                Next::Block(block) => records += block.records as u64,
                Next::Pending => {}
                Next::End => *open = false,
            }
        }
    }
    assert_eq!(records, events, "every event");
    let (elapsed, processor) = (begun.elapsed().as_secs_f64(), processor_seconds() - processor);
    println!("{name:>28} {:>12.0} {:>22.0}", events as f64 / elapsed, events as f64 / processor);
    Ok(())
}

/// What two metrics want.
fn plan() -> Arc<ExtractionPlan> {
    let mut plan = ExtractionPlan::default();
    plan.slot("data.stream_id", ColumnType::Text);
    plan.slot("data.inference_status.fps", ColumnType::Float);
    plan.slot("data.request_id", ColumnType::Text);
    plan.slot("data.type", ColumnType::Text);
    plan.want(0, Some(&["ai_stream_status".to_owned()]));
    plan.want(1, Some(&["stream_trace".to_owned()]));
    Arc::new(plan)
}

/// Puts every line into a new topic, in turn over its partitions.
fn fill(address: &str, topic: &str, partitions: i32, lines: &[u8]) -> Result<(), Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("linger.ms", "50").set("queue.buffering.max.messages", "100000");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new()))?;
    let producer: BaseProducer = config.create()?;
    let records = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    for (partition, line) in (0..partitions).cycle().zip(records) {
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(line).partition(partition);
        while let Err((error, refused)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = refused;
            producer.poll(Duration::from_millis(10));
        }
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// Time that all threads of this process have had a processor.
fn processor_seconds() -> f64 {
    // Ended threads are in `stat`; its unit is a hundredth of a second everywhere that Linux runs today.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
