//! Who keeps the database that the loop knows: opens it, looks after its files, and puts another in its place when it cannot be
//! used any more.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    batch::Batch,
    database::{BootId, Database, Integrity},
    failure::Failure,
    files::{self, Aside, Made},
    history::{Limits, Past},
    loaded::{Loaded, Notice},
    read_only,
    schema::Was,
    trouble::Reason,
};
use crate::{clock::Now, service::Services};

/// The database, and what the loop knows of it.
pub(super) struct Keeper {
    directory: PathBuf,
    path: PathBuf,
    boot: BootId,
    limits: Limits,
    services: Arc<Services>,
    /// When the state was asked for first: what a daemon knows of an earlier boot's times was read by these clocks.
    started: Now,
    /// `None` while it cannot be used.
    database: Option<Database>,
    /// How many batches it has taken, as the loop knows; `None` before anything was loaded.
    known: Option<i64>,
    /// What has happened to the former database, as long as it is untold.
    untold: Option<Notice>,
    /// A database was set aside, and the new one has not taken a batch yet.
    was_damaged: bool,
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
pub(super) enum Found {
    /// What it had before.
    Same,
    /// Something else: the loop has to write everything.
    Other(Notice),
}

impl Keeper {
    /// One that has opened nothing yet.
    pub(super) fn new(directory: PathBuf, boot: BootId, services: Arc<Services>, limits: Limits, now: Now) -> Self {
        Self {
            path: files::path(&directory),
            directory,
            boot,
            limits,
            services,
            started: now,
            database: None,
            known: None,
            untold: None,
            was_damaged: false,
        }
    }

    /// Where the database is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database for a loop that knows nothing yet.
    pub(super) fn load(&mut self, now: Now) -> Result<Loaded, Reason> {
        self.started = now;
        self.open(Purpose::Load, now)
    }

    /// What there is where it cannot be written, for a loop that knows nothing yet.
    pub(super) fn load_without_writing(&mut self, reason: &Reason) -> Option<Loaded> {
        if !matches!(reason, Reason::ReadOnly | Reason::Permission) {
            return None;
        }
        let (loaded, batches) = read_only::load(&self.path, &self.boot, &self.services, self.started).ok()?;
        self.known = Some(batches);
        Some(loaded)
    }

    /// Whether the loop has what the database had.
    pub(super) fn has_loaded(&self) -> bool {
        self.known.is_some()
    }

    /// Writes a batch; tells what happened to the database where it could not be written because the database is another one now.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<Option<Notice>, Reason> {
        if let Some(notice) = self.look(batch.at)? {
            return Ok(Some(notice));
        }
        let Some(database) = &mut self.database else { return Err(closed()) };
        if let Err(failure) = database.commit(batch, &self.services, self.limits) {
            return self.begin_anew(failure, batch.at).map(Some);
        }
        self.known = Some(database.batches());
        self.was_damaged = false;
        Ok(None)
    }

    /// Looks whether the files are as they were left, and makes them usable again where they are not.
    fn look(&mut self, now: Now) -> Result<Option<Notice>, Reason> {
        let Some(database) = &self.database else { return Err(closed()) };
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
    pub(super) fn begin_anew(&mut self, failure: Failure, now: Now) -> Result<Notice, Reason> {
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

    /// The bans of exactly these prefixes that have ended, the latest first.
    pub(super) fn history(&self, prefixes: &[IpNet], limit: usize) -> Result<Past, Failure> {
        match &self.database {
            Some(database) => database.history(prefixes, limit),
            None => Err(Failure::Trouble(closed())),
        }
    }

    /// Opens the database for a loop that knows what was in it.
    pub(super) fn open_again(&mut self, now: Now) -> Result<Found, Reason> {
        let known = self.known;
        let is_new = self.open(Purpose::GoOn, now)?.is_new;
        let Some(database) = &mut self.database else { return Err(closed()) };
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

    /// Closes the database in order.
    pub(super) fn close(&mut self) {
        if let Some(database) = self.database.take() {
            database.close();
        }
    }

    /// Lets go of the database; its files stay as they are.
    pub(super) fn let_go(&mut self) {
        self.database = None;
    }
}

/// Why nothing is done with a database that is not open: whoever asks has let go of it.
fn closed() -> Reason {
    Reason::System("it is not open".to_owned())
}
