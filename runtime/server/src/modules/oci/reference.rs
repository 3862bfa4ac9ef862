//! `REGISTRY/REPOSITORY@sha256:…`: the name of an artifact that can only ever mean one thing.

use std::fmt;
use std::str::FromStr;
use tidemark_engine::ids::Digest;

/// Longest name of a repository.
const LONGEST: usize = 255;

/// An artifact in a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// `host` or `host:port`.
    pub registry: String,
    /// Its path there.
    pub repository: String,
    /// Of its manifest.
    pub digest: Digest,
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write REGISTRY/REPOSITORY@sha256:DIGEST";
        let text = text.strip_prefix("oci://").unwrap_or(text);
        let Some((name, digest)) = text.split_once('@') else {
            let last = text.rsplit('/').next().unwrap_or_default();
            return Err(match last.split_once(':') {
                Some((_, tag)) if text.contains('/') => format!(
                    "names the tag \"{tag}\", which may mean something else tomorrow: name the digest of the manifest, {form}"
                ),
                _ => format!("has no digest: {form}"),
            });
        };
        let digest = digest.strip_prefix("sha256:").ok_or_else(|| format!("has no SHA-256 digest: {form}"))?;
        let digest = digest.parse().map_err(|error| format!("has no SHA-256 digest ({error}): {form}"))?;
        let (registry, repository) = name.split_once('/').ok_or_else(|| format!("names no repository: {form}"))?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if registry.is_empty() || !registry.bytes().all(is_host) {
            return Err(format!("\"{registry}\" is no registry: {form}"));
        }
        // A tag beside a digest says nothing more.
        let (repository, tag) = repository.split_once(':').unwrap_or((repository, ""));
        if !is_repository(repository) || tag.contains('/') {
            return Err(format!("\"{repository}\" is no repository: lower-case letters, digits and ._-/ name one"));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), digest })
    }
}

/// As the distribution specification has it, a little wider: parts that begin with a letter or a digit.
fn is_repository(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_part = |part: &str| {
        part.bytes().all(is_inner) && part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    };
    name.len() <= LONGEST && name.split('/').all(is_part)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@sha256:{}", self.registry, self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_digest_names_an_artifact() {
        let digest = "ab".repeat(32);
        let sound = format!("ghcr.io/acme/metrics/jitter@sha256:{digest}");
        let reference: Reference = sound.parse().expect("sound");
        assert_eq!((reference.registry.as_str(), reference.repository.as_str()), ("ghcr.io", "acme/metrics/jitter"));
        assert_eq!(reference.to_string(), sound);
        for same in [format!("oci://{sound}"), sound.replace("jitter@", "jitter:1.0@")] {
            assert_eq!(same.parse::<Reference>(), Ok(reference.clone()), "{same}");
        }
        for (text, words) in [
            ("ghcr.io/acme/jitter:1.0", "names the tag \"1.0\""),
            ("ghcr.io/acme/jitter", "has no digest"),
            ("localhost:5000/jitter@md5:abc", "no SHA-256 digest"),
            ("localhost:5000/jitter@sha256:abc", "no SHA-256 digest"),
            (&format!("jitter@sha256:{digest}"), "names no repository"),
            (&format!("a b/jitter@sha256:{digest}"), "is no registry"),
            (&format!("host/../etc@sha256:{digest}"), "is no repository"),
            (&format!("host/A?x=@sha256:{digest}"), "is no repository"),
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
