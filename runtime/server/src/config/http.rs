//! `[http]`: where telemetry and health are served, and to whom.

use super::section::Section;
use std::fmt;
use std::net::SocketAddr;

/// Shortest token that is accepted: anything shorter can be guessed.
pub const MIN_TOKEN_BYTES: usize = 16;

/// A secret text. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text` without the white space around it. The error says what is wrong, without showing the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < MIN_TOKEN_BYTES {
            return Err(format!("the token must have at least {MIN_TOKEN_BYTES} characters, not {}", text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token must consist of visible ASCII characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `[http]`.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The bearer token that requests must carry. Without one only loopback addresses are served.
    pub token: Option<Secret>,
}

impl HttpSettings {
    /// `environment` looks a variable up, for `token_env`.
    pub(super) fn read(mut section: Section<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let listen = section.text("listen").and_then(|text| match parse_listen(&text) {
            Ok(address) => Some(address),
            Err(message) => {
                section.mistake("listen", message);
                None
            }
        });
        let from_environment = section.text("token_env").and_then(|name| {
            let value = environment(&name);
            if value.is_none() {
                section.mistake("token_env", format!("the environment has no variable {name}: set it to the token"));
            }
            Self::check_token(&section, "token_env", value)
        });
        let from_file = section.text("token_file").and_then(|file| {
            let value = std::fs::read_to_string(&file);
            let value = value.map_err(|error| section.mistake("token_file", format!("cannot read {file}: {error}")));
            Self::check_token(&section, "token_file", value.ok())
        });
        if section.has("token_env") && section.has("token_file") {
            section.mistake("token_file", "the token has two origins: keep either `token_env` or `token_file`");
        }
        if section.has("token") {
            section.value("token");
            section.mistake("token", "a token has no place in this file: name its origin, `token_env` or `token_file`");
        }
        section.finish();
        Self { listen, token: from_environment.or(from_file) }
    }

    /// Whether the address is open to other machines although no token protects it.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.token.is_none() && self.listen.is_some_and(|address| !address.ip().is_loopback())
    }

    fn check_token(section: &Section<'_>, name: &str, value: Option<String>) -> Option<Secret> {
        match Secret::new(&value?) {
            Ok(secret) => Some(secret),
            Err(message) => {
                section.mistake(name, message);
                None
            }
        }
    }
}

/// An address to listen on: a numeric one, since resolving names would open a socket.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("\"{text}\" is not an address and port: write for example \"127.0.0.1:9464\""))
}
