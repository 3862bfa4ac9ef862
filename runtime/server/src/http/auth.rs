//! The bearer token of a request, compared in constant time.

use crate::config::http::Secret;
use sha2::{Digest as _, Sha256};

/// The token that requests must carry, as its SHA-256: comparing digests of one length tells nothing about the token's
/// length or its beginning.
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.reveal()).into())
    }

    /// Whether `header`, the value of `Authorization`, carries the token.
    pub(super) fn admits(&self, header: Option<&[u8]>) -> bool {
        let Some((scheme, given)) = header.and_then(|header| header.split_at_checked("Bearer ".len())) else {
            return false;
        };
        let given: [u8; 32] = Sha256::digest(given.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"Bearer ") && equal(&self.0, &given)
    }
}

/// Equality that looks at every byte, wherever the first difference is.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_the_token_and_nothing_else() {
        let token = Token::new(&Secret::new("0123456789abcdef\n").expect("long enough"));
        assert!(token.admits(Some(b"Bearer 0123456789abcdef")));
        assert!(token.admits(Some(b"bearer 0123456789abcdef")));
        let refused: [&[u8]; 6] =
            [b"", b"Bearer", b"Bearer ", b"Bearer 0123456789abcdeF", b"Basic 0123456789abcdef", b"0123456789abcdef"];
        for header in refused {
            assert!(!token.admits(Some(header)), "{}", header.escape_ascii());
        }
        assert!(!token.admits(None));
    }

    #[test]
    fn a_secret_is_never_shown_and_never_short() {
        let secret = Secret::new("0123456789abcdef").expect("long enough");
        assert!(!format!("{secret:?}").contains("0123"));
        for short in ["", "short", "               x"] {
            let message = Secret::new(short).expect_err("too short");
            assert!(!message.contains("short x"), "{message}");
        }
    }
}
