//! Numbers as JSON writes them, read as the types of columns.

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Digits only, perhaps with a sign.
    Whole,
    /// With a fraction, `whole` being the length of sign and digits before it.
    Fraction {
        /// Bytes before the point.
        whole: usize,
    },
    /// With an exponent.
    Exponent,
}

/// The form of `text` if it is a number by the grammar of RFC 8259, section 6.
#[inline]
pub(crate) fn form(text: &[u8]) -> Option<Form> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = digits(&text[sign..]);
    if digits == 0 || (digits > 1 && text[sign] == b'0') {
        return None;
    }
    let whole = sign + digits;
    match text.get(whole) {
        None => Some(Form::Whole),
        Some(b'.') => {
            let fraction = self::digits(&text[whole + 1..]);
            let end = whole + 1 + fraction;
            match text.get(end) {
                _ if fraction == 0 => None,
                None => Some(Form::Fraction { whole }),
                Some(b'e' | b'E') => exponent(&text[end + 1..]),
                Some(_) => None,
            }
        }
        Some(b'e' | b'E') => exponent(&text[whole + 1..]),
        Some(_) => None,
    }
}

/// `text` as an integer: exact, and nothing that is not whole or does not fit.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    match form(text)? {
        Form::Whole => whole(text),
        Form::Fraction { whole: end } => {
            text[end + 1..].iter().all(|&digit| digit == b'0').then(|| whole(&text[..end])).flatten()
        }
        Form::Exponent => {
            /// Up to here every whole double is exactly one integer.
            const EXACT: f64 = (1_i64 << 53) as f64;
            let value = parse(text)?;
            (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
        }
    }
}

/// `text` as the nearest double; nothing that is too large for one.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    form(text)?;
    parse(text)
}

/// `text` as a moment: a fraction of a millisecond is cut off.
pub(crate) fn milliseconds(text: &[u8]) -> Option<i64> {
    match form(text)? {
        Form::Whole => whole(text),
        Form::Fraction { .. } | Form::Exponent => {
            let value = parse(text)?.floor();
            // Both ends are exact doubles, and casting between them is exact.
            (value >= i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
        }
    }
}

fn parse(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[inline]
fn digits(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}

fn exponent(text: &[u8]) -> Option<Form> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = digits(&text[sign..]);
    (digits > 0 && sign + digits == text.len()).then_some(Form::Exponent)
}

/// A sign and digits.
fn whole(text: &[u8]) -> Option<i64> {
    /// So many digits always fit.
    const SAFE: usize = 18;
    let negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(negative)..];
    if digits.len() > SAFE {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let magnitude = digits.iter().fold(0, |sum, &digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_whole_exact_and_fit() {
        for (text, expected) in [
            ("77", Some(77)),
            ("77.0", Some(77)),
            ("-0", Some(0)),
            ("77.5", None),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1e3", Some(1000)),
            ("1.5e1", Some(15)),
            ("1e-1", None),
            ("1e30", None),
            ("", None),
            ("-", None),
            ("077", None),
            ("+7", None),
            ("7 ", None),
            ("0x7", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_finite_numbers_only() {
        assert_eq!(float(b"0"), Some(0.0));
        assert_eq!(float(b"17.298215447072742"), Some(17.298_215_447_072_742));
        for text in ["inf", "NaN", "1e999", "1.", ".5", "1e", "1e+", "--1"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn moments_lose_their_fraction() {
        assert_eq!(milliseconds(b"1767908945298"), Some(1_767_908_945_298));
        assert_eq!(milliseconds(b"1767908945298.9"), Some(1_767_908_945_298));
        assert_eq!(milliseconds(b"-0.5"), Some(-1));
        assert_eq!(milliseconds(b"1e300"), None);
    }

    proptest! {
        #[test]
        fn the_grammar_is_that_of_serde_json(text in "-?[0-9.eE+-]{0,12}") {
            let known = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(form(text.as_bytes()).is_some(), known);
        }
    }
}
