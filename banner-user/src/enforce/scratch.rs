//! A directory on bpffs for a test of what is pinned.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use super::pins::Pins;

/// Removed with everything in it when dropped.
pub(super) struct Scratch {
    path: PathBuf,
    pub(super) pins: Pins,
}

impl Scratch {
    /// None where the test is skipped, because pinning needs root; never in CI.
    pub(super) fn new() -> Option<Self> {
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
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a test leaves behind would outlive it.
        let _ = fs::remove_dir_all(&self.path);
    }
}
