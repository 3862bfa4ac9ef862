//! Signatures of modules: ed25519 over the SHA-256 of the bytes, by a key that the job trusts.

use ed25519_dalek::{Verifier as _, VerifyingKey};
use std::fmt;
use std::str::FromStr;
use tidemark_engine::ids::Digest;

/// A key that modules may be signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A signature of a module's digest.
#[derive(Clone, Debug)]
pub struct Signature(ed25519_dalek::Signature);

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hexadecimal::<32>(text).ok_or("a public key is 64 hexadecimal digits: 32 bytes of ed25519")?;
        VerifyingKey::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| "this is not the public key of an ed25519 pair".to_owned())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", Digest(self.0.to_bytes()))
    }
}

impl FromStr for Signature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hexadecimal::<64>(text).ok_or("a signature is 128 hexadecimal digits: 64 bytes of ed25519")?;
        Ok(Self(ed25519_dalek::Signature::from_bytes(&bytes)))
    }
}

/// Whether a module may come in: where keys are trusted, it must be signed by one of them.
pub(super) fn trusted(keys: &[PublicKey], digest: Digest, signature: Option<&Signature>) -> Result<(), String> {
    if keys.is_empty() {
        return Ok(());
    }
    let Some(Signature(signature)) = signature else {
        return Err("this job takes signed modules only: send the ed25519 signature of the SHA-256 digest".to_owned());
    };
    let by_one = keys.iter().any(|PublicKey(key)| key.verify(&digest.0, signature).is_ok());
    by_one.then_some(()).ok_or_else(|| format!("the signature of {digest} is by none of the keys that this job trusts"))
}

fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.trim();
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    #[test]
    fn only_a_trusted_signature_of_this_very_module_counts() {
        let (key, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let public = |key: &SigningKey| PublicKey(key.verifying_key());
        let (digest, another) = (Digest([1; 32]), Digest([2; 32]));
        let signed = |key: &SigningKey, digest: Digest| Signature(key.sign(&digest.0));
        assert_eq!(trusted(&[], digest, None), Ok(()), "nobody asked for signatures");
        let keys = [public(&other), public(&key)];
        assert_eq!(trusted(&keys, digest, Some(&signed(&key, digest))), Ok(()));
        assert!(trusted(&keys, digest, None).is_err());
        assert!(trusted(&keys, digest, Some(&signed(&key, another))).is_err());
        assert!(trusted(&[public(&other)], digest, Some(&signed(&key, digest))).is_err());
        assert!("abc".parse::<PublicKey>().is_err() && "00".repeat(64).parse::<Signature>().is_ok());
    }
}
