//! Keyed state on RocksDB behind a write-back cache with a byte budget: the real [`tidemark_engine::ports::StateBackend`].
//!
//! A worker's `shard` reads and writes its own `cache` and `timers` and touches RocksDB only for what is not there.
//! Nothing is written before the commit, when the `backend` puts every shard's changes into one synced batch. Keys and
//! values are opaque bytes, but for the first four bytes of a key, which name its stage and key group (`layout`).
//!
//! Time to live is the engine's matter, by timers. RocksDB only reclaims the space of what was deleted; a compaction
//! filter, should one be wanted, belongs into `options`.
//!
//! Modules stand in the order in which data meets them.

mod settings;

mod cache;
mod shard;
mod timers;

mod backend;
mod database;
mod layout;
mod options;
mod view;

mod error;
mod inspect;

pub use backend::RocksState;
pub use database::StageSize;
pub use error::StateError;
pub use inspect::{StateInspector, StateTelemetry};
pub use settings::{SettingsError, StateSettings};
