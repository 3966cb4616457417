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

use std::{hash::Hasher, net::IpAddr, time::Duration};

use siphasher::sip::SipHasher13;

use super::{
    account::AccountTag,
    recent::{Aged, Key, Rank, Recent},
    seconds::LogSeconds,
};
use crate::{clock::LogTime, event::User};

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

/// What is known of an account.
#[derive(Debug, Default)]
struct Failed {
    /// The networks that have failed on it, each once, with their last failures: as many as are an attack, the latest ones.
    networks: Vec<(Network, LogSeconds)>,
    attack: Option<Box<Attack>>,
}

impl Failed {
    fn last(&self) -> LogSeconds {
        self.networks.iter().map(|(_, at)| *at).max().unwrap_or_default()
    }

    /// A network failed on it. Whether that is an attack now.
    fn note(&mut self, network: Network, at: LogSeconds, (sources, window): (usize, Duration)) -> bool {
        match self.networks.iter_mut().find(|(known, _)| *known == network) {
            Some((_, last)) => *last = at.max(*last),
            None => {
                self.networks.reserve_exact(1);
                self.networks.push((network, at));
            }
        }
        let start = self.last().earlier(window);
        self.networks.retain(|(_, at)| *at >= start);
        while self.networks.len() > sources
            && let Some(oldest) =
                self.networks.iter().enumerate().min_by_key(|(_, (_, at))| *at).map(|(index, _)| index)
        {
            self.networks.swap_remove(oldest);
        }
        self.networks.len() >= sources
    }
}

impl Aged for Failed {
    fn newest(&self) -> Option<LogTime> {
        (!self.networks.is_empty()).then(|| self.last().as_log_time())
    }

    /// By networks, then by the last failure.
    fn rank(&self) -> Rank {
        rank(self.networks.len(), self.last())
    }

    fn shift(&mut self, step: i64) {
        self.networks.iter_mut().for_each(|(_, at)| *at = at.shifted(step));
        if let Some(attack) = &mut self.attack {
            attack.since = attack.since.shifted(step);
            attack.last = attack.last.shifted(step);
        }
    }
}

fn rank(networks: usize, last: LogSeconds) -> Rank {
    u64::try_from(networks).unwrap_or(u64::MAX) << u32::BITS | u64::from(last.0)
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

impl Key for AccountTag {
    fn hash(self, hasher: &mut impl Hasher) {
        hasher.write_u32(self.0.get());
    }
}

/// All accounts that were failed on of late.
#[derive(Debug)]
pub(super) struct Accounts {
    most: usize,
    failed: Recent<Failed, AccountTag>,
    attacks: usize,
    tidied: LogSeconds,
}

impl Accounts {
    /// One that keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, failed: Recent::new(), attacks: 0, tidied: LogSeconds::default() }
    }

    /// A network failed on an account. Whether that is under attack from now on: `enough` networks within the window.
    pub(super) fn note(
        &mut self,
        account: AccountTag,
        name: Option<&User>,
        network: Network,
        at: LogSeconds,
        enough: (usize, Duration),
    ) -> bool {
        let begins = self.failed.update(account, |failed| {
            let is_enough = failed.note(network, at, enough);
            let last = failed.last();
            match &mut failed.attack {
                Some(attack) => {
                    attack.last = last;
                    if attack.name.is_none() {
                        attack.name = name.cloned();
                    }
                    false
                }
                None if is_enough => {
                    failed.attack = Some(Box::new(Attack { name: name.cloned(), since: at, last }));
                    true
                }
                None => false,
            }
        });
        if begins {
            self.attacks = self.attacks.saturating_add(1);
        }
        while self.failed.len() > self.most {
            let forgotten = self.failed.forget_oldest();
            self.note_forgotten(forgotten.as_ref());
        }
        begins
    }

    /// Somebody logged in to an account from a network: what failed there on it before was no attack.
    pub(super) fn forgive(&mut self, account: AccountTag, network: Network) {
        if self.failed.get(account).is_none() {
            return;
        }
        let is_left = self.failed.update(account, |failed| {
            failed.networks.retain(|(known, _)| *known != network);
            !failed.networks.is_empty()
        });
        if !is_left {
            self.forget(account);
        }
    }

    pub(super) fn is_under_attack(&self, account: AccountTag) -> bool {
        self.failed.get(account).is_some_and(|failed| failed.attack.is_some())
    }

    /// How many are under attack.
    pub(super) fn under_attack(&self) -> usize {
        self.attacks
    }

    /// Those under attack, in the order of their numbers.
    pub(super) fn attacks(&self) -> impl Iterator<Item = &Attack> {
        self.failed.iter().filter_map(|(_, failed)| failed.attack.as_deref())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failed.len() == 0
    }

    /// Forgets accounts that were quiet for the window, at most so many; at most once a minute.
    pub(super) fn tidy(&mut self, now: LogSeconds, window: Duration, at_most: usize) {
        if self.tidied.0.abs_diff(now.0) < TIDY_EVERY {
            return;
        }
        self.tidied = now;
        let start = now.earlier(window);
        let mut left = at_most;
        let mut networks = 0;
        // The first of each number of networks is the one that was quiet for longest.
        while let Some((_, account)) = self.failed.first_from(rank(networks, LogSeconds::default())) {
            let Some(first) = self.failed.get(account) else { break };
            if first.last() >= start {
                networks = first.networks.len().saturating_add(1);
            } else if left > 0 {
                left = left.saturating_sub(1);
                self.forget(account);
            } else {
                break;
            }
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.failed.shift(step);
    }

    fn forget(&mut self, account: AccountTag) {
        let forgotten = self.failed.remove(account);
        self.note_forgotten(forgotten.as_ref());
    }

    fn note_forgotten(&mut self, forgotten: Option<&Failed>) {
        if forgotten.is_some_and(|failed| failed.attack.is_some()) {
            self.attacks = self.attacks.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, num::NonZeroU32};

    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn tag(number: u32) -> AccountTag {
        AccountTag(NonZeroU32::new(number).unwrap())
    }

    fn note(accounts: &mut Accounts, account: u32, network: u32, at: u32) -> bool {
        accounts.note(tag(account), None, Network(network), LogSeconds(at), (3, DAY))
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let table = [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", true),
            ("2001:db8:1::1", "2001:db8:2::1", false),
            ("0.0.0.1", "::1", false),
        ];
        for (one, other, same) in table {
            let network = |address: &str| Network::of(address.parse().unwrap());
            assert_eq!(network(one) == network(other), same, "{one} {other}");
        }
    }

    #[test]
    fn made_up_names_push_out_each_other_and_nothing_that_two_networks_fail_on() {
        let mut accounts = Accounts::new(1000);
        assert!(!note(&mut accounts, 1, 1, 0));
        assert!(!note(&mut accounts, 1, 2, 1));
        for name in 0..100_000 {
            assert!(!note(&mut accounts, 1000 + name, 3, 2 + name / 10));
        }
        assert_eq!(accounts.failed.len(), 1000);
        assert!(note(&mut accounts, 1, 4, 20_000), "the third network is still the third");
    }

    #[test]
    fn where_all_are_attacked_the_least_attacked_goes_first_and_an_attack_last() {
        let mut accounts = Accounts::new(2);
        for (account, network) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)] {
            note(&mut accounts, account, network, 0);
        }
        assert_eq!(accounts.failed.iter().map(|(account, _)| account).collect::<Vec<_>>(), [tag(1), tag(2)]);
        assert!(accounts.is_under_attack(tag(1)));
    }

    #[test]
    fn what_is_quiet_for_the_window_is_forgotten_whatever_its_rank_and_in_slices() {
        let mut accounts = Accounts::new(1000);
        for account in 1..=100 {
            for network in 0..account % 4 + 1 {
                note(&mut accounts, account, network, 1000);
            }
        }
        note(&mut accounts, 200, 1, 2000);
        accounts.tidy(LogSeconds(87_400), DAY, 60);
        assert_eq!(accounts.failed.len(), 101, "a day, and not more");
        accounts.tidy(LogSeconds(87_459), DAY, 60);
        assert_eq!(accounts.failed.len(), 101, "looked a minute ago");
        accounts.tidy(LogSeconds(87_460), DAY, 60);
        assert_eq!(accounts.failed.len(), 41);
        accounts.tidy(LogSeconds(87_520), DAY, 60);
        assert_eq!((accounts.failed.len(), accounts.under_attack()), (1, 0));
    }

    proptest! {
        /// Against a list of all failures ever; and the parts agree.
        #[test]
        fn an_attack_is_three_networks_in_a_day_until_a_quiet_one(
            failures in prop::collection::vec((1_u32..4, 0_u32..5, 0_u32..40_000, any::<bool>()), 1..80),
        ) {
            let mut accounts = Accounts::new(1000);
            let (mut all, mut attacked) = (Vec::new(), BTreeSet::new());
            let mut now = 100_000;
            for (account, network, wait, is_login) in failures {
                now += wait;
                accounts.tidy(LogSeconds(now), DAY, 1000);
                if is_login && wait % 5 == 0 {
                    accounts.forgive(tag(account), Network(network));
                    all.retain(|(a, n, _)| (*a, *n) != (account, network));
                    if !all.iter().any(|(a, _, at)| *a == account && *at + 86_400 >= now) {
                        attacked.remove(&account);
                    }
                } else {
                    let begun = note(&mut accounts, account, network, now);
                    let quiet = !all.iter().any(|(a, _, at)| *a == account && *at + 86_400 >= now);
                    if quiet {
                        attacked.remove(&account);
                    }
                    all.push((account, network, now));
                    let day = all.iter().filter(|(a, _, at)| *a == account && *at + 86_400 >= now);
                    let networks: BTreeSet<_> = day.map(|(_, network, _)| *network).collect();
                    prop_assert_eq!(begun, networks.len() >= 3 && attacked.insert(account));
                    prop_assert_eq!(accounts.is_under_attack(tag(account)), attacked.contains(&account));
                }
                prop_assert_eq!(accounts.under_attack(), accounts.attacks().count());
                let networks = |failed: &Failed| failed.networks.len();
                prop_assert!(accounts.failed.iter().all(|(_, failed)| (1..=3).contains(&networks(failed))));
            }
        }
    }
}
