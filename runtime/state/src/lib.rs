//! Keyed state on RocksDB behind a write-back cache with a byte budget.
