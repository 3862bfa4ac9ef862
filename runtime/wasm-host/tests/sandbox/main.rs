//! What a hostile or broken module can do, and what becomes of it: in every case the other groups have their results.

mod support;

mod admission;
mod attacks;
mod cache;
mod contract;
mod handmade;
mod limits;
mod memories;
mod results;
