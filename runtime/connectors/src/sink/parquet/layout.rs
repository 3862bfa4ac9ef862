//! Where rows lie: `events/date=YYYY-MM-DD/type=T`, `metrics/date=…/metric=M`, `dead_letters/date=…`.
//!
//! Event types come from outside, so a folder's name is built from harmless characters only, is short, and there are at
//! most so many of them below one date. The `type` column always has the whole type.

use super::settings::ParquetSettings;
use super::storage::Storage;
use chrono::{DateTime, Datelike};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// The folder of event types beyond the limit.
pub(super) const OTHER_TYPES: &str = "type=__other__";

/// Encoded names longer than this are cut and end with a hash of the whole.
const LONGEST_VALUE: usize = 96;

/// A table's folder below the root, and how many levels of partition folders it has.
pub(super) const fn table_folder(kind: &TableKind) -> (&'static str, usize) {
    match kind {
        TableKind::Events => ("events", 2),
        TableKind::Metric(_) => ("metrics", 2),
        TableKind::DeadLetters => ("dead_letters", 1),
    }
}

/// The columns by which rows of a file are sorted; rows equal in all of them stay in the order of writing.
pub(super) const fn sort_columns(kind: &TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Events | TableKind::DeadLetters => &["event_time", "partition", "offset"],
        TableKind::Metric(_) => &["key", "event_time"],
    }
}

/// The table that a partition folder (relative to the root) belongs to. The name of a metric is left encoded.
pub(super) fn kind_of_folder(folder: &str) -> Option<TableKind> {
    let (table, rest) = folder.split_once('/')?;
    match table {
        "events" => Some(TableKind::Events),
        "dead_letters" => Some(TableKind::DeadLetters),
        "metrics" => rest.split_once("/metric=").map(|(_, name)| TableKind::Metric(name.to_owned())),
        _ => None,
    }
}

/// The day of a moment, counted from 1970-01-01; `None` without a moment.
pub(super) fn day(event_time_ms: Option<i64>) -> Option<i64> {
    event_time_ms.map(|ms| ms.div_euclid(86_400_000))
}

/// `date=YYYY-MM-DD`, or `date=unknown` for no day and for years that have not four digits.
pub(super) fn date_folder(day: Option<i64>) -> String {
    let date = day
        .and_then(|day| DateTime::from_timestamp(day.checked_mul(86_400)?, 0))
        .map(|moment| moment.date_naive())
        .filter(|date| (0..=9999).contains(&date.year()));
    date.map_or_else(|| "date=unknown".to_owned(), |date| format!("date={date}"))
}

/// `value` as a part of a path: ASCII letters, digits, `_`, `-` and inner dots as they are, all else percent-encoded.
pub(crate) fn partition_value(value: &str) -> String {
    if value.is_empty() {
        return "__empty__".to_owned();
    }
    let mut encoded = String::with_capacity(value.len());
    for (place, byte) in value.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => encoded.push(char::from(byte)),
            b'.' if place > 0 => encoded.push('.'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        if encoded.len() > LONGEST_VALUE {
            let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
            // `~` is never in an encoded value, so a cut name meets no whole one.
            return format!("{}~{hash:016x}", &encoded[..LONGEST_VALUE - 17]);
        }
    }
    encoded
}

/// The text that [`partition_value`] encoded; the encoded form itself where it was cut.
pub(super) fn decode_partition_value(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let value = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| encoded.to_owned())
}

/// Gives rows their folder, and counts the event types below each date.
///
/// Which types have a folder is a function of the committed files and of the order of rows: the types of a date are
/// read from the disk when the date is first met, and kept as long as an epoch that is not visible yet may need them.
pub(super) struct Folders {
    storage: Arc<dyn Storage>,
    most_types: usize,
    types_of_date: BTreeMap<String, BTreeSet<String>>,
    dates_of_epoch: BTreeSet<String>,
}

impl Folders {
    pub(super) fn new(storage: Arc<dyn Storage>, settings: &ParquetSettings) -> Self {
        Self {
            storage,
            most_types: settings.event_types,
            types_of_date: BTreeMap::new(),
            dates_of_epoch: BTreeSet::new(),
        }
    }

    /// The folder, relative to the root, of rows of a table on `day`; `event_type` for events only.
    pub(super) fn folder(&mut self, kind: &TableKind, day: Option<i64>, event_type: &str) -> Result<String, PortError> {
        let date = date_folder(day);
        Ok(match kind {
            TableKind::Events => {
                let event_type = self.type_folder(&date, event_type)?;
                format!("events/{date}/{event_type}")
            }
            TableKind::Metric(name) => format!("metrics/{date}/metric={}", partition_value(name)),
            TableKind::DeadLetters => format!("dead_letters/{date}"),
        })
    }

    fn type_folder(&mut self, date: &str, event_type: &str) -> Result<String, PortError> {
        let folder = format!("type={}", partition_value(event_type));
        self.dates_of_epoch.insert(date.to_owned());
        if !self.types_of_date.contains_key(date) {
            let names = self.storage.folders(&format!("events/{date}"))?;
            let types = names.into_iter().filter(|name| name.starts_with("type=") && name != OTHER_TYPES).collect();
            self.types_of_date.insert(date.to_owned(), types);
        }
        let types = self.types_of_date.entry(date.to_owned()).or_default();
        if !types.contains(&folder) {
            if types.len() >= self.most_types {
                return Ok(OTHER_TYPES.to_owned());
            }
            types.insert(folder.clone());
        }
        Ok(folder)
    }

    /// Forgets the dates that this epoch did not touch: what earlier epochs put there is on the disk by now.
    pub(super) fn end_epoch(&mut self) {
        let touched = std::mem::take(&mut self.dates_of_epoch);
        self.types_of_date.retain(|date, _| touched.contains(date));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_utc_and_the_impossible_is_unknown() {
        assert_eq!(date_folder(day(Some(0))), "date=1970-01-01");
        assert_eq!(date_folder(day(Some(-1))), "date=1969-12-31");
        assert_eq!(date_folder(day(Some(1_767_909_059_999))), "date=2026-01-08");
        for odd in [None, Some(i64::MIN), Some(i64::MAX), Some(253_402_300_800_000)] {
            assert_eq!(date_folder(day(odd)), "date=unknown");
        }
    }

    #[test]
    fn no_type_leaves_its_folder() {
        for (value, folder) in [
            ("..", "%2E."),
            ("../../etc", "%2E.%2F..%2Fetc"),
            ("a/b", "a%2Fb"),
            ("", "__empty__"),
            ("a.b", "a.b"),
            ("\0", "%00"),
        ] {
            assert_eq!(partition_value(value), folder);
        }
        let (long, longer) = ("x".repeat(5000), "x".repeat(5001));
        assert_eq!(partition_value(&long).len(), LONGEST_VALUE);
        assert_ne!(partition_value(&long), partition_value(&longer));
    }

    proptest! {
        #[test]
        fn values_are_one_harmless_component_and_decode(value in "\\PC{0,40}|[a-z./%~]{0,120}") {
            let encoded = partition_value(&value);
            prop_assert!(encoded.len() <= LONGEST_VALUE);
            prop_assert!(!encoded.contains(['/', '\\', '\0', '=']) && !encoded.starts_with('.'));
            if !value.is_empty() && !encoded.contains('~') {
                prop_assert_eq!(decode_partition_value(&encoded), value);
            }
        }
    }

    #[test]
    fn types_beyond_the_limit_share_a_folder_and_known_ones_keep_theirs() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("events/date=1970-01-01/type=old")).unwrap();
        let settings = ParquetSettings { event_types: 2, ..ParquetSettings::default() };
        let storage = crate::sink::parquet::storage::LocalStorage::open(root.path()).unwrap();
        let mut folders = Folders::new(Arc::new(storage), &settings);
        let mut of = |event_type| folders.folder(&TableKind::Events, Some(0), event_type).unwrap();
        assert_eq!(of("new"), "events/date=1970-01-01/type=new");
        assert_eq!(of("newer"), "events/date=1970-01-01/type=__other__");
        assert_eq!(of("old"), "events/date=1970-01-01/type=old");
        assert_eq!(of("new"), "events/date=1970-01-01/type=new");
    }
}
