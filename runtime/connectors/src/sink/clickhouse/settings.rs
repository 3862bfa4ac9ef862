//! Settings of the ClickHouse sink: plain data, checked whole before a socket opens.

use super::cold::ColdSettings;
use serde::Deserialize;
use std::path::PathBuf;

/// Most bytes that any of the size settings may ask for.
const MOST_BYTES: u64 = 4 << 30;
/// Most days of a retention: a hundred years.
const MOST_DAYS: u32 = 36_500;

/// Where and how rows go to ClickHouse. A database belongs to one job.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseSettings {
    /// The server's HTTP interface, `http://` or `https://`. No credentials in it.
    pub url: String,
    /// The database, created if it is missing.
    pub database: String,
    /// Who writes.
    pub user: String,
    /// A file with the password. Without it the password comes from `password_env`.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the password; not set: no password.
    pub password_env: String,
    /// Whether the archive's events are kept as well, with their JSON.
    pub events: bool,
    /// How long rows are kept, by event time; 0 keeps them for ever.
    pub ttl_days: u32,
    /// Roll-ups of every metric.
    pub roll_ups: RollUpSettings,
    /// Where the Parquet sink keeps all rows for ever, if they are to be read through ClickHouse.
    pub cold: Option<ColdSettings>,
    /// Most rows of an insert.
    pub block_rows: usize,
    /// Bytes in memory at which an insert is closed.
    pub block_bytes: u64,
    /// Rows of the running epoch held in memory over all tables; more are moved to the outbox.
    pub buffer_bytes: u64,
    /// Inserts under way at one time: each holds one compressed block in memory.
    pub inserts_at_once: usize,
    /// How long the server may take over one request.
    pub timeout_ms: u64,
}

/// Roll-ups: aggregate states by key, in steps of five minutes and of one hour.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RollUpSettings {
    /// Whether metrics get them. Those that are there go on.
    pub enabled: bool,
    /// The quantiles that can be read, each in (0, 1).
    pub quantiles: Vec<f64>,
    /// How long steps of five minutes are kept; 0 keeps them for ever.
    pub five_minutes_ttl_days: u32,
    /// How long steps of one hour are kept; 0 keeps them for ever.
    pub one_hour_ttl_days: u32,
}

impl Default for ClickHouseSettings {
    fn default() -> Self {
        Self {
            url: "http://localhost:8123".to_owned(),
            database: "tidemark".to_owned(),
            user: "default".to_owned(),
            password_file: None,
            password_env: "TIDEMARK_CLICKHOUSE_PASSWORD".to_owned(),
            events: true,
            ttl_days: 90,
            roll_ups: RollUpSettings::default(),
            cold: None,
            block_rows: 500_000,
            block_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            inserts_at_once: 4,
            timeout_ms: 120_000,
        }
    }
}

impl Default for RollUpSettings {
    fn default() -> Self {
        let quantiles = vec![0.5, 0.9, 0.95, 0.99];
        Self { enabled: true, quantiles, five_minutes_ttl_days: 400, one_hour_ttl_days: 0 }
    }
}

impl ClickHouseSettings {
    /// From when on the server has every row of a metric: an expression of the time at which it is evaluated.
    pub(super) fn complete_since(&self) -> String {
        match self.ttl_days {
            0 => "toDateTime64('1900-01-01', 3, 'UTC')".to_owned(),
            days => format!("toDateTime64(toStartOfDay(now('UTC')) - toIntervalDay({}), 3, 'UTC')", days - 1),
        }
    }

    /// Every mistake, one sentence each, names relative to this table.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        match url::Url::parse(&self.url) {
            Ok(url) if !["http", "https"].contains(&url.scheme()) || !url.has_host() => {
                mistakes.push("url must begin with http:// or https:// and name a host".to_owned());
            }
            // Not shown: a URL with credentials in it is what this is about.
            Ok(url) if !url.username().is_empty() || url.password().is_some() => mistakes.push(
                "url must hold no credentials: use user, and password_file or the environment variable of password_env"
                    .to_owned(),
            ),
            Ok(_) => {}
            Err(error) => mistakes.push(format!("url is no URL: {error}")),
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.database.is_empty() || self.database.len() > 64 || !self.database.chars().all(plain) {
            mistakes.push("database must be 1 to 64 letters, digits and underscores".to_owned());
        }
        let mut check = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("{name} = {value} must be from {least} to {most}"));
            }
        };
        check("ttl_days", self.ttl_days.into(), 0, MOST_DAYS.into());
        check("block_rows", self.block_rows as u64, 1, 1_000_000);
        check("block_bytes", self.block_bytes, 64 << 10, MOST_BYTES);
        check("buffer_bytes", self.buffer_bytes, 64 << 10, MOST_BYTES);
        check("inserts_at_once", self.inserts_at_once as u64, 1, 64);
        check("timeout_ms", self.timeout_ms, 100, 3_600_000);
        check("roll_ups.five_minutes_ttl_days", self.roll_ups.five_minutes_ttl_days.into(), 0, MOST_DAYS.into());
        check("roll_ups.one_hour_ttl_days", self.roll_ups.one_hour_ttl_days.into(), 0, MOST_DAYS.into());
        check("roll_ups.quantiles: their number", self.roll_ups.quantiles.len() as u64, 1, 20);
        if self.roll_ups.quantiles.iter().any(|level| !(*level > 0.0 && *level < 1.0)) {
            mistakes.push("roll_ups.quantiles must be numbers between 0 and 1".to_owned());
        }
        mistakes.extend(self.cold.iter().flat_map(ColdSettings::mistakes));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_no_mistakes_and_every_mistake_is_reported() {
        assert_eq!(ClickHouseSettings::default().mistakes(), Vec::<String>::new());
        let settings: ClickHouseSettings = serde_json::from_str(
            r#"{"url": "http://me:mine@host", "database": "a;b", "block_rows": 0, "roll_ups": {"quantiles": [1.5]}}"#,
        )
        .unwrap();
        let mistakes = settings.mistakes();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| !mistake.contains("mine")), "{mistakes:?}");
        assert!(serde_json::from_str::<ClickHouseSettings>(r#"{"password": "x"}"#).is_err());
    }
}
