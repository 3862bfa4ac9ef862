//! What the tests against a real broker share.
#![allow(dead_code, reason = "every test binary uses a part of it")]

pub mod sink;
pub mod source;

pub use test_kafka::outside::{LONG, Outside, fresh};
