//! Write a Tidemark metric in Rust: typed input, state and output for one key and one window.
