//! Secrets: read from the environment or a file, never from the configuration itself, and never shown.

use std::fmt;
use std::path::Path;
use tidemark_engine::ports::PortError;

/// Most bytes of a file with a secret.
const MOST_BYTES: u64 = 64 << 10;

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The content of the file at `path`, without the line end, if a path is given; else the environment variable
    /// `variable`; `None` where that is not set.
    ///
    /// # Errors
    /// [`PortError::Stop`] for a file that cannot be read.
    pub fn read(path: Option<&Path>, variable: &str) -> Result<Option<Self>, PortError> {
        let Some(path) = path else {
            return Ok(std::env::var(variable).ok().map(Self));
        };
        let unreadable = |reason: &str| {
            PortError::Stop(format!(
                "cannot read the secret in {}: {reason}; check the path and its rights",
                path.display()
            ))
        };
        let length = std::fs::metadata(path).map_err(|error| unreadable(&error.to_string()))?.len();
        if length > MOST_BYTES {
            return Err(unreadable(&format!("it has {length} bytes, at most {MOST_BYTES} are taken")));
        }
        let content = std::fs::read_to_string(path).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Some(Self(content.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// The text, for whom it is meant.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_before_the_environment_and_nothing_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "open sesame\n").unwrap();
        let secret = Secret::read(Some(&path), "PATH").unwrap().unwrap();
        assert_eq!(secret.expose(), "open sesame");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(Secret::read(None, "PATH").unwrap().is_some());
        assert!(Secret::read(None, "TIDEMARK_NO_SUCH_VARIABLE").unwrap().is_none());
        let error = Secret::read(Some(&folder.path().join("none")), "PATH").unwrap_err().to_string();
        assert!(error.contains("cannot read the secret in"), "{error}");
    }
}
