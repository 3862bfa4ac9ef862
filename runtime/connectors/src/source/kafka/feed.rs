//! One partition being read: messages of its queue become blocks.

use super::builder::{BlockBuilder, TooMuch};
use super::queue::{Message, PartitionQueue};
use super::telemetry::PartitionTelemetry;
use crate::cleanse::RawBlock;
use crate::kafka::PartitionName;
use crate::kafka::{Verdict, advice};
use crate::source::cutter::Cut;
use rdkafka::types::RDKafkaErrorCode;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_dataflow::EventTime;
use tidemark_dataflow::watermark::Mark;
use tidemark_engine::ports::PortError;

/// How soon after the last one a block that is not full may follow: records that trickle in make no blocks of one each.
const LINGER: Duration = Duration::from_millis(5);

/// How soon a block with neither records nor a watermark may follow, which only moves the position past what Kafka keeps
/// for itself.
const LINGER_EMPTY: Duration = Duration::from_secs(1);

/// How long a partition may look shorter than it was: after a change of its leader it may, for a moment.
const SHORT_FOR: Duration = Duration::from_secs(30);

/// A partition that was found, with the queue that its records come through, before anybody reads it.
pub(super) struct Opened {
    pub(super) name: PartitionName,
    pub(super) queue: PartitionQueue,
    /// Where reading goes on.
    pub(super) position: u64,
    /// Where it ends; `None`: never.
    pub(super) end: Option<u64>,
    pub(super) telemetry: Arc<PartitionTelemetry>,
}

/// A partition.
pub(super) struct KafkaFeed {
    opened: Opened,
    builder: BlockBuilder,
    /// Offsets whose records are passed over.
    passed_over: Vec<Range<u64>>,
    handed_over: Instant,
    /// Since when there is nothing more for now.
    at_the_end: Option<Instant>,
    ended: bool,
}

/// What a message leads to.
enum Outcome {
    /// Nothing yet.
    Nothing,
    /// The block is full.
    Full,
    /// The block ends before the message.
    FullBefore,
    /// The partition ends.
    End,
}

impl KafkaFeed {
    pub(super) fn new(opened: Opened, builder: BlockBuilder, passed_over: Vec<Range<u64>>) -> Self {
        let ended = opened.end.is_some_and(|end| opened.position >= end);
        Self { opened, builder, passed_over, handed_over: Instant::now(), at_the_end: None, ended }
    }

    /// What comes next; after an error, the end.
    pub(super) fn next(&mut self) -> Result<Cut, PortError> {
        let next = self.try_next();
        match &next {
            Ok(Cut::Block(_)) => self.handed_over = Instant::now(),
            Ok(Cut::Waiting) => {}
            Ok(Cut::End) | Err(_) => self.ended = true,
        }
        self.opened.telemetry.position.set(self.builder.reached() as i64);
        next
    }

    fn try_next(&mut self) -> Result<Cut, PortError> {
        if self.ended {
            return Ok(Cut::End);
        }
        // A gap may have led past more than one cut.
        if self.builder.is_at_cut() {
            return Ok(Cut::Block(self.finish()));
        }
        while self.opened.queue.fetch() {
            let outcome = self.take()?;
            if !matches!(outcome, Outcome::FullBefore) {
                self.opened.queue.pop();
            }
            match outcome {
                Outcome::Nothing => {}
                Outcome::Full | Outcome::FullBefore => return Ok(Cut::Block(self.finish())),
                Outcome::End => return self.end(),
            }
        }
        self.check_length()?;
        Ok(self.hand_over().map_or(Cut::Waiting, Cut::Block))
    }

    /// Looks at the first message of the queue.
    fn take(&mut self) -> Result<Outcome, PortError> {
        let Self { opened, builder, passed_over, at_the_end, .. } = self;
        let Some(message) = opened.queue.first() else { return Ok(Outcome::Nothing) };
        let is_end = |offset| opened.end.is_some_and(|end| offset >= end);
        let is_undone = |offset| passed_over.iter().any(|range| range.contains(&offset));
        match message {
            // Cannot be, by what librdkafka promises; a record read twice would be counted twice.
            Message::Record { offset, .. } if offset < builder.reached() => Ok(Outcome::Nothing),
            Message::Record { offset, .. } if is_end(offset) => Ok(Outcome::End),
            Message::Mark { offset, .. } if offset < builder.reached() => Ok(Outcome::Nothing),
            Message::Mark { offset, .. } if is_end(offset) => Ok(Outcome::End),
            // It is a gap, as where Kafka has removed records.
            Message::Record { offset, .. } | Message::Mark { offset, .. } if is_undone(offset) => {
                *at_the_end = None;
                Ok(match builder.ends_before(offset, 0) {
                    true => Outcome::FullBefore,
                    false if builder.reach(offset + 1) => Outcome::Full,
                    false => Outcome::Nothing,
                })
            }
            Message::Mark { offset, watermark_ms, writer } => {
                *at_the_end = None;
                if builder.ends_before(offset, 0) {
                    return Ok(Outcome::FullBefore);
                }
                let full = match writer.map(|writer| parse_mark(writer, watermark_ms)) {
                    None => builder.mark(offset, watermark_ms),
                    Some(Some(mark)) => builder.mark_by(offset, mark),
                    // Nobody of ours wrote it.
                    Some(None) => builder.reach(offset + 1),
                };
                Ok(if full {
                    Outcome::Full
                } else if is_end(offset + 1) {
                    Outcome::End
                } else {
                    Outcome::Nothing
                })
            }
            Message::Record { offset, payload, enrichment } => {
                *at_the_end = None;
                if builder.ends_before(offset, payload.len()) {
                    return Ok(Outcome::FullBefore);
                }
                let full = builder.add(offset, payload, enrichment).map_err(|too_much| too_much.stop(&opened.name))?;
                Ok(if full {
                    Outcome::Full
                } else if is_end(offset + 1) {
                    Outcome::End
                } else {
                    Outcome::Nothing
                })
            }
            Message::End { offset } => {
                *at_the_end = Some(Instant::now());
                Ok(if builder.reach(offset) {
                    Outcome::Full
                } else if is_end(offset) {
                    Outcome::End
                } else {
                    Outcome::Nothing
                })
            }
            Message::Error { code, reason } => {
                failed(&opened.name, builder.reached(), code, &reason).map(|()| Outcome::Nothing)
            }
        }
    }

    /// A full block; ends the partition if it is the last.
    fn finish(&mut self) -> RawBlock {
        let block = self.builder.finish();
        self.ended = self.opened.end.is_some_and(|end| block.end.0 >= end);
        block
    }

    /// The end of a bounded partition was reached.
    fn end(&mut self) -> Result<Cut, PortError> {
        let end = self.opened.end.unwrap_or_default();
        if self.builder.reach(end) {
            return Ok(Cut::Block(self.finish()));
        }
        if let Some(cut) = self.builder.cut() {
            return Err(shorter(&self.opened.name, end, cut));
        }
        self.ended = true;
        Ok(if self.builder.is_empty() { Cut::End } else { Cut::Block(self.builder.finish()) })
    }

    /// What a live partition has so far, if it is time: a bounded one waits until the block is full, and so does one
    /// whose block was cut before.
    fn hand_over(&mut self) -> Option<RawBlock> {
        if self.opened.end.is_some() || self.builder.cut().is_some() || self.builder.is_empty() {
            return None;
        }
        let linger = if self.builder.has_news() { LINGER } else { LINGER_EMPTY };
        (self.handed_over.elapsed() >= linger).then(|| self.builder.finish())
    }

    /// Stops where a partition has lost what an earlier run read of it.
    fn check_length(&self) -> Result<(), PortError> {
        match (self.builder.cut(), self.at_the_end) {
            (Some(cut), Some(since)) if since.elapsed() > SHORT_FOR => {
                Err(shorter(&self.opened.name, self.builder.reached(), cut))
            }
            _ => Ok(()),
        }
    }
}

/// Who a mark is of, by its header.
fn parse_mark(writer: &str, watermark_ms: i64) -> Option<Mark> {
    let mut parts = writer.split('/');
    let mut part = || parts.next();
    let (family, writer, writers) = (part()?.to_owned(), part()?.parse().ok()?, part()?.parse().ok()?);
    let idle = match (part(), part()) {
        (None, _) => false,
        (Some("idle"), None) => true,
        _ => return None,
    };
    Some(Mark { family, writer, writers, watermark: EventTime(watermark_ms), idle })
}

/// What an error of a partition means; nothing where librdkafka tries on by itself.
fn failed(name: &PartitionName, position: u64, code: RDKafkaErrorCode, reason: &str) -> Result<(), PortError> {
    let message = match code {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => gone(name, position, reason),
        _ if Verdict::of(code) == Verdict::Stop => {
            format!("source partition {name} cannot be read: {reason}; {}", advice(code))
        }
        _ => {
            tracing::debug!(partition = %name, ?code, reason, "reading failed; librdkafka tries again");
            return Ok(());
        }
    };
    Err(PortError::Stop(message))
}

/// A position that is not in the log.
pub(super) fn gone(name: &PartitionName, position: u64, reason: &str) -> String {
    format!(
        "source partition {name} has no position {position} any more ({reason}): records were removed before they were \
         read, or the topic was made anew; raise its retention, and start with an empty data folder to go on with what is \
         still there"
    )
}

fn shorter(name: &PartitionName, end: u64, cut: u64) -> PortError {
    PortError::Stop(format!(
        "source partition {name} ends at {end}, and an earlier run read it up to {cut}: it lost records, or the topic was \
         made anew; bring them back, or start with an empty data folder"
    ))
}

impl TooMuch {
    fn stop(self, name: &PartitionName) -> PortError {
        PortError::Stop(format!(
            "source partition {name} has more before {} than an earlier run read: its content has changed; start with an \
             empty data folder",
            self.cut
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_writer() {
        let mark = |writer: &str| parse_mark(writer, 7).map(|mark| (mark.family, mark.writer, mark.writers, mark.idle));
        assert_eq!(mark("events.eu/3/8"), Some(("events.eu".to_owned(), 3, 8, false)));
        assert_eq!(mark("events.eu/3/8/idle"), Some(("events.eu".to_owned(), 3, 8, true)));
        for text in ["", "events", "events/3", "events/x/8", "events/3/8/idle/", "events/3/8/", "events/3/8/busy"] {
            assert_eq!(mark(text), None, "{text}");
        }
    }
}
