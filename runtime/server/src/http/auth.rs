//! Who may do what: bearer tokens with scopes, compared in constant time; without any token, this machine alone.

use super::problem::Problem;
use crate::config::http::{HttpSettings, Scope, Secret};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// The SHA-256 of a token: comparing digests of one length tells nothing about the token's length or its beginning.
struct TokenDigest([u8; 32]);

impl TokenDigest {
    fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.reveal()).into())
    }
}

/// The tokens of a server.
pub(super) struct Tokens(Vec<(TokenDigest, Scope)>);

impl Tokens {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        Self(settings.tokens.iter().map(|token| (TokenDigest::of(&token.secret), token.scope)).collect())
    }

    /// The scope of the token that `header`, the value of `Authorization`, carries. Looks at every token, whichever it is.
    fn scope_of(&self, header: Option<&[u8]>) -> Option<Scope> {
        let (scheme, given) = header?.split_at_checked("Bearer ".len())?;
        let given: [u8; 32] = Sha256::digest(given.trim_ascii()).into();
        let known = self.0.iter().filter(|(digest, _)| equal(&digest.0, &given));
        known.map(|(_, scope)| *scope).max().filter(|_| scheme.eq_ignore_ascii_case(b"Bearer "))
    }
}

/// Equality that looks at every byte, wherever the first difference is.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// What a group of routes asks of a request.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) tokens: Arc<Tokens>,
    pub(super) scope: Scope,
}

/// Lets a request through if its token has the scope, or if it comes from this machine and there are no tokens.
pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if guard.tokens.0.is_empty() {
        // The address is a loopback one. A page in a browser on this machine can reach it, too, under a name of its own.
        return if is_local(headers) { next.run(request).await } else { foreign().into_response() };
    }
    match guard.tokens.scope_of(headers.get(header::AUTHORIZATION).map(|value| value.as_bytes())) {
        Some(scope) if scope >= guard.scope => next.run(request).await,
        Some(scope) => Problem::new(StatusCode::FORBIDDEN, "forbidden")
            .detail(format!(
                "this needs a token with the scope {}, and the token has {}",
                guard.scope.name(),
                scope.name()
            ))
            .into_response(),
        None => {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized")
                .detail("a bearer token is needed: send the header `Authorization: Bearer TOKEN`");
            ([(header::WWW_AUTHENTICATE, "Bearer realm=\"tidemark\"")], problem).into_response()
        }
    }
}

fn foreign() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(
        "without a token only programs on this machine are served: ask for http://127.0.0.1 or http://localhost, or \
         configure a token",
    )
}

/// Whether the request names this machine as its host and, if a browser made it, as the origin of the page.
fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    [text(header::HOST), origin].into_iter().flatten().all(is_loopback)
}

/// Whether `host`, with or without a port, is a name or an address of this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::http::Token;

    const READER: &str = "0123456789abcdef";
    const ADMIN: &str = "fedcba9876543210";

    fn tokens() -> Tokens {
        let token = |text, scope| Token { scope, secret: Secret::new(text).expect("long enough") };
        let tokens = vec![token(READER, Scope::Read), token(&format!("{ADMIN}\n"), Scope::Admin)];
        Tokens::new(&HttpSettings { tokens, ..HttpSettings::default() })
    }

    #[test]
    fn knows_its_tokens_and_nothing_else() {
        let tokens = tokens();
        assert_eq!(tokens.scope_of(Some(b"Bearer 0123456789abcdef")), Some(Scope::Read));
        assert_eq!(tokens.scope_of(Some(b"bearer fedcba9876543210")), Some(Scope::Admin));
        let refused: [&[u8]; 6] =
            [b"", b"Bearer", b"Bearer ", b"Bearer 0123456789abcdeF", b"Basic 0123456789abcdef", b"0123456789abcdef"];
        for header in refused {
            assert_eq!(tokens.scope_of(Some(header)), None, "{}", header.escape_ascii());
        }
        assert_eq!(tokens.scope_of(None), None);
    }

    #[test]
    fn a_page_from_elsewhere_is_not_local() {
        let local = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            is_local(&headers)
        };
        assert!(
            local(&[("host", "127.0.0.1:9464")]) && local(&[("host", "[::1]:1")]) && local(&[("host", "localhost")])
        );
        assert!(local(&[("host", "localhost:1"), ("origin", "http://localhost:1")]));
        assert!(!local(&[("host", "evil.example:9464")]), "a name that was made to lead here");
        assert!(!local(&[("host", "127.0.0.1:9464"), ("origin", "https://evil.example")]));
        assert!(!local(&[("host", "127.0.0.1:9464"), ("origin", "null")]));
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
