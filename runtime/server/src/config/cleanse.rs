//! `[cleanse]`: from raw records to events. All of it but `dedup` is defined by the connectors.

use super::paths::beside;
use super::section::Section;
use std::path::Path;
use std::sync::Arc;
use tidemark_connectors::cleanse::{CleanseSettings, Decoder};
use tidemark_engine::DedupSettings;

/// `[cleanse.dedup]`: events with an id that was seen before are dropped. `None`: they are not.
fn read_dedup(mut section: Section<'_>) -> Option<DedupSettings> {
    let enabled = section.boolean("enabled").unwrap_or(true);
    let window_ms = section.integer_or("window_ms", 1_000..=7 * 24 * 60 * 60_000, 600_000);
    let max_ids = section.count_or("max_ids", 1..=1 << 32, 2 << 20);
    section.finish();
    enabled.then_some(DedupSettings { window_ms, max_ids })
}

pub(super) fn read(mut section: Section<'_>, config_file: &Path) -> (Option<DedupSettings>, CleanseSettings) {
    let dedup = read_dedup(section.section("dedup"));
    let mut settings: CleanseSettings = section.rest();
    if let Err(mistakes) = Decoder::new(&settings, Arc::default()) {
        section.mistakes(mistakes.0);
    }
    for file in settings.table.iter_mut().filter_map(|table| table.file.as_mut()) {
        *file = beside(config_file, &*file);
    }
    (dedup, settings)
}
