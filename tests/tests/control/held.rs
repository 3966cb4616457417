//! A daemon whose loop hangs, or does not get on with its start, while its other threads go on: a debugger holds it.

use std::fs;

use anyhow::{Context as _, bail};
use banner_tests::installation::Daemon;
use nix::{
    libc,
    sys::{
        ptrace,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// The main thread of a daemon, which stands still until this is dropped.
pub(crate) struct Held(Pid);

/// In none of these a thread may stand still. The allocator has locked what its other threads need, too, while it asks for
/// memory, and whoever writes to standard error has locked that.
const LOCKED: [i64; 8] = [
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_write,
];

impl Held {
    /// Holds it in the next system call that it makes with nothing locked.
    pub(crate) fn main_thread(daemon: &Daemon) -> anyhow::Result<Self> {
        let thread = Pid::from_raw(i32::try_from(daemon.pid())?);
        ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD).context("PTRACE_SEIZE")?;
        ptrace::interrupt(thread).context("PTRACE_INTERRUPT")?;
        let held = Self(thread);
        loop {
            match waitpid(thread, Some(WaitPidFlag::__WALL)).context("waiting for the thread to stop")? {
                WaitStatus::PtraceSyscall(_) if !LOCKED.contains(&held.system_call()?) => return Ok(held),
                WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) => ptrace::syscall(thread, None),
                WaitStatus::Stopped(_, signal) => ptrace::syscall(thread, signal),
                ended @ (WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive) => bail!("{ended:?}"),
            }
            .context("PTRACE_SYSCALL")?;
        }
    }

    /// The system call that the thread is in.
    fn system_call(&self) -> anyhow::Result<i64> {
        let now = fs::read_to_string(format!("/proc/{0}/task/{0}/syscall", self.0))?;
        now.split(' ').next().and_then(|number| number.parse().ok()).with_context(|| format!("no system call: {now}"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Fails where it is dead.
        let _: nix::Result<()> = ptrace::detach(self.0, None);
    }
}
