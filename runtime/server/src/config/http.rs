//! `[http]`: where the API, telemetry and health are served, to whom, and within which bounds.

use super::section::Section;
use serde::Deserialize;
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

/// What a token allows. Each scope includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Look at rows, state and counters.
    Read,
    /// Do what changes rows: submit dead letters again.
    Operate,
    /// Change the job: its modules and metrics.
    Admin,
}

impl Scope {
    /// Names, as configurations and documents write them.
    pub const NAMES: [(&str, Self); 3] = [("read", Self::Read), ("operate", Self::Operate), ("admin", Self::Admin)];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it allows.
    pub scope: Scope,
    /// Its text.
    pub secret: Secret,
}

/// `[http]`.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The tokens, one of which requests must carry. Without any only loopback addresses are served.
    pub tokens: Vec<Token>,
    /// Bounds of requests and answers.
    pub limits: HttpLimits,
}

/// `[http.limits]`: bounds of requests and answers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpLimits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Most bytes of a request's body where its route sets no limit of its own.
    pub request_bytes: usize,
    /// Most bytes of an uploaded module.
    pub module_bytes: usize,
    /// How long a request may take until its answer begins.
    pub timeout_ms: u64,
    /// Most rows of one answer.
    pub rows: usize,
    /// Most bytes of the rows of one answer, in memory.
    pub answer_bytes: usize,
    /// Queries (SQL and rows) that are answered at a time; more are told to come back.
    pub queries: usize,
    /// Memory of all SQL queries together.
    pub sql_memory_bytes: usize,
    /// Readers of live rows at a time.
    pub live_readers: usize,
    /// Most bytes of all records that are submitted again, over the life of the data folder.
    pub resubmitted_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            request_bytes: 1 << 20,
            module_bytes: 64 << 20,
            timeout_ms: 30_000,
            rows: 10_000,
            answer_bytes: 64 << 20,
            queries: 4,
            sql_memory_bytes: 256 << 20,
            live_readers: 64,
            resubmitted_bytes: 256 << 20,
        }
    }
}

impl HttpLimits {
    /// Every mistake, one sentence each.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |name: &str, value: usize, least: usize, most: usize| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("{name} is {value}: write a number from {least} to {most}"));
            }
        };
        check("connections", self.connections, 1, 65_536);
        check("request_bytes", self.request_bytes, 1 << 10, 1 << 30);
        check("module_bytes", self.module_bytes, 1 << 10, 1 << 30);
        check("timeout_ms", usize::try_from(self.timeout_ms).unwrap_or(usize::MAX), 100, 3_600_000);
        check("rows", self.rows, 1, 1_000_000);
        check("answer_bytes", self.answer_bytes, 1 << 16, 4 << 30);
        check("queries", self.queries, 1, 256);
        check("sql_memory_bytes", self.sql_memory_bytes, 16 << 20, 64 << 30);
        check("live_readers", self.live_readers, 1, 4_096);
        check("resubmitted_bytes", self.resubmitted_bytes, 1 << 10, 1 << 40);
        mistakes
    }
}

impl HttpSettings {
    /// `environment` looks variables up, for the origins of tokens.
    pub(super) fn read(mut section: Section<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let listen = section.text("listen").and_then(|text| match parse_listen(&text) {
            Ok(address) => Some(address),
            Err(message) => {
                section.mistake("listen", message);
                None
            }
        });
        let admin = read_secret(&mut section, ["token_env", "token_file"], environment);
        let mut tokens: Vec<Token> = admin.into_iter().map(|secret| Token { scope: Scope::Admin, secret }).collect();
        for mut token in section.sections("tokens") {
            let scope = token.choice("scope", &Scope::NAMES);
            token.require("scope", "\"read\"");
            if !token.has("env") && !token.has("file") {
                token.mistake("", "a token needs an origin: `env` or `file`");
            }
            let secret = read_secret(&mut token, ["env", "file"], environment);
            token.finish();
            tokens.extend(scope.zip(secret).map(|(scope, secret)| Token { scope, secret }));
        }
        if section.has("token") {
            section.value("token");
            section.mistake("token", "a token has no place in this file: name its origin, `token_env` or `token_file`");
        }
        let mut limits_section = section.section("limits");
        let limits: HttpLimits = limits_section.rest();
        limits_section.mistakes(limits.mistakes());
        section.finish();
        Self { listen, tokens, limits }
    }

    /// Whether the address is open to other machines although no token protects it.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.tokens.is_empty() && self.listen.is_some_and(|address| !address.ip().is_loopback())
    }
}

/// The secret whose origin is named by the field `env` (a variable) or the field `file`.
fn read_secret(
    section: &mut Section<'_>,
    [env, file]: [&'static str; 2],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<Secret> {
    let from_environment = section.text(env).and_then(|name| {
        let value = environment(&name);
        if value.is_none() {
            section.mistake(env, format!("the environment has no variable {name}: set it to the token"));
        }
        check_secret(section, env, value)
    });
    let from_file = section.text(file).and_then(|path| {
        let value = std::fs::read_to_string(&path);
        let value = value.map_err(|error| section.mistake(file, format!("cannot read {path}: {error}")));
        check_secret(section, file, value.ok())
    });
    if section.has(env) && section.has(file) {
        section.mistake(file, format!("the token has two origins: keep either `{env}` or `{file}`"));
    }
    from_environment.or(from_file)
}

fn check_secret(section: &Section<'_>, name: &str, value: Option<String>) -> Option<Secret> {
    match Secret::new(&value?) {
        Ok(secret) => Some(secret),
        Err(message) => {
            section.mistake(name, message);
            None
        }
    }
}

/// An address to listen on: a numeric one, since resolving names would open a socket.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("\"{text}\" is not an address and port: write for example \"127.0.0.1:9464\""))
}
