//! Waiting that a Ctrl-C ends like any other error, so that everything is taken down as after one.

use std::{
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// Milliseconds between two looks.
const STEP: u8 = 5;

/// The signals that end a demonstration, caught.
pub(super) struct Interrupt(SignalFd);

impl Interrupt {
    /// From now on they no longer end the process. Before the first thread is started, which inherits that; child processes
    /// do not.
    pub(super) fn catch() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block().context("cannot block signals")?;
        let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).context("cannot catch signals")?;
        Ok(Self(descriptor))
    }

    /// Looks again and again until there is an answer.
    ///
    /// # Errors
    /// The patience ends (`what` says for what), a signal arrives, or looking fails.
    pub(super) fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            self.pause(STEP)?;
            if let Some(answer) = look()? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                bail!("waited {} s in vain: {what}", patience.as_secs());
            }
        }
    }

    /// Whether it is still time to go on.
    ///
    /// # Errors
    /// A signal has arrived.
    pub(super) fn check(&self) -> Result<()> {
        self.pause(0)
    }

    fn pause(&self, milliseconds: u8) -> Result<()> {
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptors, PollTimeout::from(milliseconds)).context("cannot wait for signals")? > 0 {
            bail!("interrupted; everything is taken down");
        }
        Ok(())
    }
}
