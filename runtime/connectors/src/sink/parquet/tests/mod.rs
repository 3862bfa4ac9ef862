//! Tests of the sink as its users see it: the folder it leaves, whatever happens in between.

mod crashes;
pub(crate) mod driver;
mod faults;
mod objects;
mod reading;
pub(crate) mod s3_server;
