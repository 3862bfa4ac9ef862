//! Trying again: what a port says may go away by itself.

use crate::error::EngineError;
use crate::ports::PortError;
use std::time::Duration;

/// Most attempts, with a pause that doubles from [`FIRST_PAUSE`] up to [`LONGEST_PAUSE`]: about two minutes.
const ATTEMPTS: u32 = 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause behind the first attempt.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Repeats what may recover, with pauses that grow from `pause`.
pub(crate) fn retry<T>(
    mut pause: Duration,
    mut attempt: impl FnMut() -> Result<T, PortError>,
) -> Result<T, EngineError> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(PortError::Retry(message)) => {
                tracing::warn!(%message, ?pause, "trying again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return Ok(result?),
        }
    }
    Ok(attempt()?)
}
