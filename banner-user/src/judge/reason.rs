//! What changed how a source was judged, beside its failures themselves.

use std::{fmt, sync::Arc};

use ipnet::IpNet;

use crate::event::Escaped;

/// What changed how a source was judged, beside its failures themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Failures on accounts that logged in from there lately weigh half.
    KnownAccounts,
    /// Somebody logged in from there lately: the first ban is short.
    Customer,
    /// Many people logged in from there lately: every ban is short.
    SharedSource,
    /// This was tried, a name that nobody has ever had.
    Trap(Arc<str>),
    /// So many different accounts were tried, and none of them has logged in.
    Spraying {
        /// Accounts.
        accounts: u16,
    },
    /// Failures on a third account and further ones weigh double.
    ManyAccounts,
    /// Only accounts under attack were tried, this many times.
    UnderAttack {
        /// Failures.
        failures: u16,
    },
    /// It was banned so many times before.
    BannedBefore {
        /// Bans that are remembered.
        times: u16,
    },
    /// This is so manieth ban of late, by whatever jail.
    Recidivist {
        /// Bans, this one included.
        bans: u16,
    },
    /// So many sources of the prefix have failed.
    Members {
        /// Sources.
        sources: u16,
    },
    /// It was one of those for whom this prefix was banned, and that ban was lifted.
    MemberOf(IpNet),
}

impl Reason {
    /// Its name, for programs: it stays what it is.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::KnownAccounts => "known_accounts",
            Self::Customer => "customer",
            Self::SharedSource => "shared_source",
            Self::Trap(_) => "trap",
            Self::Spraying { .. } => "spraying",
            Self::ManyAccounts => "many_accounts",
            Self::UnderAttack { .. } => "under_attack",
            Self::BannedBefore { .. } => "banned_before",
            Self::Recidivist { .. } => "recidivist",
            Self::Members { .. } => "members",
            Self::MemberOf(_) => "member_of",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KnownAccounts => f.write_str("those on accounts known there weigh half"),
            Self::Customer => f.write_str("a customer's first ban"),
            Self::SharedSource => f.write_str("a short ban, since many people log in from there"),
            Self::Trap(name) => write!(f, "it tried {}, a trap", Escaped(name.as_bytes())),
            Self::Spraying { accounts } => write!(f, "it tried {accounts} accounts"),
            Self::ManyAccounts => f.write_str("those on a third account and further ones weigh double"),
            Self::UnderAttack { failures } => {
                write!(f, "it failed {failures} times on accounts under attack, and never logged in")
            }
            Self::BannedBefore { times: 1 } => f.write_str("banned once before"),
            Self::BannedBefore { times } => write!(f, "banned {times} times before"),
            Self::Recidivist { bans } => write!(f, "its ban number {bans} of late"),
            Self::Members { sources } => write!(f, "{sources} sources in it have failed"),
            Self::MemberOf(prefix) => write!(f, "one of those for whom {prefix} was banned"),
        }
    }
}
