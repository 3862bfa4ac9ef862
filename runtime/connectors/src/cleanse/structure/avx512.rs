//! Chunks of 64 bytes whole, and their tokens' places packed instead of counted out.

use super::avx2::{blank_table, operator_table, prefix_xor};
use super::{CHUNK, Classes, Structure};
use std::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,popcnt")]
pub(super) fn read(structure: &mut Structure, text: &[u8]) {
    structure.read_with(
        text,
        |chunk| classify(chunk),
        |bits| prefix_xor(bits),
        |bits, base, slots| flatten(bits, base, slots),
    );
}

/// See [`super::avx2`] for the tables.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn classify(chunk: &[u8; CHUNK]) -> Classes {
    // SAFETY: an unaligned load of the 64 bytes that the reference points at.
    let bytes = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
    let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
    let blanks = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(blank_table()), bytes);
    let operators = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(operator_table()), bytes);
    let folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    let controls = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
    Classes {
        quotes: equal(b'"'),
        backslashes: equal(b'\\'),
        blanks: _mm512_cmpeq_epi8_mask(bytes, blanks),
        operators: _mm512_cmpeq_epi8_mask(folded, operators) & !controls,
        controls,
        high: _mm512_movepi8_mask(bytes),
    }
}

/// Does what [`super::flatten`] does.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
fn flatten(bits: u64, base: u32, slots: &mut [u32; CHUNK]) -> usize {
    const PLACES: [u8; CHUNK] = {
        let mut places = [0; CHUNK];
        let mut at = 0;
        while at < CHUNK {
            places[at] = at as u8;
            at += 1;
        }
        places
    };
    let count = bits.count_ones() as usize;
    // SAFETY: an unaligned load of the 64 bytes of the array.
    let places = unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) };
    let packed = _mm512_maskz_compress_epi8(bits, places);
    let base = _mm512_set1_epi32(base as i32);
    let (quarters, _) = slots.as_chunks_mut::<16>();
    let mut write = |quarter: usize, places: __m128i| {
        let positions = _mm512_add_epi32(_mm512_cvtepu8_epi32(places), base);
        // SAFETY: an unaligned store into the sixteen numbers that the reference points at.
        unsafe { _mm512_storeu_si512(quarters[quarter].as_mut_ptr().cast(), positions) };
    };
    write(0, _mm512_castsi512_si128(packed));
    if count > 16 {
        write(1, _mm512_extracti32x4_epi32::<1>(packed));
        if count > 32 {
            write(2, _mm512_extracti32x4_epi32::<2>(packed));
            write(3, _mm512_extracti32x4_epi32::<3>(packed));
        }
    }
    count
}
