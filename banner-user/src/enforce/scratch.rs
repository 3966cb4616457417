//! A directory on bpffs for a test of what is pinned.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    kernel::{Kernel, KernelError, MapSizes},
    migration::Migration,
    pins::{Pins, PinsError, PinsLock},
};

/// Removed with everything in it when dropped.
pub(crate) struct Scratch {
    path: PathBuf,
    pub(crate) pins: Pins,
}

impl Scratch {
    /// None where the test is skipped, because pinning needs root; never in CI.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "tests of what is pinned need root");
            println!("skipped: pinning needs root");
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/sys/fs/bpf/banner-test-unit-{}-{number}", std::process::id()));
        let pins = Pins::new(&path);
        pins.check().unwrap();
        Some(Self { path, pins })
    }

    /// [`Kernel::load`], once the lock is free.
    pub(crate) fn load(&self, sizes: MapSizes) -> Result<(Kernel, Option<Migration>), KernelError> {
        once_free(
            || Kernel::load(&self.pins, sizes),
            |error| matches!(error, KernelError::Pins(PinsError::InUse { .. })),
        )
    }

    /// [`Pins::prepare`], once the lock is free.
    pub(crate) fn prepare(&self) -> PinsLock {
        once_free(|| self.pins.prepare(), |error| matches!(error, PinsError::InUse { .. })).unwrap()
    }
}

/// Another test's thread may be starting a process: its child holds every lock of this process from fork(2) to execve(2).
fn once_free<T, E>(attempt: impl Fn() -> Result<T, E>, is_taken: impl Fn(&E) -> bool) -> Result<T, E> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match attempt() {
            Err(error) if is_taken(&error) && Instant::now() < deadline => thread::yield_now(),
            result => return result,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a test leaves behind would outlive it.
        let _ = fs::remove_dir_all(&self.path);
    }
}
