//! Named steps at which a test can stop the process, to show that nothing is lost or doubled wherever that happens.

use std::sync::Arc;

/// Told of every step that is reached. In production it does nothing.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A hook that does nothing.
#[must_use]
pub fn no_hook() -> Hook {
    Arc::new(|_| ())
}

/// After a tick's rows have been folded and written to the sinks, before its epoch is closed.
pub const TICK_DONE: &str = "engine.tick.done";
/// An epoch is about to be prepared.
pub const PREPARE: &str = "engine.epoch.prepare";
/// Every sink has made the epoch durable.
pub const PREPARED: &str = "engine.epoch.prepared";
/// The tick log has the epoch.
pub const LOGGED: &str = "engine.epoch.logged";
/// A change of the metrics is in effect in memory, and neither logged nor committed.
pub const CHANGED: &str = "engine.change.applied";
/// The state has the epoch: the commit point has passed.
pub const COMMITTED: &str = "engine.epoch.committed";
/// Every sink shows the epoch.
pub const FINALISED: &str = "engine.epoch.finalised";
/// An image of the state was made for a checkpoint.
pub const SNAPSHOT: &str = "engine.checkpoint.snapshot";
/// The checkpoint store has it.
pub const CHECKPOINTED: &str = "engine.checkpoint.saved";

/// Fail points of changes of the metrics.
pub const OF_CHANGES: [&str; 1] = [CHANGED];

/// The engine's fail points, in the order in which an epoch reaches them.
pub const ALL: [&str; 8] = [TICK_DONE, PREPARE, PREPARED, LOGGED, COMMITTED, FINALISED, SNAPSHOT, CHECKPOINTED];
