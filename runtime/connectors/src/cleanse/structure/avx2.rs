//! Chunks in two halves of 32 bytes.

use super::{CHUNK, Classes, Structure};
use std::arch::x86_64::*;

#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,popcnt")]
pub(super) fn read(structure: &mut Structure, text: &[u8]) {
    structure.read_with(text, |chunk| classify(chunk), |bits| prefix_xor(bits), super::flatten);
}

#[inline]
#[target_feature(enable = "avx2")]
fn classify(chunk: &[u8; CHUNK]) -> Classes {
    let (low, high) = (half(chunk, 0), half(chunk, 32));
    let equal = |byte: u8| {
        let wanted = _mm256_set1_epi8(byte as i8);
        mask(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted))
    };
    // Looked up by the low four bits; a byte that equals what it finds is of the class. 0x20 makes `[` and `]` the same
    // as `{` and `}`, and two control characters the same as `:` and `,`: they are taken out below.
    let blanks = _mm256_broadcastsi128_si256(blank_table());
    let operators = _mm256_broadcastsi128_si256(operator_table());
    let blank = |bytes| _mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(blanks, bytes));
    let operator = |bytes| {
        let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        _mm256_cmpeq_epi8(folded, _mm256_shuffle_epi8(operators, bytes))
    };
    let last_control = _mm256_set1_epi8(0x1f);
    let control = |bytes| _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, last_control), last_control);
    let controls = mask(control(low), control(high));
    Classes {
        quotes: equal(b'"'),
        backslashes: equal(b'\\'),
        blanks: mask(blank(low), blank(high)),
        operators: mask(operator(low), operator(high)) & !controls,
        controls,
        high: mask(low, high),
    }
}

/// At each place the white space whose low four bits it is, elsewhere a byte that differs from its place in them.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn blank_table() -> __m128i {
    _mm_setr_epi8(32, 100, 100, 100, 17, 100, 113, 2, 100, 9, 10, 112, 100, 13, 100, 100)
}

/// The same for `:`, `{`, `,` and `}`.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn operator_table() -> __m128i {
    _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 123, 44, 125, 0, 0)
}

#[inline]
#[target_feature(enable = "avx2")]
fn half(chunk: &[u8; CHUNK], at: usize) -> __m256i {
    let bytes: &[u8; 32] = chunk[at..].first_chunk().expect("a chunk has two halves");
    // SAFETY: an unaligned load of the 32 bytes that the reference points at.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask(low: __m256i, high: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
}

/// Bit `i` is the exclusive or of bits `0..=i`: a carry-less product with all ones.
#[inline]
#[target_feature(enable = "pclmulqdq")]
pub(super) fn prefix_xor(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product) as u64
}
