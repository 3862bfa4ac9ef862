//! Cleansing: raw records become rows or dead letters.
//!
//! A record is parsed once. [`structure`] finds its tokens, [`cursor`] walks over them and checks the grammar, and
//! [`event`] takes from the walk what the tree of wanted paths ([`trie`]) asks for: the envelope, the columns of the
//! metrics, and what schema rules look at. Nothing here reads a clock or remembers an earlier event: a block always
//! becomes the same batch. Deduplication and the lookup itself need state and belong to the engine.
//!
//! A parser of its own, and not one from a library, because the libraries' fast ways of passing over unwanted values
//! either do not check them or recurse once a bracket, which a record of a million brackets turns into a crash.

mod block;
mod column;
mod compiled;
mod cursor;
mod decoder;
mod escape;
mod event;
mod event_id;
mod event_time;
mod number;
mod schema;
mod settings;
mod structure;
mod table;
mod trie;
mod types;

pub use block::{KEPT_OF_TOO_LONG, RawBlock, RawRecord};
pub use decoder::Decoder;
pub use settings::{CleanseSettings, EnvelopeSettings, Range, SchemaSettings, SettingsErrors, UnknownTypes};
pub use table::{TableError, TableSettings, read_table_files};

#[cfg(test)]
mod tests;
