//! Random numbers that are the same for ever: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to 1, without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from `low` to `high`, both inside.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + ((u128::from(self.bits()) * (high - low + 1) as u128) >> 64) as i64
    }

    /// About normal, with mean 0 and deviation 1: a sum of uniform numbers, which needs no function whose last bit
    /// differs between machines.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() as i64 - 1) as usize]
    }

    /// The bits of a random UUID (version 4).
    pub(crate) fn uuid(&mut self) -> u128 {
        let bits = u128::from(self.bits()) << 64 | u128::from(self.bits());
        bits & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62
    }
}
