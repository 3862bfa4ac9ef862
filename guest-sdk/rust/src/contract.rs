//! The contract, `wit/metric.wit`, as Rust types. The same types serve the component and native tests; only the exports
//! exist in WebAssembly alone.

/// What wit-bindgen makes of the world.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "metric-module",
        pub_export_macro: true,
        export_macro_name: "export_module",
        runtime_path: "::tidemark_metric::macro_support::wit_bindgen::rt",
        default_bindings_module: "::tidemark_metric::contract::bindings",
    });
}

pub use bindings::exports::tidemark::metric::metric::Guest;
pub use bindings::tidemark::metric::types::{
    Batch, ByteStrings, CloseReason, Column, Emitted, Failure as GroupFailure, Folded, Groups, Timer, Values,
};

#[expect(clippy::new_without_default, reason = "generated types get no further traits, so that the contract decides")]
impl ByteStrings {
    /// No string, no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { ends: Vec::new(), bytes: Vec::new() }
    }

    /// Number of strings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// String `index`; empty where the buffers do not have it.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        span(&self.ends, index).and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// Ends the string that was written to `bytes` since the last one.
    pub fn end_string(&mut self) {
        let end = u32::try_from(self.bytes.len()).expect("the memory of a component is smaller than 4 GiB");
        self.ends.push(end);
    }

    /// Adds one string.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end_string();
    }
}

impl Groups {
    /// The rows of group `index`.
    #[must_use]
    pub fn rows(&self, index: usize) -> std::ops::Range<usize> {
        span(&self.row_ends, index).map_or(0..0, |(start, end)| start..end)
    }
}

/// Where item `index` begins and ends, from the ends of all items.
pub(crate) fn span(ends: &[u32], index: usize) -> Option<(usize, usize)> {
    let end = *ends.get(index)? as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    Some((start, end))
}
