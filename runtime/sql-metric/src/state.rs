//! The bytes of a group's state: `[encoding: u8][rows: u64]`, then each accumulator in the order of the statement, all
//! little-endian and without padding. The same state is always the same bytes.

use crate::accumulator::{Accumulator, Method};
use crate::value::{Failure, Kind, Value};

/// The version of this encoding: part of the state's version, so that another one is never taken for this.
pub(crate) const ENCODING: u8 = 1;

/// What is kept of a group.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct GroupState {
    /// Rows that `WHERE` let pass. Without one there is no group.
    pub(crate) rows: u64,
    pub(crate) accumulators: Vec<Accumulator>,
}

impl GroupState {
    pub(crate) fn new(methods: impl Iterator<Item = Method>) -> Self {
        Self { rows: 0, accumulators: methods.map(Accumulator::new).collect() }
    }

    /// Reads a state; empty bytes are a group without rows.
    pub(crate) fn read(bytes: &[u8], methods: impl Iterator<Item = Method> + Clone) -> Result<Self, Failure> {
        if bytes.is_empty() {
            return Ok(Self::new(methods));
        }
        let mut reader = Reader::new(bytes);
        let read = (|| {
            (reader.fixed::<1>()? == [ENCODING]).then_some(())?;
            let rows = reader.number()?;
            let accumulators = methods.map(|method| Accumulator::read(method, &mut reader));
            Some(Self { rows, accumulators: accumulators.collect::<Option<_>>()? })
        })();
        read.filter(|_| reader.is_done())
            .ok_or_else(|| Failure(format!("{} bytes of state are not a state of this statement", bytes.len())))
    }

    /// Appends the state; nothing where no row has passed.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.rows == 0 {
            return;
        }
        out.push(ENCODING);
        out.extend(self.rows.to_le_bytes());
        self.accumulators.iter().for_each(|accumulator| accumulator.write(out));
    }

    /// Adds what a later part of the same group holds.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Failure> {
        self.rows += other.rows;
        let mut pairs = self.accumulators.iter_mut().zip(other.accumulators);
        pairs.try_for_each(|(own, other)| own.merge(other))
    }
}

/// Takes bytes from the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_le_bytes)
    }
}

/// Appends a value: 0 for null, else 1 and the value, a text with its length before it.
pub(crate) fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    out.push(u8::from(!value.is_null()));
    match value {
        Value::Null => {}
        Value::Boolean(boolean) => out.push(u8::from(*boolean)),
        Value::Integer(integer) => out.extend(integer.to_le_bytes()),
        Value::Float(float) => out.extend(float.to_bits().to_le_bytes()),
        Value::Text(text) => {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// What [`write_value`] wrote of a value of this kind.
pub(crate) fn read_value(reader: &mut Reader<'_>, kind: Kind) -> Option<Value<'static>> {
    match reader.fixed()? {
        [0] => return Some(Value::Null),
        [1] => {}
        _ => return None,
    }
    Some(match kind {
        Kind::Boolean => Value::Boolean(match reader.fixed()? {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        Kind::Integer => Value::Integer(i64::from_le_bytes(reader.fixed()?)),
        Kind::Float => Value::Float(f64::from_bits(reader.number()?)),
        Kind::Text => {
            let length = u32::from_le_bytes(reader.fixed()?) as usize;
            Value::Text(std::str::from_utf8(reader.take(length)?).ok()?.to_owned().into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const METHODS: [Method; 5] =
        [Method::Rows, Method::Distinct, Method::Moments, Method::Least(Kind::Text), Method::IntegerSum];

    fn read(bytes: &[u8]) -> Result<GroupState, Failure> {
        GroupState::read(bytes, METHODS.into_iter())
    }

    proptest! {
        /// Whatever is read is written as it was, and nothing is taken for a state that is none.
        #[test]
        fn bytes_are_a_state_or_a_failure(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(state) = read(&bytes) {
                let mut again = Vec::new();
                state.write(&mut again);
                prop_assert!(state.rows == 0 || again.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_state_without_rows_is_no_bytes() {
        let mut bytes = Vec::new();
        read(&[]).expect("no state").write(&mut bytes);
        assert!(bytes.is_empty());
    }

    #[test]
    fn another_encoding_and_bytes_behind_the_end_are_refused() {
        let mut state = read(&[]).expect("no state");
        state.rows = 1;
        let mut bytes = Vec::new();
        state.write(&mut bytes);
        assert_eq!(read(&bytes), Ok(state));
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
        bytes[0] += 1;
        assert!(read(&bytes).is_err());
    }
}
