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
    collections::{BTreeMap, BTreeSet},
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
}

impl Failed {
    fn newest(&self) -> LogSeconds {
        self.networks.iter().map(|(_, at)| *at).max().unwrap_or_default()
    }
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
type Rank = (usize, LogSeconds, AccountTag);

/// All accounts that were failed on of late.
#[derive(Debug)]
pub(super) struct Accounts {
    most: usize,
    failed: BTreeMap<AccountTag, Failed>,
    /// By networks, then by the last failure.
    by_rank: BTreeSet<Rank>,
    attacks: BTreeMap<AccountTag, Attack>,
    tidied: LogSeconds,
}

impl Accounts {
    /// One that keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            failed: BTreeMap::new(),
            by_rank: BTreeSet::new(),
            attacks: BTreeMap::new(),
            tidied: LogSeconds::default(),
        }
    }

    /// A network failed on an account. Whether that is under attack from now on: so many networks within the window.
    pub(super) fn note(
        &mut self,
        account: AccountTag,
        name: Option<&User>,
        network: Network,
        at: LogSeconds,
        (sources, window): (usize, Duration),
    ) -> bool {
        let failed = self.failed.entry(account).or_default();
        let networks = &mut failed.networks;
        if !networks.is_empty() {
            self.by_rank.remove(&(networks.len(), failed.newest(), account));
        }
        let networks = &mut failed.networks;
        match networks.iter_mut().find(|(known, _)| *known == network) {
            Some((_, last)) => *last = at.max(*last),
            None => {
                networks.reserve_exact(1);
                networks.push((network, at));
            }
        }
        let newest = failed.newest();
        let networks = &mut failed.networks;
        networks.retain(|(_, at)| *at >= newest.earlier(window));
        while networks.len() > sources
            && let Some(oldest) = networks.iter().enumerate().min_by_key(|(_, (_, at))| *at).map(|(index, _)| index)
        {
            networks.swap_remove(oldest);
        }
        let is_enough = networks.len() >= sources;
        self.by_rank.insert((networks.len(), newest, account));
        let known = self.attacks.get_mut(&account);
        let begins = is_enough && known.is_none();
        match known {
            Some(attack) => {
                attack.last = newest;
                if attack.name.is_none() {
                    attack.name = name.cloned();
                }
            }
            None if begins => {
                self.attacks.insert(account, Attack { name: name.cloned(), since: at, last: newest });
            }
            None => {}
        }
        while self.failed.len() > self.most {
            self.forget_first();
        }
        begins
    }

    /// Somebody logged in to an account from a network: what failed there on it before was no attack.
    pub(super) fn forgive(&mut self, account: AccountTag, network: Network) {
        let Some(failed) = self.failed.get_mut(&account) else { return };
        self.by_rank.remove(&(failed.networks.len(), failed.newest(), account));
        failed.networks.retain(|(known, _)| *known != network);
        if failed.networks.is_empty() {
            self.failed.remove(&account);
            self.attacks.remove(&account);
        } else {
            self.by_rank.insert((failed.networks.len(), failed.newest(), account));
        }
    }

    pub(super) fn is_under_attack(&self, account: AccountTag) -> bool {
        self.attacks.contains_key(&account)
    }

    /// Those under attack, in the order of their numbers.
    pub(super) fn attacks(&self) -> impl ExactSizeIterator<Item = &Attack> {
        self.attacks.values()
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
        let mut left = at_most;
        let mut rank = 0;
        // The first of each number of networks is the one that was quiet for longest.
        while let Some(first @ (networks, newest, _)) =
            self.by_rank.range((rank, LogSeconds::default(), AccountTag::MIN)..).next().copied()
        {
            if newest >= start {
                rank = networks.saturating_add(1);
            } else if left > 0 {
                left = left.saturating_sub(1);
                self.forget(first);
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
        self.by_rank.clear();
        for (account, failed) in &mut self.failed {
            failed.networks.iter_mut().for_each(|(_, at)| *at = at.shifted(step));
            self.by_rank.insert((failed.networks.len(), failed.newest(), *account));
        }
        for attack in self.attacks.values_mut() {
            attack.since = attack.since.shifted(step);
            attack.last = attack.last.shifted(step);
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.by_rank.first().copied() {
            self.forget(first);
        }
    }

    fn forget(&mut self, rank: Rank) {
        self.by_rank.remove(&rank);
        self.failed.remove(&rank.2);
        self.attacks.remove(&rank.2);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

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
        assert_eq!((accounts.failed.len(), accounts.by_rank.len()), (1000, 1000));
        assert!(note(&mut accounts, 1, 4, 20_000), "the third network is still the third");
    }

    #[test]
    fn where_all_are_attacked_the_least_attacked_goes_first_and_an_attack_last() {
        let mut accounts = Accounts::new(2);
        for (account, network) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)] {
            note(&mut accounts, account, network, 0);
        }
        assert_eq!(accounts.failed.keys().copied().collect::<Vec<_>>(), [tag(1), tag(2)]);
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
        assert_eq!((accounts.failed.len(), accounts.by_rank.len(), accounts.attacks.len()), (1, 1, 0));
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
                let ranks: BTreeSet<_> =
                    accounts.failed.iter().map(|(a, failed)| (failed.networks.len(), failed.newest(), *a)).collect();
                prop_assert_eq!(&ranks, &accounts.by_rank);
                prop_assert!(accounts.attacks.keys().all(|account| accounts.failed.contains_key(account)));
                prop_assert!(accounts.failed.values().all(|failed| (1..=3).contains(&failed.networks.len())));
            }
        }
    }
}
