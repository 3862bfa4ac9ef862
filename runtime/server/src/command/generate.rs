//! `tidemark generate`.

use crate::exit::Failure;
use crate::progress::grouped;
use crate::signals;
use clap::Args;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidemark_connectors::kafka::{Properties, TopicWriter};
use tidemark_connectors::source::generate::{GenerateSettings, Generator, Truth};

/// Lines without `--events` and `--live`.
const EVENTS: u64 = 1_000_000;

/// The longest line that goes to Kafka: brokers take a little more by default.
const MOST_KAFKA_BYTES: usize = 1_000_000;

/// How soon a signal is noticed while there is nothing to send.
const NAP: Duration = Duration::from_millis(200);

/// `tidemark generate`. Shares are between 0 and 0.9.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// Lines to make: a million, or no end with --live.
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
    /// Streams at the same time.
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Decides everything that is random.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Send to the brokers of this Kafka cluster, `host:port` with commas between them, instead.
    #[arg(long, value_name = "BROKERS", value_delimiter = ',', requires = "topic", conflicts_with = "out")]
    pub kafka: Vec<String>,
    /// The topic, which must be there.
    #[arg(long, value_name = "TOPIC", requires = "kafka")]
    pub topic: Option<String>,
    /// A property of librdkafka, such as security.protocol=ssl; `…_env` and `…_file` name where a secret is.
    #[arg(long, value_name = "NAME=VALUE", requires = "kafka", value_parser = parse_property)]
    pub property: Vec<(String, String)>,
    /// Make events as time goes by, with the times of now, until a signal comes.
    #[arg(long, conflicts_with = "start_ms")]
    pub live: bool,
    /// With --live: begin this long ago, and make what happened since then at once.
    #[arg(
        long,
        value_name = "N",
        requires = "live",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=100_000)
    )]
    pub backfill_minutes: u32,
    /// Events per second of event time.
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,
    /// Event time of the first session, in milliseconds since 1970.
    #[arg(long, value_name = "MS")]
    pub start_ms: Option<i64>,
    /// How far out of order events arrive, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub disorder_ms: Option<i64>,
    /// Share of events that are later than that.
    #[arg(long, value_name = "SHARE")]
    pub late_share: Option<f64>,
    /// Late events are late by this to twice this, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub late_ms: Option<i64>,
    /// Share of events that arrive twice.
    #[arg(long, value_name = "SHARE")]
    pub duplicate_share: Option<f64>,
    /// Share of events that are lost.
    #[arg(long, value_name = "SHARE")]
    pub missing_share: Option<f64>,
    /// Share of sessions whose orchestrator is swapped.
    #[arg(long, value_name = "SHARE")]
    pub swap_share: Option<f64>,
    /// Share of lines that are malformed.
    #[arg(long, value_name = "SHARE")]
    pub malformed_share: Option<f64>,
}

impl GenerateArguments {
    fn settings(&self) -> GenerateSettings {
        let default = GenerateSettings::default();
        let begin_ms = now_ms() - i64::from(self.backfill_minutes) * 60_000;
        let (events, start_ms, too_long_bytes) = (
            self.events.or((!self.live).then_some(EVENTS)),
            if self.live { begin_ms } else { default.start_ms },
            if self.kafka.is_empty() { default.too_long_bytes } else { MOST_KAFKA_BYTES / 2 },
        );
        GenerateSettings {
            events,
            too_long_bytes,
            streams: self.streams.unwrap_or(default.streams),
            seed: self.seed.unwrap_or(default.seed),
            rate_per_second: self.rate.or(default.rate_per_second),
            start_ms: self.start_ms.unwrap_or(start_ms),
            disorder_ms: self.disorder_ms.unwrap_or(default.disorder_ms),
            late_share: self.late_share.unwrap_or(default.late_share),
            late_ms: self.late_ms.unwrap_or(default.late_ms),
            duplicate_share: self.duplicate_share.unwrap_or(default.duplicate_share),
            missing_share: self.missing_share.unwrap_or(default.missing_share),
            swap_share: self.swap_share.unwrap_or(default.swap_share),
            malformed_share: self.malformed_share.unwrap_or(default.malformed_share),
            ..default
        }
    }
}

/// Writes the events, and to standard error what is in them.
pub fn execute(arguments: &GenerateArguments) -> Result<(), Failure> {
    let mut generator = Generator::new(arguments.settings()).map_err(Failure::Usage)?;
    let mut out = Out::open(arguments)?;
    // At its own pace only a generator that ends by itself, or a person, ends; on its own nothing would flush it.
    let stop = signals::flag()?;
    match pour(&mut generator, &mut out, arguments.live, &stop).and_then(|()| out.flush()) {
        // Who reads the events has enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        poured => poured.map_err(|error| Failure::failed(format!("cannot write {}: {error}", out.name())))?,
    }
    tell(generator.truth());
    Ok(())
}

/// Writes every line, each not before its time where they are `live`.
fn pour(generator: &mut Generator, out: &mut Out, live: bool, stop: &AtomicBool) -> io::Result<()> {
    let mut line = Vec::new();
    while let Some(time_ms) = generator.next_arrival(&mut line) {
        if live {
            wait_for(time_ms, out, stop)?;
        }
        if stop.load(Relaxed) {
            break;
        }
        out.write(&line)?;
        line.clear();
    }
    Ok(())
}

/// Waits until it is `time_ms`, having sent everything before.
fn wait_for(time_ms: i64, out: &mut Out, stop: &AtomicBool) -> io::Result<()> {
    if time_ms > now_ms() {
        out.flush()?;
    }
    while time_ms > now_ms() && !stop.load(Relaxed) {
        let left = Duration::from_millis((time_ms - now_ms()).unsigned_abs());
        thread::sleep(left.min(NAP));
    }
    Ok(())
}

/// Where lines go.
enum Out {
    Stdout(BufWriter<io::Stdout>),
    File(PathBuf, BufWriter<File>),
    Kafka(TopicWriter),
}

impl Out {
    fn open(arguments: &GenerateArguments) -> Result<Self, Failure> {
        if let (Some(topic), false) = (&arguments.topic, arguments.kafka.is_empty()) {
            let properties = arguments.property.iter();
            let properties =
                properties.fold(Properties::default(), |properties, (name, value)| properties.with(name, value));
            return Ok(Self::Kafka(
                TopicWriter::connect(&arguments.kafka, topic, &properties).map_err(Failure::failed)?,
            ));
        }
        match &arguments.out {
            None => Ok(Self::Stdout(BufWriter::new(io::stdout()))),
            Some(path) => Ok(Self::File(path.clone(), BufWriter::new(create(path)?))),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout(_) => "standard output".to_owned(),
            Self::File(path, _) => path.display().to_string(),
            Self::Kafka(_) => "to Kafka".to_owned(),
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(line),
            Self::File(_, out) => out.write_all(line),
            Self::Kafka(topic) => {
                let record = line.strip_suffix(b"\n").unwrap_or(line);
                topic.send(&key(record), record).map_err(io::Error::other)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(_, out) => out.flush(),
            Self::Kafka(topic) => topic.flush().map_err(io::Error::other),
        }
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// Gateways key their records by the event's id, so that a request's events are in any partition; a line without one
/// may go anywhere, too.
fn key(record: &[u8]) -> Vec<u8> {
    let event: Option<serde_json::Value> = serde_json::from_slice(record).ok();
    event.and_then(|event| Some(event.get("id")?.as_str()?.as_bytes().to_vec())).unwrap_or_default()
}

fn parse_property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must have the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

fn tell(truth: &Truth) {
    eprintln!(
        "{} lines, {} bytes: {} requests, {} duplicates, {} late, {} malformed; {} events were lost on the way",
        grouped(truth.lines),
        grouped(truth.bytes),
        grouped(truth.requests),
        grouped(truth.duplicates),
        grouped(truth.late),
        grouped(truth.malformed_lines()),
        grouped(truth.missing)
    );
}
