//! What is kept of a window's rows for each aggregate: adding a row, merging two, finishing, and the bytes in state.
//!
//! Every accumulator but the two of floats gives the same result whatever the order of rows. Mean and deviation of
//! floats are kept by Welford's method and merged by the formula of Chan, Golub and LeVeque, step for step as the
//! shipped `jitter-coefficient` does it, so that the same rows give the same bits.

use crate::state::{Reader, read_value, write_value};
use crate::value::{Failure, Kind, MAX_TEXT, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

/// Most distinct values that one `COUNT(DISTINCT …)` keeps in a window.
pub(crate) const MAX_DISTINCT: usize = 4_096;

/// Most bytes of them.
pub(crate) const MAX_DISTINCT_BYTES: usize = 262_144;

/// A kind of accumulator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Method {
    /// How many rows.
    Rows,
    /// How many values that are not null.
    Count,
    /// The different values.
    Distinct,
    /// The sum of integers, exact.
    IntegerSum,
    /// The sum of floats, in the order of rows.
    FloatSum,
    /// Count, mean and squared distances of floats.
    Moments,
    /// The least value of this kind.
    Least(Kind),
    /// The greatest one.
    Greatest(Kind),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("rows"),
            Self::Count => f.write_str("count"),
            Self::Distinct => f.write_str("distinct values"),
            Self::IntegerSum => f.write_str("sum of integers"),
            Self::FloatSum => f.write_str("sum of floats"),
            Self::Moments => f.write_str("count, mean and squares"),
            Self::Least(kind) => write!(f, "least {kind}"),
            Self::Greatest(kind) => write!(f, "greatest {kind}"),
        }
    }
}

/// What a statement asks of an accumulator when the window ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finish {
    /// What it holds: the number, the sum, the extreme.
    Value,
    Mean,
    PopulationVariance,
    SampleVariance,
    PopulationDeviation,
    SampleDeviation,
}

/// Count, mean and sum of squared distances from the mean.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl Moments {
    /// Welford's step.
    #[inline]
    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1;
        let distance = number - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (number - self.mean);
    }

    /// Chan's step. An empty side changes nothing, not even a rounding.
    fn merge(&mut self, other: Self) {
        let (own, others) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        (self.mean, self.squares) = match (self.count, other.count) {
            (_, 0) => (self.mean, self.squares),
            (0, _) => (other.mean, other.squares),
            _ => (
                self.mean + distance * others / (own + others),
                self.squares + other.squares + distance * distance * own * others / (own + others),
            ),
        };
        self.count += other.count;
    }

    fn finish(self, finish: Finish) -> Value<'static> {
        let Self { count, mean, squares } = self;
        let (result, least) = match finish {
            Finish::Value | Finish::Mean => (mean, 1),
            Finish::PopulationVariance => (squares / count as f64, 1),
            Finish::PopulationDeviation => ((squares / count as f64).sqrt(), 1),
            Finish::SampleVariance => (squares / (count as f64 - 1.0), 2),
            Finish::SampleDeviation => ((squares / (count as f64 - 1.0)).sqrt(), 2),
        };
        if count < least { Value::Null } else { Value::float(result) }
    }
}

/// What is kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Accumulator {
    Count(u64),
    /// Encoded values, and how many bytes they are together.
    Distinct(BTreeSet<Vec<u8>>, usize),
    /// 2^64 integers of 64 bits fit into 128.
    IntegerSum(u64, i128),
    FloatSum(u64, f64),
    Moments(Moments),
    /// `true`: the greatest.
    Extreme(bool, Option<Value<'static>>),
}

impl Accumulator {
    pub(crate) fn new(method: Method) -> Self {
        match method {
            Method::Rows | Method::Count => Self::Count(0),
            Method::Distinct => Self::Distinct(BTreeSet::new(), 0),
            Method::IntegerSum => Self::IntegerSum(0, 0),
            Method::FloatSum => Self::FloatSum(0, 0.0),
            Method::Moments => Self::Moments(Moments::default()),
            Method::Least(_) => Self::Extreme(false, None),
            Method::Greatest(_) => Self::Extreme(true, None),
        }
    }

    /// Adds a value that is not null.
    pub(crate) fn add(&mut self, value: Value<'_>) -> Result<(), Failure> {
        match (self, value) {
            (Self::Count(count), _) => *count += 1,
            (Self::Distinct(values, bytes), value) => {
                let mut encoded = Vec::new();
                // Zero has two floats, but is one value.
                let value = if value == Value::Float(-0.0) { Value::Float(0.0) } else { value };
                write_value(&value, &mut encoded);
                insert(values, bytes, encoded)?;
            }
            (Self::IntegerSum(count, sum), Value::Integer(number)) => {
                *count += 1;
                *sum += i128::from(number);
            }
            (Self::FloatSum(count, sum), Value::Float(number)) => {
                *count += 1;
                *sum += number;
            }
            (Self::Moments(moments), Value::Float(number)) => moments.add(number),
            (Self::Extreme(greatest, extreme), value) => replace(*greatest, extreme, value)?,
            (accumulator, value) => return Err(Failure(format!("{value} does not belong into {accumulator:?}"))),
        }
        Ok(())
    }

    /// Adds what `other`, of a later part of the same window, holds.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Failure> {
        match (self, other) {
            (Self::Count(count), Self::Count(others)) => *count += others,
            (Self::Distinct(values, bytes), Self::Distinct(others, _)) => {
                for encoded in others {
                    insert(values, bytes, encoded)?;
                }
            }
            (Self::IntegerSum(count, sum), Self::IntegerSum(others, other)) => {
                *count += others;
                *sum += other;
            }
            (Self::FloatSum(count, sum), Self::FloatSum(others, other)) => {
                // An empty side must not turn −0 into 0.
                *sum = match (*count, others) {
                    (_, 0) => *sum,
                    (0, _) => other,
                    _ => *sum + other,
                };
                *count += others;
            }
            (Self::Moments(moments), Self::Moments(others)) => moments.merge(others),
            (Self::Extreme(greatest, extreme), Self::Extreme(_, Some(other))) => replace(*greatest, extreme, other)?,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn finish(&self, finish: Finish) -> Result<Value<'static>, Failure> {
        let beyond = |what: &dyn fmt::Display| Failure(format!("a sum of {what} is beyond 64 bits"));
        Ok(match self {
            Self::Count(count) => Value::Integer(i64::try_from(*count).map_err(|_| beyond(count))?),
            Self::Distinct(values, _) => Value::Integer(values.len() as i64),
            Self::IntegerSum(0, _) | Self::FloatSum(0, _) => Value::Null,
            Self::IntegerSum(_, sum) => Value::Integer(i64::try_from(*sum).map_err(|_| beyond(sum))?),
            Self::FloatSum(_, sum) => Value::float(*sum),
            Self::Moments(moments) => moments.finish(finish),
            Self::Extreme(_, extreme) => extreme.clone().unwrap_or(Value::Null),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Count(count) => out.extend(count.to_le_bytes()),
            Self::Distinct(values, _) => {
                out.extend((values.len() as u32).to_le_bytes());
                for value in values {
                    out.extend((value.len() as u32).to_le_bytes());
                    out.extend_from_slice(value);
                }
            }
            Self::IntegerSum(count, sum) => {
                out.extend(count.to_le_bytes());
                out.extend(sum.to_le_bytes());
            }
            Self::FloatSum(count, sum) => {
                out.extend(count.to_le_bytes());
                out.extend(sum.to_bits().to_le_bytes());
            }
            Self::Moments(Moments { count, mean, squares }) => {
                out.extend(count.to_le_bytes());
                out.extend(mean.to_bits().to_le_bytes());
                out.extend(squares.to_bits().to_le_bytes());
            }
            Self::Extreme(_, extreme) => write_value(extreme.as_ref().unwrap_or(&Value::Null), out),
        }
    }

    /// What [`Self::write`] wrote of an accumulator of this kind; `None` where it is not that.
    pub(crate) fn read(method: Method, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match method {
            Method::Rows | Method::Count => Self::Count(reader.number()?),
            Method::Distinct => {
                let count = u32::from_le_bytes(reader.fixed()?);
                let (mut values, mut bytes) = (BTreeSet::new(), 0);
                for _ in 0..count {
                    let length = u32::from_le_bytes(reader.fixed()?) as usize;
                    let value = reader.take(length)?.to_vec();
                    bytes += value.len();
                    values.insert(value);
                }
                Self::Distinct(values, bytes)
            }
            Method::IntegerSum => Self::IntegerSum(reader.number()?, i128::from_le_bytes(reader.fixed()?)),
            Method::FloatSum => Self::FloatSum(reader.number()?, f64::from_bits(reader.number()?)),
            Method::Moments => {
                let (count, mean, squares) = (reader.number()?, reader.number()?, reader.number()?);
                Self::Moments(Moments { count, mean: f64::from_bits(mean), squares: f64::from_bits(squares) })
            }
            Method::Least(kind) | Method::Greatest(kind) => {
                let value = read_value(reader, kind)?;
                let extreme = if value.is_null() { None } else { Some(value) };
                Self::Extreme(matches!(method, Method::Greatest(_)), extreme)
            }
        })
    }
}

fn insert(values: &mut BTreeSet<Vec<u8>>, bytes: &mut usize, encoded: Vec<u8>) -> Result<(), Failure> {
    if values.contains(&encoded) {
        return Ok(());
    }
    let (count, size) = (values.len() + 1, *bytes + encoded.len());
    if count > MAX_DISTINCT || size > MAX_DISTINCT_BYTES {
        let limits = format!("COUNT(DISTINCT …) keeps at most {MAX_DISTINCT} values and {MAX_DISTINCT_BYTES} bytes");
        return Err(Failure(format!("{limits}; with this one it were {count} and {size}")));
    }
    *bytes = size;
    values.insert(encoded);
    Ok(())
}

fn replace(greatest: bool, extreme: &mut Option<Value<'static>>, value: Value<'_>) -> Result<(), Failure> {
    let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
    let better = extreme.as_ref().is_none_or(|extreme| value.total_order(extreme) == wanted);
    if let Value::Text(text) = &value
        && better
        && text.len() > MAX_TEXT
    {
        return Err(Failure(format!("MIN and MAX keep at most {MAX_TEXT} bytes of a text, not {}", text.len())));
    }
    if better {
        *extreme = Some(value.into_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One of every kind that does not depend on the order of rows.
    const EXACT: [Method; 5] = [
        Method::Count,
        Method::Distinct,
        Method::IntegerSum,
        Method::Least(Kind::Integer),
        Method::Greatest(Kind::Integer),
    ];

    fn of(method: Method, numbers: &[i64]) -> Accumulator {
        let mut accumulator = Accumulator::new(method);
        numbers.iter().for_each(|number| accumulator.add(Value::Integer(*number)).expect("it is small"));
        accumulator
    }

    proptest! {
        #[test]
        fn merging_parts_is_adding_all(numbers in prop::collection::vec(-9_i64..9, 0..40), cut in 0_usize..40) {
            let cut = cut.min(numbers.len());
            for method in EXACT {
                let mut merged = of(method, &numbers[..cut]);
                merged.merge(of(method, &numbers[cut..])).expect("it is small");
                prop_assert_eq!(&merged, &of(method, &numbers));
                let mut reversed = numbers.clone();
                reversed.reverse();
                prop_assert_eq!(&merged, &of(method, &reversed));
            }
        }

        #[test]
        fn what_is_written_is_read(floats in prop::collection::vec(any::<f64>(), 0..9), integers in prop::collection::vec(any::<i64>(), 0..9)) {
            let mut all: Vec<(Method, Accumulator)> = EXACT.map(|method| (method, of(method, &integers))).into();
            for method in [Method::FloatSum, Method::Moments, Method::Distinct, Method::Least(Kind::Float)] {
                let mut accumulator = Accumulator::new(method);
                floats.iter().for_each(|float| accumulator.add(Value::float(*float)).expect("it fits"));
                all.push((method, accumulator));
            }
            for (method, accumulator) in all {
                let (mut bytes, mut again) = (Vec::new(), Vec::new());
                accumulator.write(&mut bytes);
                let mut reader = Reader::new(&bytes);
                Accumulator::read(method, &mut reader).expect("it was written").write(&mut again);
                prop_assert!(reader.is_done());
                prop_assert_eq!(&bytes, &again);
                for end in 0..bytes.len() {
                    // Part of it is never taken for all of it.
                    let mut reader = Reader::new(&bytes[..end]);
                    prop_assert!(Accumulator::read(method, &mut reader).is_none());
                }
            }
        }
    }

    #[test]
    fn sums_pass_64_bits_on_their_way_but_not_at_their_end() {
        assert_eq!(
            of(Method::IntegerSum, &[i64::MAX, i64::MAX, i64::MIN]).finish(Finish::Value),
            Ok(Value::Integer(i64::MAX - 1))
        );
        assert!(of(Method::IntegerSum, &[i64::MAX, 1]).finish(Finish::Value).is_err());
        assert_eq!(of(Method::IntegerSum, &[]).finish(Finish::Value), Ok(Value::Null));
    }

    #[test]
    fn distinct_values_are_bounded() {
        let mut values = of(Method::Distinct, &(0..MAX_DISTINCT as i64).collect::<Vec<_>>());
        values.add(Value::Integer(7)).expect("it is there already");
        assert!(values.add(Value::Integer(-1)).is_err());
        let mut texts = Accumulator::new(Method::Distinct);
        let text = |letter: char| Value::Text(letter.to_string().repeat(100_000).into());
        ['a', 'b'].into_iter().for_each(|letter| texts.add(text(letter)).expect("two fit"));
        assert!(texts.add(text('c')).is_err());
    }

    #[test]
    fn both_zeros_are_one_value_and_every_nan_is_one() {
        let mut values = Accumulator::new(Method::Distinct);
        for float in [0.0, -0.0, f64::NAN, -f64::NAN] {
            values.add(Value::float(float)).expect("they fit");
        }
        assert_eq!(values.finish(Finish::Value), Ok(Value::Integer(2)));
    }

    #[test]
    fn deviations_need_their_rows() {
        let mut moments = Moments::default();
        assert_eq!(moments.finish(Finish::Mean), Value::Null);
        assert_eq!(moments.finish(Finish::PopulationDeviation), Value::Null);
        moments.add(3.0);
        assert_eq!(moments.finish(Finish::PopulationVariance), Value::Float(0.0));
        assert_eq!(moments.finish(Finish::SampleDeviation), Value::Null);
        moments.add(5.0);
        assert_eq!(moments.finish(Finish::Mean), Value::Float(4.0));
        assert_eq!(moments.finish(Finish::PopulationVariance), Value::Float(1.0));
        assert_eq!(moments.finish(Finish::SampleVariance), Value::Float(2.0));
    }
}
