//! What a registry wants to know before it answers: the header `WWW-Authenticate`.

use std::collections::BTreeMap;

/// How it wants to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Challenge {
    /// With a name and a password.
    Basic,
    /// With a token that somebody else gives.
    Bearer {
        /// Where it is to be had.
        realm: String,
        /// For whom it is.
        service: Option<String>,
    },
}

impl Challenge {
    /// Of a header's value; `None` where it asks for something else.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let mut parameters = parameters(rest);
        scheme.eq_ignore_ascii_case("bearer").then_some(())?;
        Some(Self::Bearer { realm: parameters.remove("realm")?, service: parameters.remove("service") })
    }
}

/// `name="value"`, separated by commas, which may stand in a value, too.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((name, rest)) = text.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').map_or((rest, ""), |(value, rest)| (value, rest)),
        };
        let name = name.trim_matches(|character: char| character == ',' || character.is_whitespace());
        found.insert(name.to_ascii_lowercase(), value.to_owned());
        text = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        assert_eq!(Challenge::parse("Basic realm=\"a registry\""), Some(Challenge::Basic));
        assert_eq!(
            Challenge::parse(
                "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:a/b:pull,push\""
            ),
            bearer("https://ghcr.io/token", Some("ghcr.io"))
        );
        assert_eq!(Challenge::parse("bearer scope=\"a,b=c\", realm=\"https://x\""), bearer("https://x", None));
        assert_eq!(Challenge::parse("Bearer realm=https://x,service=y"), bearer("https://x", Some("y")));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer"), None);
    }
}
