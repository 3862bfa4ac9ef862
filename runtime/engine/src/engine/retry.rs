//! Trying again: what a port says may go away by itself, for as long as the job has patience.

use crate::error::EngineError;
use crate::ports::PortError;
use std::time::{Duration, Instant};

/// The longest pause: what has come back is found at most so much later.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long and how often what may recover is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// The pause behind the first attempt. It doubles, up to five seconds.
    pub first_pause: Duration,
    /// How long attempts are repeated; then the job stops with the last one's message.
    pub limit: Duration,
}

impl Patience {
    /// Tries for this long.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { first_pause: Duration::from_millis(50), limit }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new(Duration::from_secs(600))
    }
}

/// Repeats what may recover. An error that needs a person is returned at once.
pub fn retry<T>(patience: Patience, mut attempt: impl FnMut() -> Result<T, PortError>) -> Result<T, EngineError> {
    let mut pause = patience.first_pause;
    let mut begun: Option<Instant> = None;
    loop {
        let message = match attempt() {
            Err(PortError::Retry(message)) => message,
            result => {
                if let (Some(begun), Ok(_)) = (begun, &result) {
                    tracing::info!(seconds = begun.elapsed().as_secs(), "it works again");
                }
                return Ok(result?);
            }
        };
        let tried = begun.get_or_insert_with(Instant::now).elapsed();
        if tried >= patience.limit {
            let seconds = tried.as_secs();
            return Err(PortError::Stop(format!(
                "{message}; given up after {seconds} s (`job.patience_s`): mend it and start again, the job goes on where it was"
            ))
            .into());
        }
        tracing::warn!(%message, ?pause, "trying again");
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_NOW: &str = "not now";

    /// Fails so many times, then works.
    fn failing(times: u32) -> impl FnMut() -> Result<u32, PortError> {
        let mut count = 0;
        move || {
            count += 1;
            if count > times { Ok(count) } else { Err(PortError::Retry(NOT_NOW.to_owned())) }
        }
    }

    #[test]
    fn it_is_tried_until_it_works_or_patience_ends() {
        let patience = Patience { first_pause: Duration::ZERO, limit: Duration::from_secs(600) };
        assert_eq!(retry(patience, failing(1_000)).expect("works"), 1_001);
        let none = Patience { limit: Duration::ZERO, ..patience };
        let message = retry(none, failing(1)).expect_err("no patience").to_string();
        assert!(message.starts_with(NOT_NOW) && message.contains("patience_s"), "{message}");
    }

    #[test]
    fn what_needs_a_person_is_not_tried_again() {
        let mut attempts = 0;
        let result: Result<(), _> = retry(Patience::default(), || {
            attempts += 1;
            Err(PortError::Stop("never".to_owned()))
        });
        assert!(result.is_err() && attempts == 1);
    }
}
