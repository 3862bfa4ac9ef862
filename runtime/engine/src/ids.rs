//! Names of positions and progress: newtypes, so that an offset is never taken for an epoch.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A source partition, by its place in [`crate::ports::Source::partitions`]. Places never change within a job:
    /// new partitions are added behind the known ones.
    Partition(u32)
}
number! {
    /// A record's position in its partition: grows with every record, not necessarily by one. For a file it is the
    /// byte where the record starts, after decompression.
    Offset(u64)
}
number! {
    /// A whole number of ticks, committed as one step. The first epoch of a job is 1; 0 means "nothing committed".
    Epoch(u64)
}
number! {
    /// One step of the engine. The first tick of a job is 1.
    Tick(u64)
}
number! {
    /// A stage of the job, stable over restarts: assigned when a metric of that name is first seen, then kept in state.
    StageId(u16)
}

/// A SHA-256 digest: of a module's bytes, or of a configuration's canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first 16 hexadecimal digits: what rows and logs show.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        let wrong = || format!("\"{text}\" is not a SHA-256 digest: 64 hexadecimal digits are");
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong());
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
