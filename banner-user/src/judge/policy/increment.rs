//! Longer bans for who was banned before.

use std::time::Duration;

use crate::service::ServiceMask;

/// How bans grow: fail2ban's `bantime.increment`, for all jails together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    /// By what.
    pub growth: Growth,
    /// No ban grows beyond this; one that is configured to be longer is not shortened.
    pub maxtime: Duration,
    /// Each ban that has grown is longer by up to this, so that attackers do not come back all at once.
    pub rndtime: Duration,
    /// A source is a new one again when so much time has passed since its last ban ended (or [`Recidive::findtime`], if longer).
    pub forget: Duration,
    /// Also where no logins are known: whoever is behind an address then, its bans grow.
    pub without_logins: bool,
}

/// What a ban grows by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Each ban lasts so many times as long as the one before. At least 2.
    Factor(u16),
    /// So many times as long as the jail's `bantime`, by the number of former bans: the first is for none (and not used), the
    /// last for all beyond. As fail2ban counts them. Not empty.
    Multipliers(Vec<u32>),
}

impl Default for Increment {
    /// 10 minutes, 20, 40, ... to a week, where logins are known.
    fn default() -> Self {
        Self {
            growth: Growth::Factor(2),
            maxtime: Duration::from_secs(7 * 24 * 60 * 60),
            rndtime: Duration::ZERO,
            forget: Duration::from_secs(30 * 24 * 60 * 60),
            without_logins: false,
        }
    }
}

/// Who is banned again and again, by whatever jails, is banned from everything: fail2ban's jail `recidive`. Not who has logged in
/// lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recidive {
    /// So many bans within `findtime`, the new one included. 2 to [`LATEST_MAX`](crate::judge::LATEST_MAX).
    pub maxretry: u16,
    /// Up to the new ban.
    pub findtime: Duration,
    /// At least so long.
    pub bantime: Duration,
    /// From these, and those of the jail.
    pub services: ServiceMask,
    /// Also where no logins are known.
    pub without_logins: bool,
}

impl Default for Recidive {
    /// Five bans in a week, for a week, where logins are known. From no service beside the jail's: the configuration knows which there are.
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        Self { maxretry: 5, findtime: week, bantime: week, services: ServiceMask::NONE, without_logins: false }
    }
}
