//! The bans as they stand in the kernel, looked at every few milliseconds.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, bail};
use banner_tests::{patience::until, pinned::PinnedBans};

use crate::clock::{TOLERANCE, Ticks, let_pass, now};

/// Between two looks.
const PACE: Duration = Duration::from_millis(20);

/// What was seen of one entry, in times since boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It was there at the latest then.
    pub(crate) from: Duration,
    /// When it ends, as it stood first; none for never.
    pub(crate) until: Option<Duration>,
    /// It was gone at the latest then.
    pub(crate) gone: Option<Duration>,
}

/// What is wrong whoever is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A ban's end moved.
    Moved { key: IpAddr, from: Option<Duration>, to: Option<Duration>, at: Duration },
    /// A ban was gone and is there again.
    Again { key: IpAddr, at: Duration, until: Option<Duration> },
    /// The maps were gone.
    NoMaps { at: Duration },
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Every entry that there was.
    pub(crate) seen: BTreeMap<IpAddr, Seen>,
    pub(crate) wrong: Vec<Wrong>,
}

impl Sight {
    fn look(&mut self, entries: Option<&BTreeMap<IpAddr, Option<Duration>>>, began: Duration, ended: Duration) {
        let Some(entries) = entries else {
            if !self.seen.is_empty() && !matches!(self.wrong.last(), Some(Wrong::NoMaps { .. })) {
                self.wrong.push(Wrong::NoMaps { at: began });
            }
            return;
        };
        for (key, until) in entries {
            let (key, until) = (*key, *until);
            let Some(seen) = self.seen.get_mut(&key) else {
                self.seen.insert(key, Seen { from: ended, until, gone: None });
                continue;
            };
            if !is_same(seen.until, until) {
                self.wrong.push(Wrong::Moved { key, from: seen.until, to: until, at: began });
                seen.until = until;
            }
            if seen.gone.take().is_some() {
                self.wrong.push(Wrong::Again { key, at: began, until });
            }
        }
        for (key, seen) in &mut self.seen {
            if seen.gone.is_none() && !entries.contains_key(key) {
                seen.gone = Some(ended);
            }
        }
    }
}

fn is_same(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) <= TOLERANCE,
        (one, other) => one == other,
    }
}

/// Looks until it is ended.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

struct Shared {
    bpffs: PathBuf,
    ticks: Ticks,
    sight: Mutex<Sight>,
    looks: AtomicU64,
    ends: AtomicBool,
    /// The machine is off.
    is_blind: AtomicBool,
}

impl Watch {
    pub(crate) fn start(bpffs: PathBuf) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            bpffs,
            ticks: Ticks::of_this_machine()?,
            sight: Mutex::default(),
            looks: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            is_blind: AtomicBool::new(false),
        });
        let at_work = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !at_work.ends.load(Ordering::Relaxed) {
                at_work.look()?;
                let_pass(PACE);
            }
            Ok(())
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until everything has been looked at that is there now.
    pub(crate) fn await_look(&self) -> anyhow::Result<()> {
        let before = self.shared.looks.load(Ordering::SeqCst);
        until("the maps are looked at", || Ok((self.shared.looks.load(Ordering::SeqCst) >= before + 2).then_some(())))
    }

    /// Nobody looks while this is so.
    pub(crate) fn set_blind(&self, is_blind: bool) -> anyhow::Result<()> {
        self.shared.is_blind.store(is_blind, Ordering::SeqCst);
        self.await_look()
    }

    /// What was seen so far.
    pub(crate) fn sight(&self) -> Sight {
        self.shared.sight.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn finish(&mut self) -> anyhow::Result<Sight> {
        self.await_look()?;
        self.shared.ends.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("a watch ends once")?;
        let Ok(ended) = thread.join() else { bail!("the watch panicked") };
        ended?;
        Ok(self.sight())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn look(&self) -> anyhow::Result<()> {
        if !self.is_blind.load(Ordering::SeqCst) {
            let began = now()?;
            let entries = self.entries()?;
            let ended = now()?;
            self.sight.lock().unwrap_or_else(PoisonError::into_inner).look(entries.as_ref(), began, ended);
        }
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn entries(&self) -> anyhow::Result<Option<BTreeMap<IpAddr, Option<Duration>>>> {
        // Opened anew each time: a daemon with other sizes puts other maps there.
        let Ok(pinned) = PinnedBans::open(&self.bpffs) else { return Ok(None) };
        let entries = pinned.entries()?;
        Ok(Some(entries.into_iter().map(|(key, ban)| (key, self.ticks.begins(ban.deadline))).collect()))
    }
}
