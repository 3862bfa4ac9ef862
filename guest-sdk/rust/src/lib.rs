//! Write a Tidemark metric in Rust: typed input, state and output, and code for one key and one window.
//!
//! ```
//! use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Metric, Output, Rows, State};
//!
//! /// Bytes that a client sent in a minute.
//! #[derive(Metric)]
//! #[metric(name = "client-bytes", key = "data.client", filter("type" = "upload"), window(tumbling = "1m"))]
//! struct ClientBytes;
//!
//! #[derive(Input)]
//! struct Upload {
//!     #[at = "data.bytes"]
//!     bytes: Option<i64>,
//! }
//!
//! #[derive(State, Default)]
//! struct Sum {
//!     bytes: i64,
//! }
//!
//! #[derive(Output)]
//! struct Total {
//!     bytes: i64,
//! }
//!
//! impl Fold for ClientBytes {
//!     type Input = Upload;
//!     type State = Sum;
//!     type Output = Total;
//!
//!     fn update(&self, sum: &mut Sum, uploads: Rows<Upload>, _: &mut Context<Total>) -> Result<(), Failure> {
//!         sum.bytes += uploads.filter_map(|upload| upload.bytes).sum::<i64>();
//!         Ok(())
//!     }
//!
//!     fn close(&self, sum: &mut Sum, _: CloseReason, context: &mut Context<Total>) -> Result<(), Failure> {
//!         context.emit(Total { bytes: sum.bytes });
//!         Ok(())
//!     }
//! }
//!
//! tidemark_metric::export!(ClientBytes);
//!
//! // The same code runs natively in tests.
//! use tidemark_metric::testing::MetricTestDriver;
//!
//! let mut driver = MetricTestDriver::new(ClientBytes);
//! driver.event(r#"{"type": "upload", "timestamp": "1000", "data": {"client": "a", "bytes": 40}}"#);
//! driver.event(r#"{"type": "upload", "timestamp": "59999", "data": {"client": "a", "bytes": 2}}"#);
//! driver.event(r#"{"type": "upload", "timestamp": "60000", "data": {"client": "a", "bytes": 7}}"#);
//! driver.advance_watermark(59_999);
//! assert_eq!(driver.rows().len(), 1);
//! assert_eq!(driver.rows()[0].bytes, 42);
//! ```
//!
//! A component made of it imports nothing: it has no clock, no random numbers, no files and no network, so its rows
//! depend on its input alone. Modules stand in the order in which data meets them.

// The macros name this crate by its name, here as well.
extern crate self as tidemark_metric;

pub mod contract;
pub mod facts;
mod failure;
pub mod json;
mod setting;
mod value;
mod input;
mod state;
mod pick;
mod context;
mod output;
mod metric;
#[doc(hidden)]
pub mod fold;
#[doc(hidden)]
pub mod join;
#[doc(hidden)]
pub mod describe;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use context::Context;
pub use contract::CloseReason;
pub use failure::Failure;
pub use input::{Input, InputField, Row, Rows, WrongColumn};
pub use metric::{Fold, Join, Merge, Metric, Migrate, Side};
pub use output::{Output, OutputColumn};
pub use pick::{EarliestText, LatestText, keep_earliest};
pub use setting::Setting;
pub use state::{Malformed, Reader, State};
pub use tidemark_metric_macros::{Input, Metric, Output, Setting, State};
pub use value::{ColumnType, Json, Value};

/// The README's metric, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What the macros need and authors do not.
#[doc(hidden)]
pub mod macro_support {
    pub use crate::setting::{Member, check_names, member, object_schema};
    pub use crate::value::ColumnBuilder;
    pub use crate::{describe, fold, join};
    pub use wit_bindgen;
}

/// Makes `$metric` the metric of this component. Once per crate; outside of WebAssembly it does nothing.
#[macro_export]
macro_rules! export {
    ($metric:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::Metric;
            use $crate::contract::{Batch, ByteStrings, CloseReason, Folded, Guest};

            struct Module;

            static METRIC: ::std::sync::OnceLock<$metric> = ::std::sync::OnceLock::new();

            /// The host configures an instance before any other call; without, it has the defaults.
            fn metric() -> &'static $metric {
                METRIC.get_or_init(|| <$metric>::configure("{}").expect("the host configures before it calls"))
            }

            impl Guest for Module {
                fn describe() -> String {
                    <$metric>::describe()
                }

                fn configure(json: String) -> Result<(), String> {
                    let configured = <$metric>::configure(&json).map_err(|failure| failure.to_string())?;
                    METRIC.set(configured).map_err(|_| "configured already".to_owned())
                }

                fn update(batch: Batch) -> Folded {
                    metric().update_groups(&batch)
                }

                fn close(batch: Batch, reason: CloseReason) -> Folded {
                    metric().close_groups(&batch, reason)
                }

                fn merge(left: ByteStrings, right: ByteStrings) -> Folded {
                    metric().merge_states(&left, &right)
                }

                fn migrate(states: ByteStrings, from: u32) -> Folded {
                    metric().migrate_states(&states, from)
                }
            }

    $crate::contract::bindings::export_module!(Module with_types_in $crate::contract::bindings);
        };
    };
}
