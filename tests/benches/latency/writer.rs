//! Other traffic in the log: a thread that appends ordinary lines at a pace.

use std::{
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::bail;
use banner_tests::{
    mail_log::{MailLog, line},
    measure::pause,
};

/// How many lines a second there should be.
const PACE: u32 = 100_000;

/// Between two looks at the clock; what is due is then written at once.
const STEP: Duration = Duration::from_millis(1);

/// The most that is written at once, after the machine has done other things.
const BATCH_MAX: u64 = 10_000;

pub(crate) struct Writer {
    stop: Sender<()>,
    thread: JoinHandle<anyhow::Result<f64>>,
}

impl Writer {
    pub(crate) fn start(log: &MailLog) -> anyhow::Result<Self> {
        let log = log.clone();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || {
            let (begin, mut written) = (Instant::now(), 0_u64);
            while stopped.try_recv().is_err() {
                let due = u64::try_from(begin.elapsed().as_micros() * u128::from(PACE) / 1_000_000)?;
                let count = due.saturating_sub(written).min(BATCH_MAX);
                let ordinary =
                    line("postfix/qmgr", "4C0FFEE123: from=<info@example.org>, size=48213, nrcpt=1 (queue active)");
                log.append(&ordinary.repeat(usize::try_from(count)?))?;
                written += count;
                pause(STEP);
            }
            Ok(f64::from(u32::try_from(written)?) / begin.elapsed().as_secs_f64())
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it. How many lines a second it really wrote.
    pub(crate) fn finish(self) -> anyhow::Result<f64> {
        // It has ended already where it failed, and then tells why.
        let _: Result<(), _> = self.stop.send(());
        match self.thread.join() {
            Ok(kept) => kept,
            Err(_) => bail!("the writer panicked"),
        }
    }
}
