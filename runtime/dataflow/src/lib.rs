//! Event time, watermarks, windows, joins and lateness, as plain data and functions.
//!
//! This crate decides *when* things happen and *which rows belong together*. It does no input or output, reads no
//! clock, draws no random number and starts no thread (`clippy.toml` in this folder bans them), so that everything
//! it decides is a function of its arguments. The engine feeds it rows and watermarks and acts on the answers.
//!
//! The semantics are Apache Flink's wherever Flink has them; the module docs name the class that each one follows.

pub mod time;
pub mod watermark;
pub mod key_group;
pub mod window;
pub mod session;
pub mod join;

pub use key_group::{KeyGroup, KeyGroups};
pub use time::{EventTime, Window};
