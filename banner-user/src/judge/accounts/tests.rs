use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn tag(number: u32) -> AccountTag {
    AccountTag(NonZeroU32::new(number).unwrap())
}

fn note(accounts: &mut Accounts, account: u32, network: u32, at: u32) -> bool {
    accounts.note(tag(account), None, Network(network), LogSeconds(at), (3, DAY)).begins
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
    assert_eq!(accounts.failed.keys().copied().collect::<BTreeSet<_>>(), [tag(1), tag(2)].into());
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
    assert_eq!((accounts.failed.len(), accounts.by_rank.len(), accounts.attacks().len()), (1, 1, 0));
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
            let places: BTreeSet<_> =
                accounts.failed.iter().map(|(account, failed)| (failed.place.0, failed.place.1, *account)).collect();
            prop_assert_eq!(&places, &accounts.by_rank);
            prop_assert!(accounts.failed.values().all(|failed| failed.place <= failed.rank()));
            let newest = |failed: &Failed| failed.networks.iter().map(|(_, at)| *at).max();
            prop_assert!(accounts.failed.values().all(|failed| newest(failed) == Some(failed.newest)));
            prop_assert!(accounts.failed.values().all(|failed| (1..=3).contains(&failed.networks.len())));
        }
    }
}
