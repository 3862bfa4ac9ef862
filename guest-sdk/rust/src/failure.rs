//! What a metric answers when it cannot handle a group.

use std::fmt;

/// Why one group failed, for a person. The host keeps the group's state as it was and puts its rows aside as a dead
/// letter with this message; no other group is affected.
///
/// ```
/// # use tidemark_metric::Failure;
/// fn share(part: i64, whole: i64) -> Result<f64, Failure> {
///     if whole == 0 {
///         return Err("a share of nothing".into());
///     }
///     Ok(part as f64 / whole as f64)
/// }
/// assert_eq!(share(1, 0).unwrap_err().to_string(), "a share of nothing");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self(message)
    }
}
