//! A daemon whose loop hangs, or does not get on with its start, while its other threads go on: a debugger holds it.

use anyhow::{Context as _, ensure};
use banner_tests::installation::Daemon;
use nix::{
    sys::{
        ptrace,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// The main thread of a daemon, which stands still until this is dropped.
pub(crate) struct Held(Pid);

impl Held {
    /// Holds it wherever it is.
    pub(crate) fn main_thread(daemon: &Daemon) -> anyhow::Result<Self> {
        let thread = Pid::from_raw(i32::try_from(daemon.pid())?);
        ptrace::seize(thread, ptrace::Options::empty()).context("PTRACE_SEIZE")?;
        ptrace::interrupt(thread).context("PTRACE_INTERRUPT")?;
        let held = waitpid(thread, Some(WaitPidFlag::__WALL)).context("waiting for the thread to stop")?;
        ensure!(matches!(held, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)), "{held:?}");
        Ok(Self(thread))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Fails where it is dead.
        let _: nix::Result<()> = ptrace::detach(self.0, None);
    }
}
