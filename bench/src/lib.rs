//! Benchmarks: the baseline program that the job is compared with, and the boundary.
