//! The ledger against a model that knows only the list of bans and what is protected: for any address at any time, what the
//! program in the kernel drops, looking up hash and trie as it does, is what the bans in force that cover the address say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::judge::{effect::Entry, protect::HostAddresses, tests::kernel::FakeKernel};

#[derive(Clone, Copy, Debug)]
struct ModelBan {
    key: Key,
    record: Record,
}

/// A ban applies to the addresses inside it, but for those inside a protection that is narrower than it.
fn model_drops(
    bans: &[ModelBan],
    protections: &Protections,
    address: IpAddr,
    service: ServiceMask,
    now: BootTime,
) -> bool {
    bans.iter().any(|ModelBan { key, record }| {
        record.in_force(now)
            && !record.observe
            && record.services.0 & service.0 != 0
            && key.prefix.contains(&address)
            && !protections.iter().any(|protection| {
                protection.prefix.contains(&address)
                    && protection.prefix != key.prefix
                    && key.prefix.contains(&protection.prefix)
            })
    })
}

#[derive(Clone, Debug)]
enum Step {
    Put { prefix: IpNet, origin: u8, length: Option<u64>, services: u16, observe: bool, force: bool },
    Lift(prop::sample::Index),
    LiftVictim(u8),
    Protect { ignoreip: Vec<IpNet>, own: Vec<IpNet> },
    Wait(u64),
}

/// Prefixes of few addresses, so that they meet: the interesting bits are those below.
fn prefix() -> impl Strategy<Value = IpNet> {
    let v4 = (prop::sample::select(vec![0u8, 8, 16, 24, 30, 31, 32, 32, 32]), 0u32..4, 0u32..2).prop_map(
        |(length, low, high)| {
            IpNet::new(IpAddr::from((0xC000_0200_u32 ^ (high << 15) | low).to_be_bytes()), length).unwrap().trunc()
        },
    );
    let lengths = vec![0u8, 32, 48, 63, 64, 64, 64, 65, 96, 127, 128, 128];
    let v6 = (prop::sample::select(lengths), 0u128..4, 0u128..4, 0u128..2).prop_map(|(length, low, net, high)| {
        let address = 0x2001_0db8_u128 << 96 | high << 80 | net << 64 | low << 62 & (1 << 63) | low & 1;
        IpNet::new(IpAddr::from(address.to_be_bytes()), length).unwrap().trunc()
    });
    prop_oneof![v4, v6]
}

fn step() -> impl Strategy<Value = Step> {
    let put =
        (prefix(), 0u8..3, prop::option::weighted(0.9, 1u64..40), 1u16..8, prop::bool::weighted(0.25), any::<bool>())
            .prop_map(|(prefix, origin, length, services, observe, force)| Step::Put {
                prefix,
                origin,
                length,
                services,
                observe,
                force,
            });
    let narrow = || prop::collection::vec(prefix().prop_filter("protecting all is dull", |p| p.prefix_len() > 8), 0..4);
    let full = || prop::collection::vec(prefix().prop_map(|p| IpNet::from(p.addr())), 0..2);
    prop_oneof![
        8 => put,
        2 => any::<prop::sample::Index>().prop_map(Step::Lift),
        1 => (0u8..4).prop_map(Step::LiftVictim),
        1 => (narrow(), full()).prop_map(|(ignoreip, own)| Step::Protect { ignoreip, own }),
        3 => (1u64..15).prop_map(Step::Wait),
    ]
}

fn origin(number: u8) -> OriginId {
    let mut origins = crate::judge::origin::Origins::new();
    let jails = ["a", "b"].map(std::sync::Arc::from);
    let ids = origins.configure(jails.iter());
    match number {
        0 => OriginId::HAND,
        1 => ids[0],
        _ => ids[1],
    }
}

fn protections(ignoreip: &[IpNet], own: &[IpNet]) -> Protections {
    let host = HostAddresses { own: own.iter().map(IpNet::addr).collect(), ..HostAddresses::default() };
    Protections::for_all(ignoreip, true, &host, &[])
}

/// What any prefix of a test can tell apart: its first and last address, and their neighbours outside.
fn probes(prefixes: &[IpNet]) -> Vec<IpAddr> {
    prefixes
        .iter()
        .flat_map(|prefix| match (prefix.network(), prefix.broadcast()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (u32::from(first), u32::from(last));
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|a| IpAddr::V4(a.into()))
            }
            (first, last) => {
                let number = |address| match address {
                    IpAddr::V4(_) => 0,
                    IpAddr::V6(address) => u128::from(address),
                };
                let (first, last) = (number(first), number(last));
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|a| IpAddr::V6(a.into()))
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn the_kernel_drops_what_the_bans_say(steps in prop::collection::vec(step(), 1..25)) {
        let mut now = BootTime(0);
        let mut protected = protections(&[], &[]);
        let mut ledger = Ledger::new(protected.clone());
        let mut kernel = FakeKernel::with_room_for(usize::MAX);
        let mut bans: Vec<ModelBan> = Vec::new();
        let mut mentioned: Vec<IpNet> = Vec::new();

        for step in steps {
            let mut effects = Vec::new();
            match step {
                Step::Put { prefix, origin: number, length, services, observe, force } => {
                    // Bans come with the judge's checks made.
                    if protected.forbids(prefix, force).is_some() { continue }
                    let until = length.map_or(Until::Permanent, |length| Until::Boot(now + Duration::from_nanos(length)));
                    let record = Record::new(now, until, ServiceMask(services), observe);
                    let key = Key { prefix, origin: origin(number) };
                    ledger.put(key, record, &mut effects);
                    bans.retain(|ban| ban.key != key);
                    bans.push(ModelBan { key, record });
                    mentioned.push(prefix);
                }
                Step::Lift(index) => {
                    if bans.is_empty() { continue }
                    let ban = bans.swap_remove(index.index(bans.len()));
                    prop_assert_eq!(ledger.lift(ban.key, &mut effects), Some(ban.record));
                }
                Step::LiftVictim(map) => {
                    let map = Map::ALL[usize::from(map)];
                    if let Some(victim) = ledger.victim(map, |_| true) {
                        let keys: Vec<Key> = ledger.at(victim).map(|(key, _)| key).collect();
                        for key in keys {
                            prop_assert!(key.origin != OriginId::HAND);
                            prop_assert!(ledger.lift(key, &mut effects).is_some_and(|r| r.until() != Until::Permanent));
                            bans.retain(|ban| ban.key != key);
                        }
                    }
                }
                Step::Protect { ignoreip, own } => {
                    let former = std::mem::replace(&mut protected, protections(&ignoreip, &own));
                    let lifted = ledger.protect(protected.clone(), &mut effects);
                    let lifted: BTreeSet<Key> = lifted.0.into_iter().map(|(key, _, _)| key).collect();
                    let covered = |ban: &ModelBan| {
                        protected.iter().any(|new| {
                            let before = former.iter().find(|old| old.prefix == new.prefix);
                            before.is_none_or(|old| old.kind != new.kind) && new.prefix.contains(&ban.key.prefix)
                        })
                    };
                    let expected = bans.iter().filter(|ban| covered(ban)).map(|ban| ban.key).collect();
                    prop_assert_eq!(&lifted, &expected);
                    bans.retain(|ban| !lifted.contains(&ban.key));
                    mentioned.extend(ignoreip.iter().chain(&own));
                }
                Step::Wait(ticks) => {
                    now = now + Duration::from_nanos(ticks);
                    while let Some(key) = ledger.expired(now) {
                        ledger.lift(key, &mut effects);
                    }
                    bans.retain(|ban| ban.record.in_force(now));
                }
            }
            let probes = probes(&mentioned);
            kernel.carry_out(&effects, &probes, now);

            for address in probes {
                for service in [1, 2, 4].map(ServiceMask) {
                    prop_assert_eq!(
                        kernel.drops(address, service, now),
                        model_drops(&bans, &protected, address, service, now),
                        "{} service {} at {:?}\nbans {:#?}\nkernel {:#?}",
                        address, service.0, now, &bans, &kernel.entries
                    );
                }
                if let Some(protection) = protected.forbids(address.into(), false)
                    && !bans.iter().any(|ban| protected.forbids(ban.key.prefix, false).is_some())
                {
                    prop_assert!(!kernel.drops(address, ServiceMask(7), now), "{}", protection);
                }
            }
            let slots = |map| ledger.entries(map, None).map(|entry| (entry.slot, entry)).collect::<Vec<_>>();
            let desired: BTreeMap<Slot, Entry> = Map::ALL.into_iter().flat_map(slots).collect();
            prop_assert_eq!(&desired, &kernel.entries, "what is asked for is what was written");
            prop_assert_eq!(ledger.len(), bans.len());
            let next = bans.iter().filter_map(|ban| match ban.record.until() {
                Until::Boot(at) => Some(at),
                Until::Permanent => None,
            });
            prop_assert_eq!(ledger.next_deadline(), next.min());
        }
    }
}
