//! A module that attacks its sandbox. Which way, the configuration says: `{"attack": "loop"}`. The attack is carried out
//! on groups whose key starts with `evil`, or as a whole where the list below says so; all other groups get honest
//! work, the mean and variance of their values (Welford), so that a test can see that their results are untouched.
//!
//! It is written against the raw interface, without the SDK, which would not let it misbehave.

#[cfg(target_arch = "wasm32")]
mod component;

/// What a module can do to its host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attack {
    /// None: only honest work.
    None,
    /// Never returns.
    Loop,
    /// Panics.
    Panic,
    /// Allocates without end.
    Allocate,
    /// Recurses without end.
    Recurse,
    /// Leaks 1 MiB in each call, whatever the groups.
    Leak,
    /// Fails softly, as an honest module does.
    Fail,
    /// Fails softly with a message of 1 MiB.
    FailAtLength,
    /// Reports a failure for a group that is not there.
    FailNobody,
    /// Returns one state too few.
    LoseState,
    /// Returns one state too many.
    ExtraState,
    /// Returns ends that decrease.
    DecreasingEnds,
    /// Returns ends behind the bytes.
    LyingEnds,
    /// Returns a state of 4 MiB.
    HugeState,
    /// Emits 200,000 rows.
    ManyRows,
    /// Emits one column too few.
    LoseColumn,
    /// Emits one column too many.
    ExtraColumn,
    /// Emits floats where integers are declared.
    WrongType,
    /// Emits a column that is one value short.
    ShortColumn,
    /// Emits a null where none is declared.
    UnexpectedNull,
    /// Emits a validity bitmap that is too long.
    LongValidity,
    /// Emits text that is not UTF-8.
    InvalidText,
    /// Emits a row for a group that is not there.
    RowForNobody,
    /// Emits rows whose groups decrease.
    RowsOutOfOrder,
    /// Emits NaNs with a payload and a sign. Not a mistake; the host makes them one NaN.
    NanPayload,
    /// Sets two million timers.
    ManyTimers,
    /// Sets a timer for a group that is not there.
    TimerForNobody,
    /// Refuses its configuration.
    RefuseConfiguration,
    /// Never returns from `configure`.
    LoopInConfigure,
    /// Emits rows from `merge`.
    EmitInMerge,
    /// Returns a state that is 64 KiB longer than the one before.
    GrowState,
    /// Sets a thousand timers at the beginning of time. Not a mistake; they are due at once.
    PastTimers,
}

/// Every attack by the name that the configuration gives it.
pub const ATTACKS: [(&str, Attack); 32] = [
    ("none", Attack::None),
    ("loop", Attack::Loop),
    ("panic", Attack::Panic),
    ("allocate", Attack::Allocate),
    ("recurse", Attack::Recurse),
    ("leak", Attack::Leak),
    ("fail", Attack::Fail),
    ("fail-at-length", Attack::FailAtLength),
    ("fail-nobody", Attack::FailNobody),
    ("lose-state", Attack::LoseState),
    ("extra-state", Attack::ExtraState),
    ("decreasing-ends", Attack::DecreasingEnds),
    ("lying-ends", Attack::LyingEnds),
    ("huge-state", Attack::HugeState),
    ("many-rows", Attack::ManyRows),
    ("lose-column", Attack::LoseColumn),
    ("extra-column", Attack::ExtraColumn),
    ("wrong-type", Attack::WrongType),
    ("short-column", Attack::ShortColumn),
    ("unexpected-null", Attack::UnexpectedNull),
    ("long-validity", Attack::LongValidity),
    ("invalid-text", Attack::InvalidText),
    ("row-for-nobody", Attack::RowForNobody),
    ("rows-out-of-order", Attack::RowsOutOfOrder),
    ("nan-payload", Attack::NanPayload),
    ("many-timers", Attack::ManyTimers),
    ("timer-for-nobody", Attack::TimerForNobody),
    ("refuse-configuration", Attack::RefuseConfiguration),
    ("loop-in-configure", Attack::LoopInConfigure),
    ("emit-in-merge", Attack::EmitInMerge),
    ("grow-state", Attack::GrowState),
    ("past-timers", Attack::PastTimers),
];

/// Number of values, their mean, and the sum of squared distances from it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Welford {
    /// Number of values. Signed, because processors turn signed integers into floats faster.
    pub count: i64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared distances from the mean.
    pub distances: f64,
}

impl Welford {
    /// Adds values.
    #[inline]
    pub fn fold(&mut self, values: &[f64]) {
        match values {
            [value] => self.add(*value),
            values => self.fold_many(values),
        }
    }

    /// A function of its own, without calls, so that the loop keeps everything in registers.
    #[inline(never)]
    fn fold_many(&mut self, values: &[f64]) {
        values.iter().for_each(|&value| self.add(value));
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.distances += before * (value - self.mean);
    }

    /// Both together (Chan et al.).
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let distance = other.mean - self.mean;
        let (left, right, all) = (self.count as f64, other.count as f64, count as f64);
        Self {
            count,
            mean: self.mean + distance * right / all,
            distances: self.distances + other.distances + distance * distance * left * right / all,
        }
    }

    /// 24 bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.mean.to_le_bytes());
        bytes[16..].copy_from_slice(&self.distances.to_le_bytes());
        bytes
    }

    /// From [`Self::to_bytes`]; nothing else is a state, and no state is a new one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(bytes) = <&[u8; 24]>::try_from(bytes) else { return Self::default() };
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self { count: word(0) as i64, mean: f64::from_bits(word(8)), distances: f64::from_bits(word(16)) }
    }
}
