//! Fingerprints of event ids: what deduplication compares.

use xxhash_rust::xxh3::xxh3_128;

/// The bits of a UUID, XXH3-128 of any other text, 0 for an empty one.
#[inline]
pub(crate) fn fingerprint(text: &[u8]) -> u128 {
    match text.first_chunk::<36>() {
        _ if text.is_empty() => 0,
        Some(uuid) if text.len() == 36 => uuid_bits(uuid).unwrap_or_else(|| xxh3_128(text)),
        _ => xxh3_128(text),
    }
}

/// `8-4-4-4-12` hexadecimal digits of either case.
#[inline]
fn uuid_bits(text: &[u8; 36]) -> Option<u128> {
    let &[
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        a6,
        a7,
        b'-',
        b0,
        b1,
        b2,
        b3,
        b'-',
        c0,
        c1,
        c2,
        c3,
        b'-',
        d0,
        d1,
        d2,
        d3,
        b'-',
        ref e @ ..,
    ] = text
    else {
        return None;
    };
    let first = digits([a0, a1, a2, a3, a4, a5, a6, a7])?;
    let second = digits([b0, b1, b2, b3, c0, c1, c2, c3])?;
    let third = digits([d0, d1, d2, d3, e[0], e[1], e[2], e[3]])?;
    let fourth = digits([e[4], e[5], e[6], e[7], e[8], e[9], e[10], e[11]])?;
    Some(u128::from(first) << 96 | u128::from(second) << 64 | u128::from(third) << 32 | u128::from(fourth))
}

/// Eight hexadecimal digits at once, each in its own byte of one integer.
#[inline]
fn digits(text: [u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let bytes = u64::from_be_bytes(text);
    let lower = bytes | (0x20 * ONES);
    // Bit 7 of each byte: whether a byte below 0x80 lies between two bounds.
    let between =
        |value: u64, low: u64, high: u64| (value + (0x80 - low) * ONES) & !(value + (0x7f - high) * ONES) & HIGH;
    if bytes & HIGH != 0 {
        return None;
    }
    let decimal = between(bytes, 0x30, 0x39);
    let letters = between(lower, 0x61, 0x66);
    if decimal | letters != HIGH {
        return None;
    }
    // A digit's value is its low four bits; a letter's is nine more.
    let nibbles = (lower & (0x0f * ONES)) + 9 * (letters >> 7);
    let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((fours | fours >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_uuids_keep_their_bits() {
        let bits = 0x5948_5235_8460_472f_a894_3b84_f37e_e9bb_u128;
        assert_eq!(fingerprint(b"59485235-8460-472f-a894-3b84f37ee9bb"), bits);
        assert_eq!(fingerprint(b"59485235-8460-472F-A894-3B84F37EE9BB"), bits);
        assert_eq!(fingerprint(b""), 0);
        for other in ["59485235-8460-472f-a894-3b84f37ee9bg", "59485235084600472f0a89403b84f37ee9bb", "event-1"] {
            assert_eq!(fingerprint(other.as_bytes()), xxh3_128(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn eight_digits_are_read_as_the_standard_library_reads_them(text in "[0-9a-fA-F]{8}|[ -~]{8}") {
            let array: [u8; 8] = text.as_bytes().try_into().expect("eight bytes");
            let known = (!text.starts_with('+')).then(|| u32::from_str_radix(&text, 16).ok()).flatten();
            prop_assert_eq!(digits(array), known);
        }
    }
}
