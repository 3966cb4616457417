//! The thread that owns the database: it writes batches, answers for the history, and tries again where something stands in the
//! way.
//!
//! ```text
//!            ┌──────────────── Committed ───────────────┐
//!            v                                          │
//!   start ─> open ──batch──> sound? ──> transaction ────┤
//!    │        ^                │             │
//!    │        │             damaged       failed
//!    │        │                v             v
//!    │        └─ Lost ── set aside      ┌─ trouble <─┐
//!    │        └─ Recovered, Opened <────┤            │ twice as long each time
//!    └──────────────────────────────────┴────────────┘
//! ```

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use ipnet::IpNet;
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{
    batch::Batch,
    database::{BootId, Database, Integrity},
    failure::Failure,
    files::{self, Aside, Made},
    history::{HistoryError, Limits, PastBan},
    loaded::{Loaded, Notice},
    read_only,
    schema::Was,
    store::Outcome,
    trouble::{Reason, Trouble},
};
use crate::{
    clock::{Now, WallTime},
    service::Services,
};

/// How long to wait before the first attempt to get over a trouble.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What the thread is asked for.
pub(super) enum Request {
    /// To write this, and tell what became of it.
    Commit(Batch),
    /// To take the bits of services for these from now on.
    Services(Arc<Services>),
    /// To read bans that have ended.
    History { prefixes: Vec<IpNet>, limit: usize, answer: oneshot::Sender<Result<Vec<PastBan>, HistoryError>> },
    /// To write these in order, and to end.
    Close { batches: Vec<Batch>, answer: oneshot::Sender<Result<(), Trouble>> },
}

/// What the thread has.
pub(super) struct Worker {
    directory: PathBuf,
    path: PathBuf,
    boot: BootId,
    limits: Limits,
    services: Arc<Services>,
    /// When the state was asked for first: what a daemon knows of an earlier boot's times was read by these clocks.
    started: Now,
    database: Option<Database>,
    /// How many batches the database has taken, as the loop knows; `None` before anything was loaded.
    known: Option<i64>,
    /// What has happened to the former database, as long as it is untold.
    untold: Option<Notice>,
    /// A database was set aside, and the new one has not taken a batch yet.
    was_damaged: bool,
    trouble: Option<Attempts>,
    /// When the trouble began that no batch has ended yet.
    since: Option<WallTime>,
    /// How long to wait the next time.
    wait: Duration,
}

struct Attempts {
    reason: Reason,
    next: Instant,
}

/// What a database is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To give the loop what it has.
    Load,
    /// For a loop that knows what is in it.
    GoOn,
}

/// What was found when the database was opened again.
enum Found {
    /// What it had before.
    Same,
    /// Something else: the loop has to write everything.
    Other(Notice),
}

impl Worker {
    /// Opens the state. Where that fails there is trouble from the start.
    pub(super) fn start(
        directory: PathBuf,
        boot: BootId,
        services: Arc<Services>,
        limits: Limits,
        now: Now,
    ) -> (Self, Loaded) {
        let path = files::path(&directory);
        let mut worker = Self {
            directory,
            path,
            boot,
            limits,
            services,
            started: now,
            database: None,
            known: None,
            untold: None,
            was_damaged: false,
            trouble: None,
            since: None,
            wait: WAIT_MIN,
        };
        let loaded = worker.open(Purpose::Load, now).unwrap_or_else(|reason| {
            let cannot_write = matches!(reason, Reason::ReadOnly | Reason::Permission);
            let loaded = if cannot_write { worker.load_only() } else { None };
            worker.give_up(reason, now);
            loaded.unwrap_or_else(|| Loaded { is_new: true, ..Loaded::default() })
        });
        (worker, loaded)
    }

    /// Serves until the loop is gone or closes the state.
    pub(super) fn run(
        mut self,
        requests: &Receiver<Request>,
        outcomes: &UnboundedSender<Outcome>,
        asking: &AtomicUsize,
    ) {
        loop {
            let request = match &self.trouble {
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(attempts) => match attempts.next.checked_duration_since(Instant::now()) {
                    Some(wait) => requests.recv_timeout(wait),
                    None => Err(RecvTimeoutError::Timeout),
                },
            };
            // The loop may be gone at any moment; then the next request says so.
            match request {
                Ok(Request::Commit(batch)) => {
                    let _ = outcomes.send(self.commit(batch));
                }
                Ok(Request::Services(services)) => self.services = services,
                Ok(Request::History { prefixes, limit, answer }) => {
                    asking.fetch_sub(1, Ordering::Relaxed);
                    let (history, outcome) = self.history(&prefixes, limit);
                    let _ = answer.send(history);
                    if let Some(outcome) = outcome {
                        let _ = outcomes.send(outcome);
                    }
                }
                Ok(Request::Close { batches, answer }) => {
                    let result = self.write_last(batches);
                    // The files are in order before anybody is told so.
                    self.close();
                    let _ = answer.send(result);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(outcome) = self.try_again(Now::read()) {
                        let _ = outcomes.send(outcome);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    /// The trouble that there is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let Attempts { reason, .. } = self.trouble.as_ref()?;
        Some(Trouble { path: self.path.clone(), since: self.since?, reason: reason.clone() })
    }

    fn commit(&mut self, batch: Batch) -> Outcome {
        match self.write(&batch) {
            Ok(None) => Outcome::Committed,
            Ok(Some(notice)) => Outcome::Lost { batch: Some(batch), notice },
            Err(reason) => Outcome::Failed { trouble: self.give_up(reason, batch.at), batch: Some(batch) },
        }
    }

    /// Writes a batch; tells what happened to the database where it could not be written because the database is another one now.
    fn write(&mut self, batch: &Batch) -> Result<Option<Notice>, Reason> {
        if let Some(notice) = self.look(batch.at)? {
            return Ok(Some(notice));
        }
        let Some(database) = &mut self.database else { return Err(Reason::InUse) };
        if let Err(failure) = database.commit(batch, &self.services, self.limits) {
            return self.begin_anew(failure, batch.at).map(Some);
        }
        self.known = Some(database.batches());
        self.was_damaged = false;
        self.since = None;
        self.wait = WAIT_MIN;
        Ok(None)
    }

    /// Looks whether the files are as they were left, and makes them usable again where they are not.
    fn look(&mut self, now: Now) -> Result<Option<Notice>, Reason> {
        let Some(database) = &self.database else {
            // The loop sends no batch while there is trouble; one may have been on its way.
            return Err(self.trouble.as_ref().map_or(Reason::InUse, |attempts| attempts.reason.clone()));
        };
        match database.integrity().map_err(Failure::into_reason)? {
            Integrity::Sound => return Ok(None),
            Integrity::Meddled => {
                return self
                    .begin_anew(Failure::Damaged("somebody else has changed its files".to_owned()), now)
                    .map(Some);
            }
            // The open file has what the log had, and closing copies it into the database.
            Integrity::LogGone => self.close(),
            Integrity::Replaced => {
                let removed = database.remove_orphaned_log();
                self.database = None;
                removed.map_err(Failure::into_reason)?;
            }
        }
        match self.open_again(now)? {
            Found::Same => Ok(None),
            Found::Other(notice) => Ok(Some(notice)),
        }
    }

    /// Sets a database aside and begins another; not at once where the one before was damaged too.
    fn begin_anew(&mut self, failure: Failure, now: Now) -> Result<Notice, Reason> {
        self.database = None;
        let again = self.was_damaged;
        self.set_aside(failure, now)?;
        if again {
            return Err(Reason::Damaged);
        }
        match self.open_again(now)? {
            Found::Same => Err(Reason::Damaged),
            Found::Other(notice) => Ok(notice),
        }
    }

    /// Writes the last batches, the trouble's wait or not.
    fn write_last(&mut self, batches: Vec<Batch>) -> Result<(), Trouble> {
        for batch in batches {
            if self.database.is_none() {
                self.try_again(batch.at);
            }
            // Into a new database, where the former one turns out to be lost.
            let result = match self.write(&batch) {
                Ok(Some(_)) => self.write(&batch),
                result => result,
            };
            if let Err(reason) = result {
                return Err(self.give_up(reason, batch.at));
            }
        }
        Ok(())
    }

    fn history(&mut self, prefixes: &[IpNet], limit: usize) -> (Result<Vec<PastBan>, HistoryError>, Option<Outcome>) {
        let Some(database) = &self.database else {
            let trouble = self.trouble().map(|trouble| trouble.to_string());
            return (Err(HistoryError::Trouble(trouble.unwrap_or_default())), None);
        };
        let failure = match database.history(prefixes, limit) {
            Ok(history) => return (Ok(history), None),
            Err(failure) => failure,
        };
        let error = Err(HistoryError::Trouble(failure.to_string()));
        if let Failure::Trouble(_) = failure {
            return (error, None);
        }
        let now = Now::read();
        let outcome = match self.begin_anew(failure, now) {
            Ok(notice) => Outcome::Lost { batch: None, notice },
            Err(reason) => Outcome::Failed { batch: None, trouble: self.give_up(reason, now) },
        };
        (error, Some(outcome))
    }

    fn try_again(&mut self, now: Now) -> Option<Outcome> {
        let result = if self.known.is_none() {
            self.started = now;
            self.open(Purpose::Load, now).map(|loaded| Outcome::Opened(Box::new(loaded)))
        } else {
            self.open_again(now).map(|found| match found {
                Found::Same => Outcome::Recovered,
                Found::Other(notice) => Outcome::Lost { batch: None, notice },
            })
        };
        match result {
            Ok(outcome) => {
                self.trouble = None;
                Some(outcome)
            }
            Err(reason) => {
                self.give_up(reason, now);
                None
            }
        }
    }

    /// Opens the database for a loop that knows what was in it.
    fn open_again(&mut self, now: Now) -> Result<Found, Reason> {
        let known = self.known;
        let is_new = self.open(Purpose::GoOn, now)?.is_new;
        let Some(database) = &mut self.database else { return Err(Reason::InUse) };
        // A batch that was told to have failed may have been written all the same.
        let is_same = !is_new
            && self.untold.is_none()
            && known.is_some_and(|known| (0..=1).contains(&database.batches().saturating_sub(known)));
        if !is_same {
            return Ok(Found::Other(
                self.untold.take().unwrap_or_else(|| Notice::Replaced { path: self.path.clone() }),
            ));
        }
        if let Err(failure) = database.probe() {
            self.database = None;
            self.set_aside(failure, now)?;
            return Err(Reason::Damaged);
        }
        Ok(Found::Same)
    }

    /// Opens the database. One that cannot be used is set aside, and a new one is begun.
    fn open(&mut self, purpose: Purpose, now: Now) -> Result<Loaded, Reason> {
        match self.open_once(purpose) {
            Ok(loaded) => Ok(loaded),
            Err(failure) => {
                self.set_aside(failure, now)?;
                self.open_once(purpose).map_err(Failure::into_reason)
            }
        }
    }

    fn open_once(&mut self, purpose: Purpose) -> Result<Loaded, Failure> {
        let made = files::prepare(&self.directory)?;
        let (mut database, was) = Database::open(&self.path, &self.boot, self.started)?;
        let mut loaded = Loaded::default();
        if purpose == Purpose::Load {
            let (kept, repairs) = database.load(&self.services)?;
            loaded = kept;
            database.repair(repairs);
            let empty = (made == Made::Empty).then(|| Notice::Empty { path: self.path.clone() });
            loaded.notices.extend(self.untold.take().into_iter().chain(empty));
            loaded.notices.extend(files::openness(&self.directory));
        }
        loaded.is_new = was == Was::New;
        self.known = Some(database.batches());
        self.database = Some(database);
        Ok(loaded)
    }

    /// What a database has that can be read and not written.
    fn load_only(&mut self) -> Option<Loaded> {
        let (loaded, batches) = read_only::load(&self.path, &self.boot, &self.services, self.started).ok()?;
        self.known = Some(batches);
        Some(loaded)
    }

    /// Gives the files of a database that cannot be used another name.
    fn set_aside(&mut self, failure: Failure, now: Now) -> Result<(), Reason> {
        let why = failure.to_string();
        let aside = match failure {
            Failure::Trouble(reason) => return Err(reason),
            Failure::Damaged(_) => Aside::Damaged,
            Failure::Newer { version } => Aside::Newer(version),
        };
        let to = files::set_aside(&self.path, aside, now.wall).map_err(|error| Failure::from(error).into_reason())?;
        self.untold = Some(Notice::SetAside { to, why });
        self.was_damaged = true;
        Ok(())
    }

    fn close(&mut self) {
        if let Some(database) = self.database.take() {
            database.close();
        }
    }

    /// Lets go of the database, until the next attempt.
    fn give_up(&mut self, reason: Reason, now: Now) -> Trouble {
        self.database = None;
        let since = *self.since.get_or_insert(now.wall);
        self.trouble = Some(Attempts { reason: reason.clone(), next: Instant::now() + self.wait });
        self.wait = self.wait.saturating_mul(2).min(WAIT_MAX);
        Trouble { path: self.path.clone(), since, reason }
    }
}
