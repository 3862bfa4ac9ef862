//! The value of an accumulator in state: a small header before the metric's opaque bytes.

use crate::ports::PortError;
use xxhash_rust::xxh3::xxh3_64;

/// A decoded accumulator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pane<'a> {
    /// End of the window in ms; for keys without window the time of the newest row.
    pub(crate) end: i64,
    /// Which module wrote the state: index into the job's module registry.
    pub(crate) module: u16,
    /// Version of the state's encoding.
    pub(crate) state_version: u32,
    /// The metric's bytes.
    pub(crate) state: &'a [u8],
}

const HEADER: usize = 8 + 2 + 4 + 4;

impl<'a> Pane<'a> {
    /// Writes the value into `out`, replacing what is there.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.module.to_le_bytes());
        out.extend_from_slice(&self.state_version.to_le_bytes());
        out.extend_from_slice(&checksum(self.state).to_le_bytes());
        out.extend_from_slice(self.state);
    }

    /// Reads a value; fails if it is not one that [`Pane::encode`] wrote.
    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, PortError> {
        let damaged = || PortError::Stop("a state value is damaged: restore the newest checkpoint".to_owned());
        let (header, state) = value.split_at_checked(HEADER).ok_or_else(damaged)?;
        let (end, rest) = header.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (module, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (sum, _) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*sum) != checksum(state) {
            return Err(damaged());
        }
        Ok(Self {
            end: i64::from_le_bytes(*end),
            module: u16::from_le_bytes(*module),
            state_version: u32::from_le_bytes(*version),
            state,
        })
    }
}

fn checksum(state: &[u8]) -> u32 {
    xxh3_64(state) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let pane = Pane { end: 60_000, module: 2, state_version: 7, state: b"abc" };
        let mut value = Vec::new();
        pane.encode(&mut value);
        assert_eq!(Pane::decode(&value).unwrap(), pane);
        *value.last_mut().unwrap() ^= 1;
        assert!(Pane::decode(&value).is_err());
        assert!(Pane::decode(&value[..5]).is_err());
    }
}
