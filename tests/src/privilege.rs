//! What the packet tests need from the machine: root, and a mounted bpffs.

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Where bpffs is mounted by convention (`Documentation/bpf/`), and by systemd.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Whether programs can be loaded. Where they cannot, one line says what is skipped and how to get it; mounts bpffs where it
/// is missing.
///
/// # Errors
/// In CI (the variable `CI` is set) a missing privilege is a failure, so that a green run has tested everything. A mount that
/// fails is one everywhere.
pub fn can_load_programs(skipped: &str) -> anyhow::Result<bool> {
    if !nix::unistd::geteuid().is_root() {
        let remedy =
            "loading programs into the kernel needs root; run the tests with `sudo -E cargo test -p banner-tests`";
        if std::env::var_os("CI").is_some() {
            bail!("{skipped}: {remedy}");
        }
        // Straight to the descriptor: the test harness swallows what a passing test prints.
        writeln!(std::io::stderr(), "skipped: {skipped}: {remedy}")?;
        return Ok(false);
    }
    mount_bpffs()?;
    Ok(true)
}

fn mount_bpffs() -> anyhow::Result<()> {
    let path = Path::new(BPFFS);
    let mounted = || statfs(path).is_ok_and(|filesystem| filesystem.filesystem_type() == BPF_FS_MAGIC);
    if mounted() {
        return Ok(());
    }
    match mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), None::<&str>) {
        Ok(()) => Ok(()),
        // Another test was quicker.
        Err(Errno::EBUSY) if mounted() => Ok(()),
        Err(errno) => Err(errno)
            .with_context(|| format!("mounting bpffs at {BPFFS}; is CONFIG_BPF_SYSCALL set, is /sys writable?")),
    }
}
