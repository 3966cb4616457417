//! Accounts under attack: those that many networks fail on from which nobody logs in. A botnet whose members try once a day each
//! is told by its victims.
//!
//! Networks count, not addresses: an IPv4 /24, an IPv6 /48. A telephone that a carrier hands on from address to address is one
//! network, and so is whoever has rented a block. What an attacker can make of it:
//!
//! - He makes up names. At most [`ACCOUNTS_MAX`] are kept; beyond, the one goes that the fewest networks fail on, of these the one
//!   that was quiet for longest. So made-up names push out each other: what one network fails on never pushes out what two do.
//!   A source that has tried [`TRIES_MAX`] accounts within the window adds no more.
//! - He has as many networks as it takes, and fails on an account to bring it under attack. Then who never logged in from where he
//!   is, and fails on it twice, is banned: never a customer.
//!
//! [`TRIES_MAX`]: super::suspects::TRIES_MAX

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::{account::AccountTag, seconds::LogSeconds};
use crate::event::User;

/// The most accounts on which failures are remembered.
pub(super) const ACCOUNTS_MAX: usize = 100_000;

/// How often accounts that have gone quiet are looked for.
const TIDY_EVERY: u32 = 60;

/// A /24 or a /48, in 32 bits: that two IPv6 networks are taken for one makes an attack smaller by one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network(u32);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(v4.to_bits() >> 8),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = SipHasher13::new().hash(&(v6.to_bits() >> 80).to_be_bytes()).to_be_bytes();
                Self(u32::from_be_bytes([a, b, c, d]) | 1 << 31)
            }
        }
    }
}

/// The networks that have failed on an account, each once, with their last failures: as many as are an attack, the latest ones.
#[derive(Debug, Default)]
struct Failed {
    networks: Vec<(Network, LogSeconds)>,
    /// The last failure of all.
    newest: LogSeconds,
    /// Where it stands in the order of what goes first: no later than where it belongs.
    place: (u32, LogSeconds),
    /// While it is under attack.
    attack: Option<Box<Attack>>,
}

impl Failed {
    /// Where it belongs.
    fn rank(&self) -> (u32, LogSeconds) {
        (u32::try_from(self.networks.len()).unwrap_or(u32::MAX), self.newest)
    }

    /// A network failed. As many as `sources` are kept, of those that failed within the window.
    fn add(&mut self, network: Network, at: LogSeconds, sources: usize, window: Duration) {
        let networks = &mut self.networks;
        match networks.iter_mut().find(|(known, _)| *known == network) {
            Some((_, last)) => *last = at.max(*last),
            None => {
                networks.reserve_exact(1);
                networks.push((network, at));
            }
        }
        self.newest = at.max(self.newest);
        let start = self.newest.earlier(window);
        networks.retain(|(_, at)| *at >= start);
        while networks.len() > sources
            && let Some(oldest) = networks.iter().enumerate().min_by_key(|(_, (_, at))| *at).map(|(index, _)| index)
        {
            networks.swap_remove(oldest);
        }
    }
}

/// What a failure on an account comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) is_under_attack: bool,
    /// Since this failure.
    pub(super) begins: bool,
}

/// An account that is under attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// Its name, as one of those wrote it; `None` for one of an earlier run that nobody has failed on since.
    pub name: Option<User>,
    /// Since when there were enough of them.
    pub since: LogSeconds,
    /// The last failure.
    pub last: LogSeconds,
}

/// What stands in the order of what goes first.
type Rank = (u32, LogSeconds, AccountTag);

/// All accounts that were failed on of late.
#[derive(Debug)]
pub(super) struct Accounts {
    most: usize,
    /// By a hash with a key of this process; no order depends on it.
    failed: HashMap<AccountTag, Failed>,
    /// By networks, then by the last failure. Each failure moves its account to a later place; it is found there when it comes
    /// first, and not before.
    by_rank: BTreeSet<Rank>,
    tidied: LogSeconds,
}

impl Accounts {
    /// One that keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, failed: HashMap::new(), by_rank: BTreeSet::new(), tidied: LogSeconds::default() }
    }

    /// A network failed on an account, which is under attack when so many networks have within the window.
    pub(super) fn note(
        &mut self,
        account: AccountTag,
        name: Option<&User>,
        network: Network,
        at: LogSeconds,
        (sources, window): (usize, Duration),
    ) -> Noted {
        let failed = self.failed.entry(account).or_default();
        let is_new = failed.networks.is_empty();
        failed.add(network, at, sources, window);
        let is_enough = failed.networks.len() >= sources;
        let begins = is_enough && failed.attack.is_none();
        match &mut failed.attack {
            Some(attack) => {
                attack.last = failed.newest;
                if attack.name.is_none() {
                    attack.name = name.cloned();
                }
            }
            None if begins => {
                failed.attack = Some(Box::new(Attack { name: name.cloned(), since: at, last: failed.newest }));
            }
            None => {}
        }
        let is_under_attack = failed.attack.is_some();
        if is_new || failed.rank() < failed.place {
            self.place(account);
        }
        while self.failed.len() > self.most {
            self.forget_first();
        }
        Noted { is_under_attack, begins }
    }

    /// Somebody logged in to an account from a network: what failed there on it before was no attack.
    pub(super) fn forgive(&mut self, account: AccountTag, network: Network) {
        let Some(failed) = self.failed.get_mut(&account) else { return };
        failed.networks.retain(|(known, _)| *known != network);
        failed.newest = failed.networks.iter().map(|(_, at)| *at).max().unwrap_or_default();
        if failed.networks.is_empty() {
            self.forget(account);
        } else {
            self.place(account);
        }
    }

    pub(super) fn is_under_attack(&self, account: AccountTag) -> bool {
        self.failed.get(&account).is_some_and(|failed| failed.attack.is_some())
    }

    /// Those under attack, in the order of their numbers.
    pub(super) fn attacks(&self) -> impl ExactSizeIterator<Item = &Attack> {
        let attacks = self.failed.iter().filter_map(|(account, failed)| Some((*account, failed.attack.as_deref()?)));
        let mut attacks: Vec<_> = attacks.collect();
        attacks.sort_unstable_by_key(|(account, _)| *account);
        attacks.into_iter().map(|(_, attack)| attack)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// Forgets accounts that were quiet for the window, at most so many; at most once a minute.
    pub(super) fn tidy(&mut self, now: LogSeconds, window: Duration, at_most: usize) {
        if self.tidied.0.abs_diff(now.0) < TIDY_EVERY {
            return;
        }
        self.tidied = now;
        let start = now.earlier(window);
        // What has moved on since is not gone; of that, twice as many at most are looked at.
        let (mut left, mut moves) = (at_most, at_most.saturating_mul(2));
        let mut rank = 0;
        // The first of each number of networks is the one that was quiet for longest.
        while let Some(first @ (networks, newest, _)) =
            self.by_rank.range((rank, LogSeconds::default(), AccountTag::MIN)..).next().copied()
        {
            if newest >= start {
                rank = networks.saturating_add(1);
            } else if left == 0 || moves == 0 {
                break;
            } else if self.move_on(first) {
                moves = moves.saturating_sub(1);
            } else {
                left = left.saturating_sub(1);
                self.forget(first.2);
            }
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.by_rank.clear();
        for (account, failed) in &mut self.failed {
            failed.networks.iter_mut().for_each(|(_, at)| *at = at.shifted(step));
            failed.newest = failed.newest.shifted(step);
            failed.place = failed.rank();
            self.by_rank.insert((failed.place.0, failed.place.1, *account));
            if let Some(attack) = &mut failed.attack {
                attack.since = attack.since.shifted(step);
                attack.last = attack.last.shifted(step);
            }
        }
    }

    fn forget_first(&mut self) {
        while let Some(first) = self.by_rank.first().copied() {
            if !self.move_on(first) {
                return self.forget(first.2);
            }
        }
    }

    /// Whether what stands there belongs to a later place, where it is from then on.
    fn move_on(&mut self, (networks, newest, account): Rank) -> bool {
        let moves = self.failed.get(&account).is_some_and(|failed| failed.rank() > (networks, newest));
        if moves {
            self.place(account);
        }
        moves
    }

    /// Lets an account stand where it belongs.
    fn place(&mut self, account: AccountTag) {
        let Some(failed) = self.failed.get_mut(&account) else { return };
        let ((networks, newest), rank) = (failed.place, failed.rank());
        failed.place = rank;
        self.by_rank.remove(&(networks, newest, account));
        self.by_rank.insert((rank.0, rank.1, account));
    }

    fn forget(&mut self, account: AccountTag) {
        if let Some(Failed { place: (networks, newest), .. }) = self.failed.remove(&account) {
            self.by_rank.remove(&(networks, newest, account));
        }
    }
}

#[cfg(test)]
mod tests;
