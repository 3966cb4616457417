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
    database::BootId,
    failure::Failure,
    history::{HistoryError, Limits, Past},
    keeper::{Found, Keeper},
    loaded::{Loaded, Notice},
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
    Commit(Box<Batch>),
    /// To read bans that have ended.
    History { prefixes: Vec<IpNet>, limit: usize, answer: oneshot::Sender<Result<Past, HistoryError>> },
    /// To write these in order, and to end.
    Close { batches: Vec<Batch>, answer: oneshot::Sender<Result<(), Trouble>> },
}

/// What the thread has.
pub(super) struct Worker {
    keeper: Keeper,
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

impl Worker {
    /// Opens the state. Where that fails there is trouble from the start.
    pub(super) fn start(
        directory: PathBuf,
        boot: BootId,
        services: Arc<Services>,
        limits: Limits,
        now: Now,
    ) -> (Self, Loaded) {
        let keeper = Keeper::new(directory, boot, services, limits, now);
        let mut worker = Self { keeper, trouble: None, since: None, wait: WAIT_MIN };
        let loaded = worker.keeper.load(now).unwrap_or_else(|reason| {
            let loaded = worker.keeper.load_without_writing(&reason);
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
                    let _ = outcomes.send(self.commit(*batch));
                }
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
                    self.keeper.close();
                    let _ = answer.send(result);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(outcome) = self.try_again(Now::read()) {
                        let _ = outcomes.send(outcome);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.keeper.close(),
            }
        }
    }

    /// The trouble that there is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let Attempts { reason, .. } = self.trouble.as_ref()?;
        Some(Trouble { path: self.keeper.path().to_owned(), since: self.since?, reason: reason.clone() })
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
        if let Some(attempts) = &self.trouble {
            // The loop sends no batch while there is trouble; one may have been on its way.
            return Err(attempts.reason.clone());
        }
        let lost = self.keeper.write(batch)?;
        if lost.is_none() {
            self.since = None;
            self.wait = WAIT_MIN;
        }
        Ok(lost)
    }

    /// Writes the last batches, the trouble's wait or not.
    fn write_last(&mut self, batches: Vec<Batch>) -> Result<(), Trouble> {
        for batch in batches {
            if self.trouble.is_some() {
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

    fn history(&mut self, prefixes: &[IpNet], limit: usize) -> (Result<Past, HistoryError>, Option<Outcome>) {
        if let Some(trouble) = self.trouble() {
            return (Err(HistoryError::Trouble(trouble.to_string())), None);
        }
        let failure = match self.keeper.history(prefixes, limit) {
            Ok(history) => return (Ok(history), None),
            Err(failure) => failure,
        };
        let error = Err(HistoryError::Trouble(failure.to_string()));
        if let Failure::Trouble(_) = failure {
            return (error, None);
        }
        let now = Now::read();
        let outcome = match self.keeper.begin_anew(failure, now) {
            Ok(notice) => Outcome::Lost { batch: None, notice },
            Err(reason) => Outcome::Failed { batch: None, trouble: self.give_up(reason, now) },
        };
        (error, Some(outcome))
    }

    fn try_again(&mut self, now: Now) -> Option<Outcome> {
        let result = if self.keeper.has_loaded() {
            self.keeper.open_again(now).map(|found| match found {
                Found::Same => Outcome::Recovered,
                Found::Other(notice) => Outcome::Lost { batch: None, notice },
            })
        } else {
            self.keeper.load(now).map(|loaded| Outcome::Opened(Box::new(loaded)))
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

    /// Lets go of the database, until the next attempt.
    fn give_up(&mut self, reason: Reason, now: Now) -> Trouble {
        self.keeper.let_go();
        let since = *self.since.get_or_insert(now.wall);
        self.trouble = Some(Attempts { reason: reason.clone(), next: Instant::now() + self.wait });
        self.wait = self.wait.saturating_mul(2).min(WAIT_MAX);
        Trouble { path: self.keeper.path().to_owned(), since, reason }
    }
}
