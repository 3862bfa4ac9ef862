//! Fail points: named steps of the durable protocols, where a test ends the process to see what recovery makes of it.
//!
//! Each protocol lists its steps in a constant (`FAIL_POINTS`), so that a test can walk through all of them.

use std::sync::Arc;

/// Called with the name of each step as it is reached.
pub type FailPoint = Arc<dyn Fn(&'static str) + Send + Sync>;

/// What production passes: nothing happens.
#[must_use]
pub fn disabled() -> FailPoint {
    Arc::new(|_| ())
}
