//! Sees to it that what must not be lost is on disk: hands the state what has changed, and answers those who wait for that.
//!
//! A batch is made between two turns of the loop. So what the judge knows in it is just what it knows from the lines up to the
//! positions in it: after a crash those behind them are read again, and each takes effect once.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    clock::{BootTime, Now},
    config::Config,
    control::{
        Reply,
        protocol::{Banned, Detached, ErrorBody, Text, Unbanned},
    },
    judge::Judge,
    source::{Bookmark, Follower, journal::JournalPosition},
    state::{Batch, Loaded, Outcome, PositionChange, PositionChanges, Store, Wants},
};

/// How long an answer waits for the disk; then it says that it did not.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the daemon's end waits for the disk.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why an answer did not wait any longer.
const LATE: &str = "the disk has not answered yet";

/// The state on disk, and what it does not have yet.
pub(super) struct Saving {
    store: Store,
    /// How far the logs were read, as far as the state has it: by the keys of the bookmarks. `None` where it is not known what
    /// the state has: then it is told everything.
    kept: Option<BTreeMap<u64, Bookmark>>,
    /// How far they were read in the batch in flight.
    sent: BTreeMap<u64, Bookmark>,
    interfaces: Vec<String>,
    /// How far the journal was read, in the last batch.
    journal: Option<JournalPosition>,
    /// Answers that wait for the batch in flight, and those that wait for the next.
    in_flight: Vec<Waiting>,
    waiting: Vec<Waiting>,
}

/// Where to go on.
pub(super) struct Places<'a> {
    pub(super) follower: &'a Follower,
    pub(super) journal: Option<JournalPosition>,
    /// The interfaces that are guarded.
    pub(super) interfaces: Vec<String>,
}

/// An answer that is given when what it tells of is on disk.
pub(super) enum Answer {
    Banned(Reply<Banned>, Banned),
    Unbanned(Reply<Unbanned>, Result<Unbanned, ErrorBody>),
    Detached(Reply<Detached>, Detached),
}

struct Waiting {
    since: BootTime,
    answer: Answer,
}

impl Answer {
    /// Whoever asked may have gone meanwhile.
    fn give(self, not_saved: Option<&str>) {
        if let Self::Detached(reply, detached) = self {
            let not_saved = not_saved.map(|why| Text::from(format!("the bans return with the next start: {why}")));
            return drop(reply.send(Ok(Detached { not_saved, ..detached })));
        }
        let not_saved = not_saved.map(|why| Text::from(format!("it would be forgotten at a restart: {why}")));
        match self {
            Self::Banned(reply, banned) => drop(reply.send(Ok(Banned { not_saved, ..banned }))),
            Self::Unbanned(reply, unbanned) => {
                drop(reply.send(unbanned.map(|unbanned| Unbanned { not_saved, ..unbanned })));
            }
            Self::Detached(..) => {}
        }
    }
}

impl Saving {
    /// Opens the state, and tells what is odd about it.
    pub(super) fn open(config: &Config, now: Now) -> (Self, Loaded) {
        let (store, loaded) = Store::open(&config.state_dir, &config.services, config.history, now);
        for notice in &loaded.notices {
            warn!("{notice}");
        }
        if let Some(trouble) = store.trouble() {
            warn!("{trouble}; bans and failures are remembered by this process alone until then");
        }
        let kept: BTreeMap<u64, Bookmark> =
            loaded.positions.iter().map(|bookmark| (bookmark.key, bookmark.clone())).collect();
        let saving = Self {
            store,
            sent: kept.clone(),
            kept: (!loaded.is_new).then_some(kept),
            interfaces: loaded.interfaces.clone(),
            journal: loaded.journal,
            in_flight: Vec::new(),
            waiting: Vec::new(),
        };
        (saving, loaded)
    }

    /// Hands over what has changed, if the state takes it now. Nothing is something, too: by it the state sees that its file is
    /// gone, or that the clock was set.
    pub(super) fn save(&mut self, judge: &mut Judge, places: Places<'_>, now: Now) {
        match self.store.wants() {
            Wants::Nothing => return,
            Wants::Changes => {}
            Wants::Everything => self.nothing_is_kept(judge),
        }
        let batch = self.batch(judge, &places, now);
        match self.store.commit(batch) {
            Ok(()) => {
                self.interfaces = places.interfaces;
                self.journal = places.journal;
                self.in_flight = std::mem::take(&mut self.waiting);
            }
            Err(batch) => judge.not_saved(batch.changes),
        }
    }

    fn batch(&mut self, judge: &mut Judge, places: &Places<'_>, now: Now) -> Batch {
        self.sent = places.follower.positions().map(|bookmark| (bookmark.key, bookmark)).collect();
        let kept = self.kept.as_ref();
        let moved = self.sent.iter().filter(|(key, bookmark)| kept.and_then(|kept| kept.get(key)) != Some(*bookmark));
        let gone = kept.into_iter().flat_map(BTreeMap::keys).filter(|key| !self.sent.contains_key(key));
        let changes = moved
            .map(|(_, bookmark)| PositionChange::Is(bookmark.clone()))
            .chain(gone.map(|key| PositionChange::Gone(*key)))
            .collect();
        Batch {
            changes: judge.changes(),
            positions: PositionChanges { changes, complete: kept.is_none() },
            interfaces: (self.interfaces != places.interfaces).then(|| places.interfaces.clone()),
            journal: places.journal.filter(|_| places.journal != self.journal),
            ..Batch::new(now)
        }
    }

    /// What becomes of the batch in flight, for [`Self::take_in`]. Nothing is lost when the future is dropped.
    pub(super) async fn outcome(&mut self) -> Outcome {
        self.store.outcome().await
    }

    /// Takes in what the state says. What a state that could not be opened at the start has, where it now can.
    pub(super) fn take_in(&mut self, outcome: Outcome, judge: &mut Judge) -> Option<Loaded> {
        let mut loaded = None;
        match outcome {
            Outcome::Committed => {
                self.kept = Some(self.sent.clone());
                self.in_flight.drain(..).for_each(|waiting| waiting.answer.give(None));
            }
            Outcome::Failed { batch, trouble } => {
                warn!("{trouble}; until then bans and failures are remembered by this process alone");
                if let Some(batch) = batch {
                    self.not_saved(batch, judge);
                }
            }
            Outcome::Recovered => info!("the state is written again"),
            Outcome::Lost { batch, notice } => {
                warn!("{notice}");
                if let Some(batch) = batch {
                    self.not_saved(batch, judge);
                }
                self.nothing_is_kept(judge);
            }
            Outcome::Opened(opened) => {
                info!("the state could be opened");
                self.nothing_is_kept(judge);
                loaded = Some(*opened);
            }
        }
        loaded
    }

    fn not_saved(&mut self, batch: Batch, judge: &mut Judge) {
        judge.not_saved(batch.changes);
        // It may be on disk all the same.
        self.tell_all_places();
        let trouble = self.trouble();
        let why = trouble.as_deref().unwrap_or("the state was lost, and is written anew");
        self.in_flight.drain(..).for_each(|waiting| waiting.answer.give(Some(why)));
    }

    fn nothing_is_kept(&mut self, judge: &mut Judge) {
        judge.nothing_is_saved();
        self.tell_all_places();
    }

    /// What the state has of them is not known: the next batch has them all.
    fn tell_all_places(&mut self) {
        self.kept = None;
        self.interfaces.clear();
        self.journal = None;
    }

    /// Gives an answer once what it tells of is on disk.
    pub(super) fn answer(&mut self, answer: Answer, now: Now) {
        match self.trouble() {
            Some(trouble) => answer.give(Some(&trouble)),
            None => self.waiting.push(Waiting { since: now.boot, answer }),
        }
    }

    /// Whether somebody waits for a batch to be handed over.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers those who have waited for too long.
    pub(super) fn end_waits(&mut self, now: Now) {
        let is_over = |waiting: &mut Waiting| now.boot - waiting.since >= PATIENCE;
        let late = self.in_flight.extract_if(.., is_over).chain(self.waiting.extract_if(.., is_over));
        let trouble = self.store.trouble().map(ToString::to_string);
        let why = trouble.as_deref().unwrap_or(LATE);
        late.for_each(|waiting| waiting.answer.give(Some(why)));
    }

    /// Why nothing is kept at present.
    pub(super) fn trouble(&self) -> Option<String> {
        self.store.trouble().map(ToString::to_string)
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Writes what has changed since, at the end.
    pub(super) async fn close(mut self, judge: &mut Judge, places: Places<'_>, now: Now) {
        if self.store.wants() == Wants::Everything {
            self.nothing_is_kept(judge);
        }
        let last = self.batch(judge, &places, now);
        let mut waiting = self.in_flight.into_iter().chain(self.waiting);
        let mut closing = pin!(self.store.close(last, LAST_WORDS));
        let closed = if let Ok(closed) = timeout(PATIENCE, &mut closing).await {
            closed
        } else {
            waiting.by_ref().for_each(|waiting| waiting.answer.give(Some(LATE)));
            closing.await
        };
        let trouble = closed.err().map(|trouble| trouble.to_string());
        trouble.iter().for_each(|trouble| warn!("{trouble}"));
        waiting.for_each(|waiting| waiting.answer.give(trouble.as_deref()));
    }
}

#[cfg(test)]
mod tests;
