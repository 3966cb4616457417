//! Memory that is free goes back to the system.

#![expect(unsafe_code, reason = "no crate has this function of the C library")]

/// Gives back what a start or a reload has left free in the heap: to compile the filters takes more than they are.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: any thread may call it at any time, and only memory that nobody has is touched (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
