//! Event paths and names as a configuration may write them.

use std::path::{Path, PathBuf};

/// First segments that an event path can have.
const ENVELOPE: [&str; 6] = ["id", "type", "timestamp", "gateway", "data", "enrich"];

/// Checks the form of an event path, such as `data.inference_status.fps`. The error says what to write instead.
pub fn check_event_path(path: &str) -> Result<(), String> {
    let mut segments = path.split('.');
    let first = segments.next().unwrap_or_default();
    if !ENVELOPE.contains(&first) {
        let known = ENVELOPE.join(", ");
        return Err(format!("\"{path}\" is not an event path: it must start with one of {known}, as in \"data.fps\""));
    }
    if path.split('.').any(str::is_empty) {
        return Err(format!("\"{path}\" is not an event path: a segment between dots is empty"));
    }
    let more = segments.count();
    match first {
        "enrich" if more != 2 => Err(format!("\"{path}\" must have the form \"enrich.<table>.<field>\"")),
        "id" | "type" | "timestamp" | "gateway" if more != 0 => {
            Err(format!("\"{path}\" goes into \"{first}\", which is a single value: write \"{first}\""))
        }
        _ => Ok(()),
    }
}

/// Checks a name of a job, metric or table: lower-case letters, digits and `-`, starting with a letter, at most 64.
pub fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let letters = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    if starts && letters && name.len() <= 64 {
        return Ok(());
    }
    let rule = "lower-case letters, digits and hyphens, starting with a letter, at most 64 of them";
    Err(format!("\"{name}\" is not a name: use {rule}"))
}

/// `path` as seen from the folder of the configuration file.
#[must_use]
pub fn beside(config_file: &Path, path: impl AsRef<Path>) -> PathBuf {
    match config_file.parent() {
        Some(folder) => folder.join(path),
        None => path.as_ref().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_paths_into_events() {
        for path in ["data", "data.a.0.b", "type", "timestamp", "enrich.orchestrators.name"] {
            assert_eq!(check_event_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn refuses_what_is_no_path() {
        for path in ["", "fps", "data..fps", "data.", "type.x", "enrich.table", "enrich.a.b.c"] {
            assert!(check_event_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("prompt-to-first-frame").is_ok());
        for name in ["", "A", "a_b", "1a", "a/b", "-a", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
