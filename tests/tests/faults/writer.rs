//! A logger at work, as rsyslog and postlogd are: it keeps its file open until it is told to open it again.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, bail};
use banner_tests::{mail_log::postfix_at, patience::until};
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::{let_pass, now},
    dice::Dice,
    sources::{EVERY_IPV6, MAXRETRY, Source, Sources, address},
};

/// One line in so much time.
const PACE: Duration = Duration::from_millis(10);

/// How many sources are on their way to their last line at a time.
const OPEN: usize = 24;

/// Writes a line now and then, until it is dropped or ended.
pub(crate) struct Writer {
    shared: Arc<Mutex<Shared>>,
    sources: Sources,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

struct Shared {
    path: PathBuf,
    file: File,
    dice: Dice,
    is_ipv6: bool,
    /// Indices of sources with lines to come.
    open: Vec<usize>,
    /// New sources begin.
    goes_on: bool,
    ends: bool,
    /// How far the clock of the machine is from the true one, as a row pretends.
    clock_off_by: SignedDuration,
}

impl Writer {
    pub(crate) fn start(path: &Path, sources: &Sources, is_ipv6: bool, dice: Dice) -> anyhow::Result<Self> {
        let shared = Arc::new(Mutex::new(Shared {
            path: path.to_owned(),
            file: open(path)?,
            dice,
            is_ipv6,
            open: Vec::new(),
            goes_on: true,
            ends: false,
            clock_off_by: SignedDuration::ZERO,
        }));
        let (at_work, about) = (Arc::clone(&shared), sources.clone());
        let thread = thread::spawn(move || {
            while !lock(&at_work).is_at_end() {
                lock(&at_work).write(&about)?;
                let_pass(PACE);
            }
            Ok(())
        });
        Ok(Self { shared, sources: sources.clone(), thread: Some(thread) })
    }

    /// What a logger does on SIGHUP: it opens its path again, and makes the file where it is gone.
    pub(crate) fn reopen(&self) -> anyhow::Result<()> {
        let mut shared = lock(&self.shared);
        shared.file = open(&shared.path)?;
        Ok(())
    }

    /// Nothing is written while this happens: copytruncate loses what is written between its copying and its truncating.
    pub(crate) fn while_silent<T>(&self, happens: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let _silent = lock(&self.shared);
        happens()
    }

    /// Lets every source that has begun come to its last line, and none begin.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        lock(&self.shared).goes_on = false;
        until("every source comes to its last line", || {
            anyhow::ensure!(!self.has_failed(), "the writer has ended");
            Ok(lock(&self.shared).open.is_empty().then_some(()))
        })
    }

    /// New sources begin again, on a machine whose clock is that far ahead.
    pub(crate) fn go_on(&self, clock_off_by: SignedDuration) {
        let mut shared = lock(&self.shared);
        shared.clock_off_by = clock_off_by;
        shared.goes_on = true;
    }

    /// Writes all lines of one new source now, and says which it is.
    pub(crate) fn write_source(&self, failures: usize) -> anyhow::Result<usize> {
        let index = self.new_source(failures)?;
        for _ in 0..failures {
            lock(&self.shared).write_line(&self.sources, index)?;
        }
        Ok(index)
    }

    /// Writes one more line of a source.
    pub(crate) fn write_line(&self, index: usize) -> anyhow::Result<()> {
        lock(&self.shared).write_line(&self.sources, index)
    }

    /// A new source, about which only [`Self::write_line`] writes.
    pub(crate) fn new_source(&self, failures: usize) -> anyhow::Result<usize> {
        add(&self.sources, failures, lock(&self.shared).is_ipv6)
    }

    /// Lets every source come to its last line, and ends.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        lock(&self.shared).goes_on = false;
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        lock(&self.shared).ends = true;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let Ok(ended) = thread.join() else { bail!("the writer panicked") };
        ended
    }

    fn has_failed(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.shared).open.clear();
        lock(&self.shared).goes_on = false;
        // Whoever wants to know calls `finish`.
        let _: anyhow::Result<()> = self.join();
    }
}

impl Shared {
    fn is_at_end(&self) -> bool {
        self.ends && self.open.is_empty()
    }

    /// A line of one of the sources at hand. Sometimes only its beginning, and the rest a little later, as a logger that
    /// writes whole blocks does.
    fn write(&mut self, sources: &Sources) -> anyhow::Result<()> {
        while self.goes_on && self.open.len() < OPEN {
            // Every third source stays below the limit.
            let failures = if self.dice.once_in(3) { MAXRETRY - 1 } else { MAXRETRY };
            self.open.push(add(sources, failures, self.is_ipv6)?);
        }
        if self.open.is_empty() {
            return Ok(());
        }
        let place = self.dice.below(self.open.len());
        let Some(index) = self.open.get(place).copied() else { return Ok(()) };
        self.write_line(sources, index)?;
        if sources.lock().get(index).is_none_or(|source| source.written.len() == source.planned) {
            self.open.swap_remove(place);
        }
        Ok(())
    }

    fn write_line(&mut self, sources: &Sources, index: usize) -> anyhow::Result<()> {
        let address = sources.lock().get(index).context("a source is known")?.address;
        let at = now()?;
        let line = postfix_at(address, "alice", Timestamp::now().checked_add(self.clock_off_by)?);
        let (beginning, rest) =
            line.split_at(if self.dice.once_in(10) { self.dice.below(line.len()) } else { line.len() });
        for (piece, is_rest) in [(beginning, false), (rest, true)] {
            if is_rest && !piece.is_empty() {
                let_pass(Duration::from_millis(3));
            }
            self.file.write_all(piece.as_bytes()).context("writing the log")?;
        }
        if let Some(source) = sources.lock().get_mut(index) {
            source.written.push(at);
        }
        Ok(())
    }
}

fn add(sources: &Sources, failures: usize, is_ipv6: bool) -> anyhow::Result<usize> {
    let mut sources = sources.lock();
    let index = sources.len();
    // The first numbers are other rows' business: 198.18.0.0 is no host.
    let number = (index + 1) * if is_ipv6 { EVERY_IPV6 } else { 1 };
    let number = u16::try_from(number).context("there are so many sources")?;
    sources.push(Source { address: address(number), planned: failures, written: Vec::new() });
    Ok(index)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::options().create(true).append(true).open(path).with_context(|| format!("opening {}", path.display()))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
