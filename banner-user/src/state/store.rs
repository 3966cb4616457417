//! The handle on the thread that owns the database.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ipnet::IpNet;
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    oneshot,
};

use super::{
    batch::Batch,
    database::BootId,
    files,
    history::{HistoryError, Limits, Past},
    loaded::{Loaded, Notice},
    thread::{Request, Worker},
    trouble::{Reason, Trouble},
};
use crate::{clock::Now, service::Services};

/// Why a store without its thread keeps nothing.
const ENDED: &str = "its thread has ended, which is a mistake in banner: restart it, and report this";

/// How many may ask for history at once.
const ASKING_MAX: usize = 32;

/// The handle on the state. Nothing that it does waits for a disk, but [`Store::open`] and [`Store::close`].
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
    outcomes: UnboundedReceiver<Outcome>,
    in_flight: Option<InFlight>,
    /// What is on disk is not known, or is nothing.
    wants_everything: bool,
    trouble: Option<Trouble>,
    /// How many ask for history.
    asking: Arc<AtomicUsize>,
}

/// The batch that the thread has.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    is_complete: bool,
}

/// What became of a batch, or of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The batch is on disk, and survives a power cut.
    Committed,
    /// A batch could not be written. What is in it is still to be written, with a later batch.
    Failed {
        /// It; `None` where something else than a batch met the trouble.
        batch: Option<Batch>,
        /// Why. The store tries until it works again, and tells that with [`Outcome::Recovered`].
        trouble: Trouble,
    },
    /// The trouble is over: the database is as it was after the last [`Outcome::Committed`].
    Recovered,
    /// What was on disk is gone, and a new database was begun. The next batch has to be complete.
    Lost {
        /// The batch that could not be written, where one was in flight.
        batch: Option<Batch>,
        /// What happened.
        notice: Notice,
    },
    /// The database that could not be opened when the daemon started, can be now. What it has would be best restored before the
    /// next batch, which has to be complete.
    Opened(Box<Loaded>),
}

/// What the store can take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing: a batch is in flight, or there is trouble.
    Nothing,
    /// A batch with what has changed.
    Changes,
    /// A complete batch.
    Everything,
}

impl Store {
    /// Opens the state below `directory`, which is made if it is not there (0700), and starts its thread. Never fails: what stands
    /// in the way is in [`Store::trouble`], and nothing is loaded then.
    #[must_use]
    pub fn open(directory: &Path, services: &Services, limits: Limits, now: Now) -> (Self, Loaded) {
        Self::open_in(BootId::read(), directory, services, limits, now)
    }

    /// Whether anything was ever kept below `directory`.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        files::path(directory).exists()
    }

    pub(super) fn open_in(
        boot: BootId,
        directory: &Path,
        services: &Services,
        limits: Limits,
        now: Now,
    ) -> (Self, Loaded) {
        let (requests, queue) = mpsc::channel();
        let (told, outcomes) = unbounded_channel();
        let asking = Arc::new(AtomicUsize::new(0));
        let (worker, loaded) = Worker::start(directory.to_owned(), boot, Arc::new(services.clone()), limits, now);
        let mut store = Self {
            path: files::path(directory),
            requests,
            outcomes,
            in_flight: None,
            wants_everything: loaded.is_new,
            trouble: worker.trouble(),
            asking: Arc::clone(&asking),
        };
        let thread = thread::Builder::new().name("state".to_owned());
        if let Err(error) = thread.spawn(move || worker.run(&queue, &told, &asking)) {
            store.trouble = Some(store.dead(format!("its thread does not start: {error}")));
        }
        (store, loaded)
    }

    /// What [`Store::commit`] takes now.
    #[must_use]
    pub fn wants(&self) -> Wants {
        if self.in_flight.is_some() || self.trouble.is_some() {
            Wants::Nothing
        } else if self.wants_everything {
            Wants::Everything
        } else {
            Wants::Changes
        }
    }

    /// Hands a batch to the thread; [`Store::outcome`] tells what became of it.
    ///
    /// # Errors
    /// Gives the batch back where the store does not want it: see [`Store::wants`].
    pub fn commit(&mut self, batch: Batch) -> Result<(), Box<Batch>> {
        let is_complete = batch.is_complete();
        let is_wanted = match self.wants() {
            Wants::Nothing => false,
            Wants::Changes => true,
            Wants::Everything => is_complete,
        };
        if !is_wanted {
            return Err(Box::new(batch));
        }
        match self.requests.send(Request::Commit(Box::new(batch))) {
            Ok(()) => {
                self.in_flight = Some(InFlight { is_complete });
                Ok(())
            }
            Err(mpsc::SendError(Request::Commit(batch))) => {
                self.ended();
                Err(batch)
            }
            // What comes back is what was sent.
            Err(_) => Ok(()),
        }
    }

    /// What becomes of the batch in flight, or of the trouble that there is. For ever pending where there is neither. Nothing is
    /// lost when the future is dropped.
    pub async fn outcome(&mut self) -> Outcome {
        let Some(outcome) = self.outcomes.recv().await else {
            self.ended();
            return std::future::pending().await;
        };
        match &outcome {
            Outcome::Committed => {
                if self.in_flight.take().is_some_and(|batch| batch.is_complete) {
                    self.wants_everything = false;
                }
            }
            Outcome::Failed { batch, trouble } => {
                if batch.is_some() {
                    self.in_flight = None;
                }
                self.trouble = Some(trouble.clone());
            }
            Outcome::Recovered => self.trouble = None,
            Outcome::Lost { batch, .. } => {
                if batch.is_some() {
                    self.in_flight = None;
                }
                self.trouble = None;
                self.wants_everything = true;
            }
            Outcome::Opened(_) => {
                self.trouble = None;
                self.wants_everything = true;
            }
        }
        outcome
    }

    /// The bans of exactly these prefixes that have ended, the latest first, at most `limit` of them and a thousand.
    #[must_use]
    pub fn history(&self, prefixes: Vec<IpNet>, limit: usize) -> oneshot::Receiver<Result<Past, HistoryError>> {
        let (answer, receiver) = oneshot::channel();
        if self.asking.fetch_add(1, Ordering::Relaxed) >= ASKING_MAX {
            self.asking.fetch_sub(1, Ordering::Relaxed);
            let _ = answer.send(Err(HistoryError::Busy));
        } else {
            // Without the thread the answer is dropped, which the receiver is told.
            let _ = self.requests.send(Request::History { prefixes, limit, answer });
        }
        receiver
    }

    /// Why nothing is kept at present.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Writes a last batch and ends the thread, waiting as long as `timeout` for both and for what is in flight. While there is
    /// trouble, it is tried once more.
    ///
    /// # Errors
    /// Where something could not be written, or not in time.
    pub async fn close(mut self, last: Batch, timeout: Duration) -> Result<(), Trouble> {
        let slow = Trouble { path: self.path.clone(), since: last.at.wall, reason: Reason::Slow };
        let closing = async {
            let mut batches = Vec::new();
            while self.in_flight.is_some() && !self.outcomes.is_closed() {
                if let Outcome::Failed { batch, .. } | Outcome::Lost { batch, .. } = self.outcome().await {
                    batches.extend(batch);
                }
            }
            batches.push(last);
            let (answer, receiver) = oneshot::channel();
            let _ = self.requests.send(Request::Close { batches, answer });
            receiver.await.unwrap_or_else(|_| Err(self.dead(ENDED.to_owned())))
        };
        tokio::time::timeout(timeout, closing).await.unwrap_or(Err(slow))
    }

    /// The thread is gone, which nothing but a mistake in banner does.
    fn ended(&mut self) {
        self.trouble = Some(self.dead(ENDED.to_owned()));
    }

    fn dead(&self, why: String) -> Trouble {
        Trouble { path: self.path.clone(), since: Now::read().wall, reason: Reason::System(why) }
    }
}
