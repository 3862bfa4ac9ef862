//! Talking to the server: statements, small results and inserts, each answered with what to do about a failure.
//!
//! Knows nothing of tables and epochs. A request is one attempt within the time limit, except for reads and inserts
//! with a token: those may be repeated, and are, a few times with growing pauses of uneven length, so that several
//! writers do not come back in step after a failure.

use super::settings::ClickHouseSettings;
use crate::own_runtime::OwnRuntime;
use crate::sink::secret::Secret;
use bytes::Bytes;
use clickhouse::Compression;
use clickhouse::error::Error;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tidemark_engine::ports::PortError;

/// Attempts before the caller is told, with pauses from [`FIRST_PAUSE`] that double up to [`LONGEST_PAUSE`].
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Most bytes of an answer: only catalogues and counts are asked for.
const MOST_ANSWER_BYTES: usize = 16 << 20;
/// Idle connections are given up before the server's default of 10 s (3 s in older versions) does so.
const IDLE: Duration = Duration::from_secs(2);

/// Why the server did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ServerError {
    /// ClickHouse's code; `None` where no ClickHouse answered.
    pub(super) code: Option<u32>,
    /// The reason, in the server's words.
    pub(super) message: String,
    may_recover: bool,
}

/// Codes of what may go away by itself: time-outs, too much at once, no memory or room, a replica or keeper away.
const MAY_RECOVER: [u32; 18] =
    [159, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 285, 319, 394, 425, 473, 517, 999];
/// Codes of refused credentials and missing rights.
const NOT_ALLOWED: [u32; 5] = [192, 193, 194, 497, 516];
/// Codes of a table or database that is not there.
const NOT_THERE: [u32; 2] = [60, 81];

impl ServerError {
    fn of(error: &Error) -> Self {
        match error {
            Error::BadResponse(text) => {
                let code = text.split_once("Code: ").and_then(|(_, rest)| {
                    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                    rest[..digits].parse().ok()
                });
                // Without a code it comes from something in between, which has no server behind it just now.
                let may_recover = code.is_none_or(|code| MAY_RECOVER.contains(&code));
                let message = text.lines().next().unwrap_or_default().chars().take(2000).collect();
                Self { code, message, may_recover }
            }
            Error::Network(source) => {
                let reasons = std::iter::successors(Some(&**source as &dyn std::error::Error), |error| error.source());
                let message = reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ");
                Self { code: None, message, may_recover: true }
            }
            Error::TimedOut => Self { code: None, message: "no answer in time".to_owned(), may_recover: true },
            other => Self { code: None, message: other.to_string(), may_recover: false },
        }
    }

    /// An answer of more bytes than it may have, in the server's code for it.
    fn too_large() -> Self {
        Self { code: Some(396), message: "the answer is too large".to_owned(), may_recover: false }
    }

    /// Whether what it was about is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.code.is_some_and(|code| NOT_THERE.contains(&code))
    }
}

/// A server, one database of it, and who we are there.
pub(super) struct Client {
    http: clickhouse::Client,
    runtime: OwnRuntime,
    /// For messages: the URL holds no credentials.
    server: String,
    user: String,
    timeout: Duration,
}

impl Client {
    /// Opens no connection yet. The settings have no mistakes.
    pub(super) fn new(settings: &ClickHouseSettings) -> Result<Self, PortError> {
        let password = Secret::read(settings.password_file.as_deref(), &settings.password_env)?;
        let stop = |error: std::io::Error| PortError::Stop(format!("cannot talk to {}: {error}", settings.url));
        let runtime = OwnRuntime::start().map_err(stop)?;
        let http = if settings.url.starts_with("https:") {
            let tls = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots().map_err(stop)?;
            pooled(tls.https_only().enable_http1().build())
        } else {
            pooled(HttpConnector::new())
        };
        let http = http
            .with_url(&settings.url)
            .with_user(&settings.user)
            .with_password(password.as_ref().map_or("", Secret::expose))
            .with_compression(Compression::None)
            .with_product_info("tidemark", env!("CARGO_PKG_VERSION"));
        let timeout = Duration::from_millis(settings.timeout_ms);
        Ok(Self { http, runtime, server: settings.url.clone(), user: settings.user.clone(), timeout })
    }

    /// From here on names without a database are of this one.
    pub(super) fn use_database(&mut self, database: &str) {
        self.http = self.http.clone().with_database(database);
    }

    /// Carries out a statement.
    pub(super) fn execute(&self, statement: &str) -> Result<(), ServerError> {
        tracing::debug!(statement, "ClickHouse");
        self.runtime.block_on(async {
            let done = self.http.query_raw(statement).with_setting("mutations_sync", "2").execute();
            tokio::time::timeout(self.timeout, done)
                .await
                .unwrap_or(Err(Error::TimedOut))
                .map_err(|e| ServerError::of(&e))
        })
    }

    /// The rows of a small result.
    pub(super) fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>, ServerError> {
        self.runtime.block_on(persist(|| async {
            let read = async {
                let query = self.http.query_raw(query).with_setting("output_format_json_quote_64bit_integers", "0");
                let mut cursor = query.fetch_bytes("JSONEachRow")?;
                let mut answer = Vec::new();
                while let Some(bytes) = cursor.next().await? {
                    answer.extend_from_slice(&bytes);
                    if answer.len() > MOST_ANSWER_BYTES {
                        return Err(Error::Custom(format!("an answer of more than {MOST_ANSWER_BYTES} bytes")));
                    }
                }
                Ok(answer)
            };
            let answer = tokio::time::timeout(self.timeout, read).await.unwrap_or(Err(Error::TimedOut));
            let answer = answer.map_err(|error| ServerError::of(&error))?;
            let rows = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
            rows.collect::<Result<_, _>>().map_err(|error| ServerError {
                code: None,
                message: format!("an answer that cannot be read: {error}"),
                may_recover: false,
            })
        }))
    }

    /// The answer to a query as an Arrow stream of at most `most_bytes`, in one attempt of at most `patience`.
    pub(super) fn arrow(
        &self,
        query: &str,
        settings: &[(&str, String)],
        patience: Duration,
        most_bytes: usize,
    ) -> Result<Vec<u8>, ServerError> {
        self.runtime.block_on(async {
            let read = async {
                let query = settings
                    .iter()
                    .fold(self.http.query_raw(query), |query, (name, value)| query.with_setting(*name, value));
                let mut cursor = query.fetch_bytes("ArrowStream")?;
                let mut answer = Vec::new();
                while let Some(bytes) = cursor.next().await? {
                    answer.extend_from_slice(&bytes);
                    if answer.len() > most_bytes {
                        return Ok(Err(ServerError::too_large()));
                    }
                }
                Ok(Ok(answer))
            };
            let answer = tokio::time::timeout(patience, read).await.unwrap_or(Err(Error::TimedOut));
            answer.map_err(|error| ServerError::of(&error))?
        })
    }

    /// Sends blocks, up to `at_once` of them at one time. `acknowledged` is called with the place of each one that the
    /// server has; the first failure ends it.
    ///
    /// A block may be sent again without harm: the server knows it by its token.
    pub(super) fn insert<I: IntoIterator<Item = Result<Insert, PortError>>>(
        &self,
        blocks: I,
        at_once: usize,
        mut acknowledged: impl FnMut(usize) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let sent = stream::iter(blocks.into_iter().enumerate().map(|(place, block)| async move {
            let block = block?;
            let sent = persist(|| self.send(&block)).await;
            sent.map(|()| place).map_err(|error| self.port_error(&format!("insert into {}", block.table), &error))
        }));
        self.runtime.block_on(async {
            let mut sent = sent.buffer_unordered(at_once);
            while let Some(place) = sent.try_next().await? {
                acknowledged(place)?;
            }
            Ok(())
        })
    }

    async fn send(&self, block: &Insert) -> Result<(), ServerError> {
        let mut insert = self
            .http
            .insert_formatted_with(block.statement.clone())
            .with_setting("insert_deduplication_token", &block.token)
            .with_timeouts(Some(self.timeout), Some(self.timeout));
        for (name, value) in INSERT_SETTINGS {
            insert = insert.with_setting(name, value);
        }
        let sent = async {
            insert.send(block.body.clone()).await?;
            insert.end().await
        };
        sent.await.map_err(|error| ServerError::of(&error))
    }

    /// What a failure means for the engine, in a sentence that says what to do.
    pub(super) fn port_error(&self, action: &str, error: &ServerError) -> PortError {
        let Self { server, user, .. } = self;
        let again = error.may_recover || error.is_missing();
        let advice = match error.code {
            Some(code) if NOT_ALLOWED.contains(&code) => {
                format!("check user and password of {user}, and its rights on the database, then start again")
            }
            Some(_) if error.may_recover => "trying again".to_owned(),
            _ if error.is_missing() => "it is created again".to_owned(),
            Some(_) => "correct that on the server, then start again".to_owned(),
            None if error.may_recover => "is the server running? trying again".to_owned(),
            None => "check the URL and what answers there, then start again".to_owned(),
        };
        let message = format!("ClickHouse at {server} did not {action}: {error}; {advice}");
        if again { PortError::Retry(message) } else { PortError::Stop(message) }
    }
}

/// What every insert is made with. The server's defaults differ between versions; exactly-once must not.
const INSERT_SETTINGS: [(&str, &str); 7] = [
    // Acknowledged when it is a part of the table, not when it waits in a buffer.
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    // A roll-up takes a repeated block by its own account: if the table had it already and the roll-up not, it does.
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    // A block of ours is one block of the server's.
    ("max_insert_block_size", "100000000"),
    ("min_insert_block_size_rows", "100000000"),
    ("min_insert_block_size_bytes", "100000000000"),
    // Late events may be of any day.
    ("max_partitions_per_insert_block", "0"),
];

/// One insert.
pub(super) struct Insert {
    /// The table, for messages.
    pub(super) table: String,
    /// `INSERT INTO … FORMAT ArrowStream`.
    pub(super) statement: String,
    /// What the server knows the block by.
    pub(super) token: String,
    /// The rows.
    pub(super) body: Bytes,
}

fn pooled<C>(connector: C) -> clickhouse::Client
where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let builder =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
    clickhouse::Client::with_http_client(builder)
}

/// Tries again what may recover.
async fn persist<T, F: Future<Output = Result<T, ServerError>>>(attempt: impl Fn() -> F) -> Result<T, ServerError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.may_recover => {
                tracing::debug!(%error, ?pause, "ClickHouse: trying again");
                tokio::time::sleep(jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
    attempt().await
}

/// Between half of `pause` and the whole of it.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) >> 32;
    pause.mul_f64(0.5 + random as f64 / f64::from(u32::MAX) / 2.0)
}
