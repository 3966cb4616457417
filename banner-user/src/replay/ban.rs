//! A ban that would have been.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;

use crate::{
    clock::WallTime,
    event::{FilterName, User},
    judge::{Quarters, reason::Reason},
};

/// The most users of one ban that are kept.
pub const USERS_MAX: usize = 5;

/// What would have been banned, when, until when and why; and whether that was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// When it would have begun.
    pub at: WallTime,
    /// When it would have ended; `None` for never.
    pub until: Option<WallTime>,
    /// Whose packets.
    pub source: IpNet,
    /// The jail whose limit was reached.
    pub jail: Arc<str>,
    /// The jail only observes: nothing would have been dropped.
    pub observe: bool,
    /// The weight of the failures that made it, in quarters.
    pub failures: Quarters,
    /// The weight that bans, in quarters.
    pub limit: Quarters,
    /// What else was taken into account, in the order in which it was.
    pub reasons: Vec<Reason>,
    /// The time within which they came.
    pub findtime: Duration,
    /// Users that were tried, at most [`USERS_MAX`]. Attacker text.
    pub users: Vec<User>,
    /// Failures that it would have prevented.
    pub prevented: u64,
    /// It gave way before its time, because the kernel's map was full.
    pub yielded: bool,
    /// The login that makes it a likely false positive.
    pub login: Option<Login>,
}

/// A successful login from a banned source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// When.
    pub at: WallTime,
    /// From which address of the source.
    pub address: IpAddr,
    /// As whom, where the line says so.
    pub user: Option<User>,
    /// The filter that knew the line.
    pub filter: FilterName,
    /// Where it lies to the ban.
    pub moment: Moment,
}

/// Where a login lies to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Less than a day before it began.
    Before,
    /// While it was in force.
    During,
    /// Less than a day after it ended.
    After,
}
