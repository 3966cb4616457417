//! What the judge goes by: jails and what is never banned. Made by `config`, checked there, never changed here.

mod accounts;
mod customers;
mod fuse;
mod increment;
mod prefixes;
mod spraying;

pub use self::{
    accounts::{Accounts, TRAPS_MAX},
    customers::Customers,
    fuse::Fuse,
    increment::{Growth, Increment, Recidive},
    prefixes::Prefixes,
    spraying::Spraying,
};

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

use crate::{event::FilterName, service::ServiceMask, source::journal::JOURNAL};

/// Everything that an operator decides about judging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In the order of the configuration; names are unique.
    pub jails: Vec<Jail>,
    /// Never banned, in any jail.
    pub ignoreip: Vec<IpNet>,
    /// The host's own addresses are never banned either (they arrive as an input). Its gateways and resolvers never are.
    pub ignoreself: bool,
    /// How much of an IPv6 address is one source: 64, or shorter where providers hand out more; at most 128.
    pub ipv6_prefix: u8,
    /// Longer bans for who was banned before; `None`: each lasts as long as the first.
    pub increment: Option<Increment>,
    /// Bans from everything for who is banned again and again; `None`: never.
    pub recidive: Option<Recidive>,
    /// What is granted to who logged in lately; `None`: nothing.
    pub customers: Option<Customers>,
    /// What follows from an account that many sources fail on; `None`: nothing.
    pub accounts: Option<Accounts>,
    /// What follows from failures on many accounts; `None`: nothing.
    pub spraying: Option<Spraying>,
    /// Bans of prefixes from which many sources fail; `None`: never.
    pub prefixes: Option<Prefixes>,
    /// When failures are taken for an outage; `None`: never.
    pub fuse: Option<Fuse>,
    /// Bounds of the memory.
    pub limits: Limits,
}

impl Policy {
    /// These jails, and nothing beside their counting: no source is judged by what it did before, or by what others do.
    #[must_use]
    pub fn plain(jails: Vec<Jail>) -> Self {
        Self {
            jails,
            ignoreip: Vec::new(),
            ignoreself: true,
            ipv6_prefix: 64,
            increment: None,
            recidive: None,
            customers: None,
            accounts: None,
            spraying: None,
            prefixes: None,
            fuse: None,
            limits: Limits::default(),
        }
    }

    /// What was banned is a new one when so much time has passed since its last ban ended.
    #[must_use]
    pub fn forget(&self) -> Duration {
        let increment = self.increment.as_ref().map_or(Increment::default().forget, |increment| increment.forget);
        self.recidive.as_ref().map_or(increment, |recidive| increment.max(recidive.findtime))
    }

    /// The tables of the configuration that do nothing at all where it is not known who logs in, since they would ban whole offices.
    /// `[accounts]` still has its traps then, and `[spraying]` its weights.
    #[must_use]
    pub fn idle_without_logins(&self) -> Vec<&'static str> {
        let tables = [
            ("increment", self.increment.as_ref().is_some_and(|increment| !increment.without_logins)),
            ("recidive", self.recidive.as_ref().is_some_and(|recidive| !recidive.without_logins)),
            ("prefixes", self.prefixes.is_some()),
        ];
        tables.into_iter().filter_map(|(table, is_idle)| is_idle.then_some(table)).collect()
    }

    /// Every source that a jail names, once, in the order of their first mention, the journal last: files have the numbers
    /// that they would have without it. The place of one in this list is the number by which a line says where it comes from.
    #[must_use]
    pub fn sources(&self) -> Vec<&str> {
        let mut sources = Vec::new();
        for source in self.jails.iter().flat_map(|jail| &jail.source) {
            if !sources.contains(&source.as_str()) {
                sources.push(source.as_str());
            }
        }
        sources.sort_by_key(|source| *source == JOURNAL);
        sources
    }
}

/// One jail: whose failures it counts, when it bans, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail {
    /// As the operator named it.
    pub name: Arc<str>,
    /// It counts events of these filters alone.
    pub filters: Vec<FilterName>,
    /// Paths and globs whose lines it judges; [`JOURNAL`] for the systemd journal.
    pub source: Vec<String>,
    /// This many failures (of weight one) within `findtime` ban. At least 1.
    pub maxretry: u16,
    /// The length of the sliding window, over log time.
    pub findtime: Duration,
    /// How long a ban lasts.
    pub bantime: BanTime,
    /// What a banned source can no longer reach.
    pub services: ServiceMask,
    /// Never banned by this jail.
    pub ignoreip: Vec<IpNet>,
    /// Count in the kernel what would be dropped, and pass it.
    pub observe: bool,
    /// Any of its filters tells logins, as the catalogue finds: only such a jail can know who belongs into a prefix, and ban one.
    pub hears_logins: bool,
}

/// How long a ban lasts. The longer one is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BanTime {
    /// From the ban on; for a failure that was read late, from that failure on.
    For(Duration),
    /// Until an operator lifts it.
    Permanent,
}

/// Bounds of the judge's memory; each says what gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sources with failures that are tracked; beyond, the one that failed longest ago is forgotten, and counted.
    pub sources: usize,
    /// Sources whose failures are kept for `why`; beyond, the oldest are forgotten.
    pub evidence: usize,
    /// Logins that are remembered, by source and account; beyond, the one that is longest ago is forgotten, and counted.
    pub customers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sources: 1_000_000, evidence: 10_000, customers: 200_000 }
    }
}
