//! Where the tokens of a JSON text stand: the first of two passes over a record.
//!
//! Sixty-four bytes at a time become bit masks, and masks become positions; no byte is looked at twice and nothing
//! branches on content. The method is that of simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second",
//! VLDB Journal 28, 2019, section 3). What this pass guarantees is what makes [`super::cursor`] simple: between the
//! opening quote of a string and the next token stand the string, its closing quote and white space, nothing else.
//!
//! It knows nothing of grammar: whether tokens follow each other as JSON wants is for the cursor.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

/// Bytes of one step.
const CHUNK: usize = 64;

/// Positions behind the last token: the text's length, twice, so that one look ahead of the end stays inside.
const SENTINELS: usize = 2;

/// The token positions of one text. Kept and filled again for every record, so that it allocates only while it grows.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    processor: Processor,
    /// Initialised to the greatest number of tokens seen so far; the first `count` are those of this text.
    positions: Vec<u32>,
    count: usize,
    /// Whether a backslash occurs anywhere.
    pub(crate) escapes: bool,
    /// Whether every byte is ASCII.
    pub(crate) ascii: bool,
    /// A string that does not end, or a control character in a string.
    pub(crate) fault: Option<&'static str>,
}

/// Which bytes of a chunk are what, bit `i` for byte `i`.
#[derive(Clone, Copy)]
struct Classes {
    quotes: u64,
    backslashes: u64,
    /// Space, tab, line feed, carriage return.
    blanks: u64,
    /// `{ } [ ] : ,`
    operators: u64,
    /// Below 0x20.
    controls: u64,
    /// 0x80 and above.
    high: u64,
}

/// What the processor can do, found out once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Processor {
    /// Nothing in particular.
    Any,
    /// 32 bytes an instruction: AVX2, PCLMULQDQ, BMI1, BMI2, POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 64 bytes an instruction: those of `Avx2`, AVX-512 F, BW and VBMI2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Default for Processor {
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("pclmulqdq")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("popcnt");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi2");
            match (avx2, avx512) {
                (true, true) => return Self::Avx512,
                (true, false) => return Self::Avx2,
                (false, _) => {}
            }
        }
        Self::Any
    }
}

impl Structure {
    /// Finds the tokens of `text`, which must be shorter than 4 GiB.
    pub(crate) fn read(&mut self, text: &[u8]) {
        let needed = text.len() + CHUNK + SENTINELS;
        if self.positions.len() < needed {
            self.positions.resize(needed, 0);
        }
        match self.processor {
            Processor::Any => self.read_with(text, portable::classify, prefix_xor, flatten),
            // SAFETY: `Processor` has these values only where the processor has every feature that they name.
            #[cfg(target_arch = "x86_64")]
            Processor::Avx2 => unsafe { avx2::read(self, text) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Processor::Avx512 => unsafe { avx512::read(self, text) },
        }
    }

    /// Positions of the tokens in ascending order, then the text's length, twice.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions[..self.count + SENTINELS]
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        text: &[u8],
        classify: impl Fn(&[u8; CHUNK]) -> Classes,
        prefix_xor: impl Fn(u64) -> u64,
        flatten: impl Fn(u64, u32, &mut [u32; CHUNK]) -> usize,
    ) {
        let mut scan = Scan::default();
        let mut count = 0;
        let (chunks, rest) = text.as_chunks::<CHUNK>();
        let mut base = 0;
        for chunk in chunks {
            count += flatten(scan.tokens(classify(chunk), &prefix_xor), base, slots(&mut self.positions, count));
            base += CHUNK as u32;
        }
        if !rest.is_empty() {
            let mut padded = [b' '; CHUNK];
            padded[..rest.len()].copy_from_slice(rest);
            count += flatten(scan.tokens(classify(&padded), &prefix_xor), base, slots(&mut self.positions, count));
        }
        self.positions[count..count + SENTINELS].fill(text.len() as u32);
        self.count = count;
        self.escapes = scan.backslashes != 0;
        self.ascii = scan.high == 0;
        self.fault = if scan.controls_in_strings != 0 {
            Some("control character in a string")
        } else if scan.in_string != 0 {
            Some("string without end")
        } else {
            None
        };
    }
}

/// What one chunk hands to the next.
#[derive(Default)]
struct Scan {
    /// 1 if the first byte of the next chunk is escaped.
    escaped: u64,
    /// All ones inside a string, else 0.
    in_string: u64,
    /// 1 if the last byte belonged to a number or a literal.
    in_scalar: u64,
    backslashes: u64,
    high: u64,
    controls_in_strings: u64,
}

impl Scan {
    /// The bytes of a chunk at which tokens start.
    #[inline(always)]
    fn tokens(&mut self, classes: Classes, prefix_xor: &impl Fn(u64) -> u64) -> u64 {
        self.backslashes |= classes.backslashes;
        self.high |= classes.high;
        let quotes = classes.quotes & !self.escaped_bytes(classes.backslashes);
        // An opening quote and the string behind it, without the closing quote.
        let strings = prefix_xor(quotes) ^ self.in_string;
        self.in_string = ((strings as i64) >> 63) as u64;
        self.controls_in_strings |= classes.controls & strings;
        let scalars = !(classes.operators | classes.blanks);
        let unquoted = scalars & !quotes;
        let continued = unquoted << 1 | self.in_scalar;
        self.in_scalar = unquoted >> 63;
        (classes.operators | scalars & !continued) & !(strings ^ quotes)
    }

    /// Bytes behind an odd number of backslashes.
    #[inline(always)]
    fn escaped_bytes(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        let backslashes = backslashes & !self.escaped;
        let follows = backslashes << 1 | self.escaped;
        let odd_starts = backslashes & !EVEN & !follows;
        let (ends, overflow) = odd_starts.overflowing_add(backslashes);
        self.escaped = u64::from(overflow);
        (EVEN ^ ends << 1) & follows
    }
}

#[inline(always)]
fn slots(positions: &mut [u32], count: usize) -> &mut [u32; CHUNK] {
    positions[count..].first_chunk_mut().expect("room for a chunk of tokens behind every token: see `read`")
}

/// Writes the positions of the set bits and returns their number. Slots behind them get arbitrary values: eight writes
/// without a branch are cheaper than one branch each.
#[inline(always)]
fn flatten(mut bits: u64, base: u32, slots: &mut [u32; CHUNK]) -> usize {
    let count = bits.count_ones() as usize;
    let mut write = |slot: &mut u32| {
        *slot = base + bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
    };
    slots[..8].iter_mut().for_each(&mut write);
    if count > 8 {
        slots[8..16].iter_mut().for_each(&mut write);
        if count > 16 {
            slots[16..count].iter_mut().for_each(&mut write);
        }
    }
    count
}

/// Bit `i` is the exclusive or of bits `0..=i`.
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that this machine can do.
    fn processors() -> Vec<Processor> {
        #[cfg(target_arch = "x86_64")]
        match Processor::default() {
            Processor::Avx512 => return vec![Processor::Avx512, Processor::Avx2],
            Processor::Avx2 => return vec![Processor::Avx2],
            Processor::Any => {}
        }
        Vec::new()
    }

    #[test]
    fn tokens_are_operators_and_starts_of_values() {
        let mut structure = Structure::default();
        structure.read(br#"{"a\"{": [12 , true]}"#);
        assert_eq!(structure.positions(), [0, 1, 7, 9, 10, 13, 15, 19, 20, 21, 21]);
        assert!(structure.escapes && structure.ascii && structure.fault.is_none());
    }

    #[test]
    fn faults_of_strings_are_found() {
        for (text, fault) in [("\"ab", "string without end"), ("\"a\tb\"", "control character in a string")] {
            let mut structure = Structure::default();
            structure.read(text.as_bytes());
            assert_eq!(structure.fault, Some(fault));
        }
    }

    proptest! {
        #[test]
        fn every_implementation_finds_the_same(
            text in proptest::collection::vec(
                prop_oneof![proptest::sample::select(br#"{}[]:,"\ 	1at"#.to_vec()), any::<u8>()], 0..300),
        ) {
            let mut slow = Structure { processor: Processor::Any, ..Structure::default() };
            slow.read(&text);
            for processor in processors() {
                let mut fast = Structure { processor, ..Structure::default() };
                fast.read(b"[[[[[[[[[[]]]]]]]]]]");
                fast.read(&text);
                prop_assert_eq!(fast.positions(), slow.positions(), "{:?}", processor);
                prop_assert_eq!((fast.escapes, fast.ascii, fast.fault), (slow.escapes, slow.ascii, slow.fault));
            }
        }
    }
}
