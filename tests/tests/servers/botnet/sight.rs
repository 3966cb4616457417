//! The bans as they stand in the kernel, looked at all the time.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::anyhow;
use banner_tests::{lab::Lab, patience::until, pinned::PinnedBans};
use jiff::Timestamp;

/// Between two looks.
const PACE: Duration = Duration::from_millis(10);

/// How many bans are waited for at a time: all of them at once would take longer than patience lasts.
const STRIDE: usize = 50;

pub(super) struct Sight {
    bpffs: PathBuf,
    state: Mutex<State>,
}

/// When a ban came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Not before: then a look began that did not show it. On a machine that is busy with something else, that is long before
    /// `by`, and who looks was kept waiting as the daemon was.
    pub(super) after: Timestamp,
    /// No later: then a look ended that showed it.
    pub(super) by: Timestamp,
}

#[derive(Default)]
struct State {
    /// Every source that was banned.
    bans: BTreeMap<IpAddr, Seen>,
    /// When the last look began.
    last: Timestamp,
    looks: u64,
    wrong: Option<String>,
}

impl Sight {
    pub(super) fn new(lab: &Lab) -> Self {
        Self { bpffs: lab.server.path("/sys/fs/bpf/banner"), state: Mutex::default() }
    }

    /// Looks until it is over.
    pub(super) fn watch(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            if let Err(error) = self.look() {
                self.state().wrong = Some(format!("{error:#}"));
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "the pace of looking; nothing is waited for")]
            thread::sleep(PACE);
        }
    }

    fn look(&self) -> anyhow::Result<()> {
        let began = Timestamp::now();
        let entries = PinnedBans::open(&self.bpffs)?.entries()?;
        let by = Timestamp::now();
        let mut state = self.state();
        state.looks += 1;
        if let Some(gone) = state.bans.keys().find(|source| !entries.contains_key(source)) {
            return Err(anyhow!("the ban of {gone} is gone"));
        }
        let seen = Seen { after: state.last, by };
        for source in entries.into_keys() {
            state.bans.entry(source).or_insert(seen);
        }
        state.last = began;
        Ok(())
    }

    pub(super) fn has(&self, source: IpAddr) -> bool {
        self.state().bans.contains_key(&source)
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// A ban has gone, or the maps have.
    pub(super) fn bans(&self) -> anyhow::Result<BTreeMap<IpAddr, Seen>> {
        let state = self.state();
        match &state.wrong {
            Some(wrong) => Err(anyhow!("{wrong}")),
            None => Ok(state.bans.clone()),
        }
    }

    /// What a look shows that begins now.
    pub(super) fn next_look(&self) -> anyhow::Result<BTreeMap<IpAddr, Seen>> {
        let before = self.state().looks;
        until("the maps are looked at", || {
            let bans = self.bans()?;
            // One may have been on its way.
            Ok((self.state().looks >= before + 2).then_some(bans))
        })
    }

    /// Waits until so many are banned.
    pub(super) fn await_bans(&self, count: usize) -> anyhow::Result<()> {
        loop {
            let next = count.min(self.bans()?.len() + STRIDE);
            until(&format!("{next} sources are banned"), || Ok((self.bans()?.len() >= next).then_some(())))?;
            if next == count {
                return Ok(());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
