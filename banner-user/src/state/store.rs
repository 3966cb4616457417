//! The handle on the thread that owns the database.

use std::{path::Path, time::Duration};

use ipnet::IpNet;
use tokio::sync::oneshot;

use super::{
    batch::Batch,
    history::{HistoryError, Limits, PastBan},
    loaded::{Loaded, Notice},
    trouble::Trouble,
};
use crate::{clock::Now, service::Services};

/// The handle on the state. Nothing that it does waits for a disk, but [`Store::open`] and [`Store::close`].
#[derive(Debug)]
pub struct Store {
    trouble: Option<Trouble>,
}

/// What became of a batch, or of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The batch is on disk, and survives a power cut.
    Committed,
    /// The batch could not be written. What is in it is still to be written, with a later batch.
    Failed {
        /// It.
        batch: Batch,
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
        let _ = (directory, services, limits, now);
        (Self { trouble: None }, Loaded { is_new: true, ..Loaded::default() })
    }

    /// The services whose bits stand in the batches from now on.
    pub fn use_services(&mut self, services: &Services) {
        let _ = services;
    }

    /// What [`Store::commit`] takes now.
    #[must_use]
    pub fn wants(&self) -> Wants {
        Wants::Changes
    }

    /// Hands a batch to the thread; [`Store::outcome`] tells what became of it.
    ///
    /// # Errors
    /// Gives the batch back where the store does not want it: see [`Store::wants`].
    pub fn commit(&mut self, batch: Batch) -> Result<(), Batch> {
        let _ = batch;
        Ok(())
    }

    /// What becomes of the batch in flight, or of the trouble that there is. For ever pending where there is neither. Nothing is
    /// lost when the future is dropped.
    pub async fn outcome(&mut self) -> Outcome {
        std::future::pending().await
    }

    /// The bans of exactly these prefixes that have ended, the latest first, at most `limit` of them.
    #[must_use]
    pub fn history(&self, prefixes: Vec<IpNet>, limit: usize) -> oneshot::Receiver<Result<Vec<PastBan>, HistoryError>> {
        let _ = (prefixes, limit);
        oneshot::channel().1
    }

    /// Why nothing is kept at present.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Writes a last batch and ends the thread, waiting as long as `timeout` for both and for what is in flight.
    ///
    /// # Errors
    /// Where the batch could not be written, or not in time.
    pub async fn close(self, last: Batch, timeout: Duration) -> Result<(), Trouble> {
        let _ = (last, timeout);
        Ok(())
    }
}
