//! Waiting that a Ctrl-C ends like any other error, so that everything is taken down as after one.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Between two looks.
const STEP: Duration = Duration::from_millis(5);

/// The signals that end a demonstration (SIGINT, SIGTERM, SIGHUP), caught.
pub(super) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// From now on they no longer end the process.
    pub(super) fn catch() -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let handler = move || {
            // Nobody receives once the demonstration is over.
            let _ = sender.send(());
        };
        ctrlc::set_handler(handler).context("cannot catch signals")?;
        Ok(Self(receiver))
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
        self.pause(Duration::ZERO)
    }

    fn pause(&self, time: Duration) -> Result<()> {
        match self.0.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => bail!("interrupted; everything is taken down"),
        }
    }
}
