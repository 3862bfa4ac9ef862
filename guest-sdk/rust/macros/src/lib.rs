//! Derive macros of tidemark-metric.
