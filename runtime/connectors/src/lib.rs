//! Sources, decoding, cleansing, sinks and the checkpoint store.

pub mod cleanse;
pub mod source;
