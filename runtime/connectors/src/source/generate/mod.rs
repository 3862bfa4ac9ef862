//! Events as Livepeer's gateways send them, made from a seed: for demonstrations, benchmarks and tests.
//!
//! A simulation in event time. Streams come and go; each session sends what a real one sends, in the shapes and
//! proportions of the captures. On their way events are lost, repeated, delayed and mixed up as real ones are, and
//! malformed ones are slipped in. The same settings always make the same bytes, on every machine and in every release
//! of one major version; [`Truth`] says what is in them, for tests to compare with.

mod delivery;
mod event;
mod malformed;
mod network;
mod random;
mod reader;
mod session;
mod settings;
mod truth;

pub use reader::GeneratorReader;
pub(crate) use reader::Paced;
pub use settings::GenerateSettings;
pub use truth::Truth;

use delivery::Delivery;
use malformed::Malformed;
use network::Network;
use random::Random;
use session::Streams;
use std::io::{self, Write};
use std::sync::Arc;

/// How much is written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Makes events, one NDJSON line after the other.
pub struct Generator {
    settings: GenerateSettings,
    random: Random,
    network: Arc<Network>,
    streams: Streams,
    delivery: Delivery,
    /// When the last line arrived.
    arrived: i64,
    truth: Truth,
}

impl Generator {
    /// A generator at its first event.
    ///
    /// # Errors
    /// All mistakes in the settings, one a line.
    pub fn new(settings: GenerateSettings) -> Result<Self, String> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\n"));
        }
        let mut random = Random::new(settings.seed);
        let network = Arc::new(Network::new(&mut random));
        let streams = Streams::new(&settings, &network, &mut random);
        let arrived = settings.start_ms;
        let (delivery, truth) = (Delivery::default(), Truth::default());
        Ok(Self { random, network, streams, delivery, arrived, truth, settings })
    }

    /// What the lines made so far hold.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Appends the next line, with its line end. False when all are made.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> bool {
        self.next_arrival(line).is_some()
    }

    /// Appends the next line, with its line end, and says when it arrives, in milliseconds since 1970: never before the line
    /// ahead of it. `None` when all are made.
    pub fn next_arrival(&mut self, line: &mut Vec<u8>) -> Option<i64> {
        if self.settings.events.is_some_and(|events| self.truth.lines >= events) {
            return None;
        }
        let before = line.len();
        let time = if self.random.chance(self.settings.malformed_share) {
            let kind = Malformed::pick(&mut self.random);
            kind.write(self.streams.now(), &self.settings, &mut self.random, line);
            *self.truth.malformed.entry(kind.name()).or_default() += 1;
            self.streams.now()
        } else {
            self.deliver(line)
        };
        line.push(b'\n');
        self.truth.lines += 1;
        self.truth.bytes += (line.len() - before) as u64;
        // What a runner sends whose clock is slow, arrives after what it was sent behind.
        self.arrived = self.arrived.max(time);
        Some(self.arrived)
    }

    /// Writes every line that is left. Only for settings with a number of events.
    ///
    /// # Errors
    /// What `out` says, or `InvalidInput` if there would be no end.
    pub fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.settings.events.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "`events` is not set: there would be no end"));
        }
        let mut lines = Vec::with_capacity(2 * WRITE_BYTES);
        while self.next_line(&mut lines) {
            if lines.len() >= WRITE_BYTES {
                out.write_all(&lines)?;
                lines.clear();
            }
        }
        out.write_all(&lines)
    }

    /// The lines as a stream of bytes.
    #[must_use]
    pub fn into_reader(self) -> GeneratorReader {
        GeneratorReader::new(self)
    }

    /// Writes the event that arrives next, and says when.
    fn deliver(&mut self, line: &mut Vec<u8>) -> i64 {
        // Everything that is sent before the next arrival may still arrive before it.
        while self.delivery.next_arrival().is_none_or(|arrival| arrival >= self.streams.next_time()) {
            let event = self.streams.next(&self.settings, &self.network, &mut self.random);
            self.delivery.send(event, &self.settings, &mut self.random, &mut self.truth);
        }
        let arrival = self.delivery.receive(&self.settings, &mut self.random).expect("the loop above ends with one");
        self.truth.count(&arrival);
        arrival.event.write(&self.network, line);
        arrival.time
    }
}

impl Iterator for Generator {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::with_capacity(1024);
        self.next_line(&mut line).then_some(line)
    }
}

#[cfg(test)]
mod tests;
