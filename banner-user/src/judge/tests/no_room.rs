//! Maps of three entries under everything that can happen: what the kernel has is what is wanted, but for what waits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{kernel::FakeKernel, *};
use crate::{
    clock::{BootTime, Now, WallTime},
    event::{Attempt, Event, FileId, Position, Weight},
    judge::{
        HostAddresses, Input, Judge, Line, Report,
        effect::{Entry, Map},
        manual::{BanRequest, Target},
        report::Ended,
    },
};

const ROOM: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Fail { last: u8, v6: bool },
    Ban { prefix: ipnet::IpNet, length: Option<u64> },
    Unban { prefix: ipnet::IpNet },
    Own(Vec<u8>),
    Wait(u64),
}

fn prefix() -> impl Strategy<Value = ipnet::IpNet> {
    let v4 = (0u8..16, prop::sample::select(vec![24u8, 28, 30, 31, 32]))
        .prop_map(|(last, length)| ipnet::IpNet::new([192, 0, 2, last].into(), length).unwrap().trunc());
    let v6 = (0u16..6, 0u16..3, prop::sample::select(vec![32u8, 48, 64, 64, 128])).prop_map(|(net, last, length)| {
        ipnet::IpNet::new([0x2001, 0xdb8, 0, net, 0, 0, 0, last].into(), length).unwrap().trunc()
    });
    prop_oneof![v4, v6]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u8..16, any::<bool>()).prop_map(|(last, v6)| Step::Fail { last, v6 }),
        3 => (prefix(), prop::option::weighted(0.7, 1u64..40)).prop_map(|(prefix, length)| Step::Ban { prefix, length }),
        1 => prefix().prop_map(|prefix| Step::Unban { prefix }),
        1 => prop::collection::vec(0u8..16, 0..4).prop_map(Step::Own),
        3 => (1u64..20).prop_map(Step::Wait),
    ]
}

fn address(last: u8, v6: bool) -> std::net::IpAddr {
    if v6 {
        [0x2001, 0xdb8, 0, u16::from(last % 6), 0, 0, 0, u16::from(last / 6)].into()
    } else {
        [192, 0, 2, last].into()
    }
}

fn at(seconds: u64) -> Now {
    let wall = WallTime(1_700_000_000_000_000_i64.saturating_add_unsigned(seconds * 1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(seconds), wall }
}

#[test]
fn what_ends_makes_room_before_what_ends_with_it_is_written_anew() {
    let mut judge = Judge::new(policy([Jail { maxretry: 1, bantime: seconds(30), ..mail() }]));
    let mut kernel = FakeKernel::with_room_for(ROOM);
    let ban = |judge: &mut Judge, last: u8, length: Option<u64>| {
        let bantime = Some(length.map_or(BanTime::Permanent, seconds));
        let target = Target::Address([192, 0, 2, last].into());
        judge.ban(&BanRequest { target, bantime, services: None, jail: None, force: false }, at(0)).unwrap().effects
    };
    let fail = |judge: &mut Judge, last: u8| {
        let (source, at_line) = ([192, 0, 2, last].into(), at(0).wall.as_log_time());
        let attempt = Attempt { filter: "cyrus".into(), source, user: None, weight: Weight::ONE, at: at_line };
        let (events, position) = (&[Event::Failure(attempt)], Position { file: FileId(0), offset: 0 });
        judge.handle(Input::Line(Line { events, bytes: b"", position, sources: &[0], live: true }), at(0))
    };
    for (last, length) in [(0, None), (5, None), (2, Some(22))] {
        let effects = ban(&mut judge, last, length);
        let _ = judge.carry_out(effects, at(0), &mut kernel);
    }
    let effects = [fail(&mut judge, 1), ban(&mut judge, 3, Some(19)), fail(&mut judge, 3)];
    for effects in effects {
        let _ = judge.carry_out(effects, at(0), &mut kernel);
    }
    let effects = judge.handle(Input::Tick, at(22));
    let reports = judge.carry_out(effects, at(22), &mut kernel);
    assert_eq!(kernel.len(Map::BansV4), ROOM, "no ban has yielded in vain: {reports:?}");
}

proptest! {
    #[test]
    fn the_kernel_has_what_is_wanted_but_for_what_waits(steps in prop::collection::vec(step(), 1..40)) {
        let mut judge = Judge::new(policy([Jail { maxretry: 1, bantime: seconds(30), ..mail() }]));
        let mut kernel = FakeKernel::with_room_for(ROOM);
        let (mut now, mut own) = (at(0), Vec::new());
        for step in steps {
            let effects = match step {
                Step::Fail { last, v6 } => {
                    let source = address(last, v6);
                    let at = now.wall.as_log_time();
                    let attempt = Attempt { filter: "cyrus".into(), source, user: None, weight: Weight::ONE, at };
                    let position = Position { file: FileId(0), offset: 0 };
                    let events = &[Event::Failure(attempt)];
                    judge.handle(Input::Line(Line { events, bytes: b"", position, sources: &[0], live: true }), now)
                }
                Step::Ban { prefix, length } => {
                    let bantime = Some(length.map_or(BanTime::Permanent, seconds));
                    let target = Target::Prefix(prefix);
                    let request = BanRequest { target, bantime, services: None, jail: None, force: false };
                    judge.ban(&request, now).map_or_else(|_| Vec::new(), |banned| banned.effects)
                }
                Step::Unban { prefix } => judge.unban(Target::Prefix(prefix), now).effects,
                Step::Own(lasts) => {
                    own = lasts.iter().map(|last| address(*last, last % 2 == 0)).collect();
                    judge.handle(Input::Protect(HostAddresses { own: own.clone(), ..HostAddresses::default() }), now)
                }
                Step::Wait(wait) => {
                    now = at((now.boot - BootTime::default()).as_secs() + wait);
                    judge.handle(Input::Tick, now)
                }
            };
            let reports = judge.carry_out(effects, now, &mut kernel);

            let bans = judge.bans(None, usize::MAX).bans;
            let waiting: Vec<_> = bans.iter().filter(|ban| ban.waits).map(|ban| ban.slot).collect();
            let entries = |map| judge.entries(map, None).collect::<Vec<_>>();
            let wanted: BTreeMap<_, Entry> =
                Map::ALL.into_iter().flat_map(entries).map(|entry| (entry.slot, entry)).collect();
            let expected: BTreeMap<_, _> =
                wanted.iter().filter(|(slot, _)| !waiting.contains(slot)).map(|(slot, entry)| (*slot, *entry)).collect();
            prop_assert_eq!(&kernel.entries, &expected);
            for map in Map::ALL {
                prop_assert!(kernel.len(map) <= ROOM);
            }
            for report in reports {
                if let Report::Unbanned { why: Ended::Yielded(map @ (Map::BansV4 | Map::BansV6)), .. } = report {
                    prop_assert_eq!(kernel.len(map), ROOM, "a ban of {} yielded to nothing", map);
                }
            }
            for address in &own {
                prop_assert!(!kernel.drops(*address, MAIL, now.boot), "{} is the host's own", address);
            }
        }
    }
}
