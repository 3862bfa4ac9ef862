//! How the process gets its memory.

/// Makes the C library's allocator, which RocksDB uses, share two pools among all threads, for memory that many pools keep
/// for themselves is lost to everyone else: with millions of keys tens of megabytes. Rust has its own allocator.
///
/// To be called before other threads start.
pub fn share_pools() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` only sets a parameter of the allocator, which it guards itself; that it may refuse is harmless.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    }
}
