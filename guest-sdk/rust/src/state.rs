//! What a metric remembers of a group between calls, and how it becomes bytes.
//!
//! The encoding is little-endian, without padding, tags or names, in the order of the fields:
//!
//! | type | bytes |
//! | --- | --- |
//! | `bool` | one: 0 or 1 |
//! | `u8` … `i64`, `f64` | their width; `f64` as its IEEE 754 bits |
//! | `Option<T>` | 0, or 1 and the value |
//! | `String`, `Vec<T>` | length as `u32`, then the bytes or items |
//! | `BTreeMap<K, V>` | length as `u32`, then keys and values, ascending |
//! | a struct, a pair | its fields |
//!
//! No bytes at all are the default: that is how every group begins. Bytes that don't fit the type are a soft failure
//! of their group, never a panic. Changing the fields changes the encoding: raise `state_version`.

use std::collections::BTreeMap;

/// State of a group, by `#[derive(State)]`; needs `Default`, with which every group begins.
///
/// ```
/// use tidemark_metric::State;
///
/// #[derive(State, Default, PartialEq, Debug)]
/// struct Mean {
///     count: u32,
///     mean: Option<f64>,
/// }
/// let mut bytes = Vec::new();
/// Mean { count: 2, mean: Some(1.5) }.encode(&mut bytes);
/// assert_eq!(bytes.len(), 4 + 1 + 8);
/// assert_eq!(Mean::from_bytes(&bytes).unwrap(), Mean { count: 2, mean: Some(1.5) });
/// assert_eq!(Mean::from_bytes(&[]).unwrap(), Mean::default());
/// assert!(Mean::from_bytes(&bytes[1..]).is_err());
/// ```
pub trait State: Sized {
    /// Appends the encoding.
    fn encode(&self, bytes: &mut Vec<u8>);

    /// Reads what [`State::encode`] wrote.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The state in `bytes`: the default for none, otherwise all of them are read.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed>
    where
        Self: Default,
    {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader { bytes };
        let state = Self::decode(&mut reader)?;
        if reader.bytes.is_empty() { Ok(state) } else { Err(Malformed) }
    }
}

/// The bytes are not an encoding of the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// A length. Every item takes a byte at least, so no more can follow than bytes are left.
    fn length(&mut self) -> Result<usize, Malformed> {
        let length = u32::decode(self)? as usize;
        if length > self.bytes.len() { Err(Malformed) } else { Ok(length) }
    }
}

macro_rules! number {
    ($($type:ty)*) => {
        $(impl State for $type {
            fn encode(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.array().map(Self::from_le_bytes)
            }
        })*
    };
}

number!(u8 u16 u32 u64 i8 i16 i32 i64 f64);

impl State for () {
    fn encode(&self, _bytes: &mut Vec<u8>) {}

    fn decode(_reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl State for bool {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl<T: State> State for Option<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.is_some().encode(bytes);
        if let Some(value) = self {
            value.encode(bytes);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        bool::decode(reader)?.then(|| T::decode(reader)).transpose()
    }
}

impl State for String {
    fn encode(&self, bytes: &mut Vec<u8>) {
        encode_length(self.len(), bytes);
        bytes.extend_from_slice(self.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = reader.length()?;
        std::str::from_utf8(reader.take(length)?).map(Self::from).map_err(|_| Malformed)
    }
}

impl<T: State> State for Vec<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        encode_length(self.len(), bytes);
        self.iter().for_each(|item| item.encode(bytes));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = reader.length()?;
        (0..length).map(|_| T::decode(reader)).collect()
    }
}

impl<K: State + Ord, V: State> State for BTreeMap<K, V> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        encode_length(self.len(), bytes);
        for (key, value) in self {
            key.encode(bytes);
            value.encode(bytes);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = reader.length()?;
        (0..length).map(|_| Ok((K::decode(reader)?, V::decode(reader)?))).collect()
    }
}

impl<A: State, B: State> State for (A, B) {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
        self.1.encode(bytes);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::decode(reader)?, B::decode(reader)?))
    }
}

fn encode_length(length: usize, bytes: &mut Vec<u8>) {
    u32::try_from(length).expect("the memory of a component is smaller than 4 GiB").encode(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Everything = BTreeMap<String, (Vec<Option<i64>>, bool)>;

    fn example() -> Everything {
        BTreeMap::from([("ä".to_owned(), (vec![None, Some(-7)], true)), (String::new(), (Vec::new(), false))])
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let mut bytes = Vec::new();
        example().encode(&mut bytes);
        let expected: &[&[u8]] = &[
            &[2, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0],
            &[2, 0, 0, 0, 0xc3, 0xa4],
            &[2, 0, 0, 0, 0, 1, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[1],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Everything::from_bytes(&bytes), Ok(example()));
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic_or_a_huge_allocation() {
        let mut bytes = Vec::new();
        example().encode(&mut bytes);
        for length in 1..bytes.len() {
            assert_eq!(Everything::from_bytes(&bytes[..length]), Err(Malformed), "cut to {length}");
        }
        bytes.push(0);
        assert_eq!(Everything::from_bytes(&bytes), Err(Malformed), "more than was written");
        assert_eq!(Vec::<u64>::from_bytes(&u32::MAX.to_le_bytes()), Err(Malformed));
        assert_eq!(bool::from_bytes(&[2]), Err(Malformed));
        assert_eq!(String::from_bytes(&[1, 0, 0, 0, 0xff]), Err(Malformed));
    }
}
