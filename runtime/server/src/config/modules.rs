//! `[modules]`: which modules may come in while the job runs.

use super::section::Section;
use crate::modules::PublicKey;

/// `[modules]`.
#[derive(Clone, Debug, Default)]
pub struct ModuleSettings {
    /// Keys, one of which must have signed a module; none: every module may come in.
    pub trusted_keys: Vec<PublicKey>,
}

impl ModuleSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let mut trusted_keys = Vec::new();
        for (place, text) in section.texts("trusted_keys").unwrap_or_default().iter().enumerate() {
            match text.parse() {
                Ok(key) => trusted_keys.push(key),
                Err(message) => section.mistake(&format!("trusted_keys[{place}]"), message),
            }
        }
        section.finish();
        Self { trusted_keys }
    }
}
