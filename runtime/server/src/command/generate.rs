//! `tidemark generate`.

use crate::exit::Failure;
use crate::progress::grouped;
use clap::Args;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tidemark_connectors::source::generate::{GenerateSettings, Generator, Truth};

/// `tidemark generate`. Shares are between 0 and 0.9.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// Lines to make.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub events: u64,
    /// Streams at the same time.
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Decides everything that is random.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
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
        GenerateSettings {
            events: Some(self.events),
            streams: self.streams.unwrap_or(default.streams),
            seed: self.seed.unwrap_or(default.seed),
            rate_per_second: self.rate.or(default.rate_per_second),
            start_ms: self.start_ms.unwrap_or(default.start_ms),
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
    match &arguments.out {
        Some(file) => write_file(&mut generator, file)?,
        None => match generator.write(&mut io::stdout().lock()) {
            // Who reads the events has enough, as `head` does.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        },
    }
    tell(generator.truth());
    Ok(())
}

fn write_file(generator: &mut Generator, file: &Path) -> Result<(), Failure> {
    let told = |error: io::Error| Failure::failed(format!("cannot write {}: {error}", file.display()));
    let mut out = BufWriter::new(File::create(file).map_err(told)?);
    generator.write(&mut out).and_then(|()| out.flush()).map_err(told)
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
