//! Lines that are no good, one kind for everything that can be wrong with one.

use super::event::{put_integer, put_uuid};
use super::random::Random;
use super::settings::GenerateSettings;
use tidemark_engine::dead_letter::Reason;

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Malformed {
    /// Cut off in the middle.
    Truncated,
    /// A text that is no JSON.
    Garbage,
    /// A thousand brackets.
    Deep,
    /// A byte that is not UTF-8.
    InvalidUtf8,
    /// An array.
    NotAnObject,
    /// An envelope without a type.
    NoType,
    /// No time anywhere.
    NoTime,
    /// Seconds instead of milliseconds.
    Seconds,
    /// Before 1970.
    Negative,
    /// Centuries ahead.
    FarFuture,
    /// Over a megabyte.
    TooLong,
}

/// Every kind that is as likely as the others.
const USUAL: [Malformed; 10] = [
    Malformed::Truncated,
    Malformed::Garbage,
    Malformed::Deep,
    Malformed::InvalidUtf8,
    Malformed::NotAnObject,
    Malformed::NoType,
    Malformed::NoTime,
    Malformed::Seconds,
    Malformed::Negative,
    Malformed::FarFuture,
];

impl Malformed {
    pub(crate) fn pick(random: &mut Random) -> Self {
        // Rare, or it would make up most of the bytes.
        if random.chance(0.005) { Self::TooLong } else { random.pick(&USUAL) }
    }

    /// The reason that its dead letter has.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Truncated | Self::Garbage | Self::Deep => Reason::BrokenJson,
            Self::InvalidUtf8 => Reason::InvalidUtf8,
            Self::NotAnObject | Self::NoType => Reason::BadEnvelope,
            Self::NoTime => Reason::NoEventTime,
            Self::Seconds | Self::Negative | Self::FarFuture => Reason::TimeOutOfBounds,
            Self::TooLong => Reason::TooLong,
        }
        .name()
    }

    /// Appends such a line without its end.
    pub(crate) fn write(self, now: i64, settings: &GenerateSettings, random: &mut Random, out: &mut Vec<u8>) {
        let id = random.uuid();
        let event = |time: Option<i64>, kind: &str, data: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(b"{\"id\": \"");
            put_uuid(out, id);
            out.extend_from_slice(b"\", ");
            out.extend_from_slice(kind.as_bytes());
            if let Some(time) = time {
                out.extend_from_slice(b"\"timestamp\": \"");
                put_integer(out, time);
                out.extend_from_slice(b"\", ");
            }
            out.extend_from_slice(b"\"gateway\": \"\", \"data\": ");
            out.extend_from_slice(data);
            out.push(b'}');
        };
        const TYPE: &str = "\"type\": \"stream_trace\", ";
        match self {
            Self::Truncated => {
                event(Some(now), TYPE, b"{\"request_id\": \"00000000\"", out);
                out.truncate(out.len() - random.between(1, 20) as usize);
            }
            Self::Garbage => out.extend_from_slice(b"2026-01-08T21:49:05Z ERROR gateway: broken pipe"),
            Self::Deep => event(Some(now), TYPE, &[[b'['; 1_000], [b']'; 1_000]].concat(), out),
            Self::InvalidUtf8 => event(Some(now), TYPE, b"{\"message\": \"\xff\xfe\"}", out),
            Self::NotAnObject => out.extend_from_slice(b"[\"stream_trace\", {}]"),
            Self::NoType => event(Some(now), "", b"{}", out),
            Self::NoTime => event(None, TYPE, b"{}", out),
            Self::Seconds => event(Some(now / 1_000), TYPE, b"{}", out),
            Self::Negative => event(Some(-now), TYPE, b"{}", out),
            Self::FarFuture => event(Some(now * 10), TYPE, b"{}", out),
            Self::TooLong => event(Some(now), TYPE, &vec![b' '; settings.too_long_bytes], out),
        }
    }
}
