//! Escapes in JSON strings: checked where a string is passed over, resolved where its text is needed.

use std::borrow::Cow;

/// Checks the escapes of a string's content; the error is where the first bad one stands.
pub(crate) fn check(content: &[u8]) -> Result<(), usize> {
    let mut at = 0;
    while let Some(backslash) = memchr::memchr(b'\\', &content[at..]) {
        at += backslash;
        at += match content.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if unit(content, at).is_some() => 6,
            _ => return Err(at),
        };
    }
    Ok(())
}

/// The text of a string's content, whose escapes are known to be good. Half of a surrogate pair becomes U+FFFD.
pub(crate) fn resolve(content: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', content).is_none() {
        return Cow::Borrowed(content);
    }
    let mut text = Vec::with_capacity(content.len());
    let mut at = 0;
    while let Some(plain) = memchr::memchr(b'\\', &content[at..]) {
        text.extend_from_slice(&content[at..at + plain]);
        at += plain;
        let (character, length) = character(content, at);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at += length;
    }
    text.extend_from_slice(&content[at..]);
    Cow::Owned(text)
}

/// The character that the escape at `at` stands for, and the escape's length.
fn character(content: &[u8], at: usize) -> (char, usize) {
    match content.get(at + 1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let first = unit(content, at).unwrap_or(0);
            let pair = [first, unit(content, at + 6).unwrap_or(0)];
            match char::decode_utf16(pair).next() {
                Some(Ok(character)) => (character, 6 * character.len_utf16()),
                _ => (char::REPLACEMENT_CHARACTER, 6),
            }
        }
        Some(&other) => (char::from(other), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// The four hexadecimal digits of a `\uXXXX` at `at`.
fn unit(content: &[u8], at: usize) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = content.get(at..at + 6)? else { return None };
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn surrogates_are_paired_or_replaced() {
        assert_eq!(resolve(br"a\ud83d\ude00b").as_ref(), "a\u{1f600}b".as_bytes());
        assert_eq!(resolve(br"\ud83dx").as_ref(), "\u{fffd}x".as_bytes());
        assert_eq!(resolve(br"\ude00\u0041").as_ref(), "\u{fffd}A".as_bytes());
        assert_eq!(resolve(br"\ud83d\u0041").as_ref(), "\u{fffd}A".as_bytes());
    }

    proptest! {
        #[test]
        fn resolving_is_the_inverse_of_writing(text in any::<String>()) {
            let written = serde_json::to_string(&text).expect("serializable");
            let content = &written.as_bytes()[1..written.len() - 1];
            prop_assert_eq!(check(content), Ok(()));
            let resolved = resolve(content);
            prop_assert_eq!(resolved.as_ref(), text.as_bytes());
        }
    }
}
