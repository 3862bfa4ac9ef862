//! The runtime of a client that is used like any other code: by threads that wait for their answers.

use std::io;
use tokio::runtime::{Builder, Runtime};

/// A runtime that may be dropped anywhere, by asynchronous code as well: nothing is waited for.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// Without threads of its own: requests make progress while somebody waits for one.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    /// Waits for `future`. Several threads may.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("taken only when it is dropped").block_on(future)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asynchronous_code_may_drop_it() {
        let (outer, inner) = (OwnRuntime::start().unwrap(), OwnRuntime::start().unwrap());
        assert_eq!(inner.block_on(async { 1 }), 1);
        outer.block_on(async move { drop(inner) });
    }
}
