//! Sources, decoding, cleansing, sinks and the checkpoint store.

pub mod cleanse;
pub mod kafka;
pub mod source;
pub mod sink;

pub mod checkpoint;
pub mod fail_point;
pub mod module_store;
pub mod object_storage;

mod durable;
mod own_runtime;
mod side_by_side;
