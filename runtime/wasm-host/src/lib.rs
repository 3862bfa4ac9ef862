//! The sandbox: loads, limits and calls metric components.
