//! What outlives the daemon and the machine's restarts: bans in force, the history of bans, tallies, and how far logs were read.
//! One SQLite database, `state.db`, below the state directory.
//!
//! ```text
//!   loop ──Batch──> Store ──channel──> thread ──one transaction──> state.db
//!        <─Outcome─       <──channel──
//! ```
//!
//! A [`Batch`] is everything that has changed since the last one, and is written whole or not at all: after a crash, lines are
//! read again from where the last batch on disk says, by a judge that knows what that batch knows. So each line takes effect
//! once. The database belongs to a thread of its own, and no disk, however slow or broken, holds up the loop.
//!
//! What fails never ends the daemon: a [`Batch`] that cannot be written comes back ([`Outcome::Failed`]), the store tries by itself
//! until the disk works again, and says meanwhile what is the matter ([`Store::trouble`]). A database that cannot be used is set
//! aside, never deleted, and a new one is begun.

mod bans;
mod batch;
mod causes;
mod columns;
mod database;
mod failure;
mod files;
mod history;
mod keeper;
mod loaded;
mod logins;
mod offences;
mod offset;
mod places;
mod raids;
mod read_only;
mod rows;
mod schema;
mod store;
mod suspects;
mod tallies;
mod thread;
mod trouble;

#[cfg(test)]
mod tests;

pub use self::{
    batch::{Batch, PositionChange, PositionChanges},
    causes::{ToldCause, ToldReason},
    history::{HistoryError, Limits, Past, PastBan},
    loaded::{Loaded, Notice},
    store::{Outcome, Store, Wants},
    trouble::{Reason, Trouble},
};
