//! What is saved, and a judge that goes on from it.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{disk::Disk, kernel::FakeKernel, *};
use crate::{
    clock::{BootTime, Now, WallTime},
    event::{Attempt, Event, FileId, Position, User, Weight},
    judge::{
        Counted, Effect, Input, Judge, Line, Origin, Report,
        account::AccountId,
        effect::{Entry, Slot, Until},
        manual::Target,
        policy::{Accounts, Customers, Increment, Recidive, Spraying},
        saved::{BanChange, Changes, Saved, SavedBan, SavedTally, TallyChange},
    },
};

fn at(seconds: u64) -> Now {
    let wall = WallTime(1_700_000_000_000_000_i64.saturating_add_unsigned(seconds * 1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(seconds), wall }
}

fn judge() -> Judge {
    let jails = [Jail { maxretry: 2, ..mail() }, Jail { bantime: seconds(30), ..jail("imap", "cyrus", IMAP) }];
    let increment = Some(Increment { maxtime: Duration::from_secs(300), ..doubling() });
    let recidive = Some(Recidive { findtime: Duration::from_secs(400), services: MAIL, ..weekly() });
    let customers = Some(Customers { bantime: Duration::from_secs(600), ..Customers::default() });
    let accounts = Some(Accounts { sources: 2, bantime: Duration::from_secs(200), ..Accounts::default() });
    let spraying = Some(Spraying { accounts: 3, bantime: Duration::from_secs(100), ..Spraying::default() });
    Judge::new(Policy { increment, recidive, customers, accounts, spraying, ..policy(jails) }).saved()
}

/// Accounts are tried in turn.
fn user(second: u64) -> User {
    User::new(format!("user{}", second % 4).as_bytes())
}

fn line(judge: &mut Judge, kernel: &mut FakeKernel, (second, last): (u64, u8), live: bool, now: Now) {
    told(judge, kernel, (second, last, Event::Failure), live, now);
}

type Told = (u64, u8, fn(Attempt) -> Event);

fn told(judge: &mut Judge, kernel: &mut FakeKernel, (second, last, event): Told, live: bool, now: Now) {
    let (filter, source) = ("cyrus".into(), [192, 0, 2, last].into());
    let user = Some(user(second));
    let attempt = Attempt { filter, source, user, weight: Weight::ONE, at: at(second).wall.as_log_time() };
    let position = Position { file: FileId(0), offset: 0 };
    let events = &[event(attempt)];
    let effects = judge.handle(Input::Line(Line { events, bytes: b"the line", position, sources: &[0], live }), now);
    let _ = judge.carry_out(effects, now, kernel);
}

/// Everything that decides what happens next.
type Standing = (Vec<(ipnet::IpNet, String, Until)>, Vec<SavedTally>, Changes);

fn standing(judge: &Judge) -> Standing {
    let everything = judge.everything();
    let bans = everything.bans.into_iter().filter_map(|change| match change {
        BanChange::Began { ban, .. } => Some((ban.prefix, ban.origin.to_string(), ban.until)),
        BanChange::Ended { .. } => None,
    });
    let tallies = everything.tallies.into_iter().filter_map(|change| match change {
        TallyChange::Counted(tally) => Some(tally),
        TallyChange::Gone { .. } => None,
    });
    let Changes { offences, logins, raids, suspects, .. } = everything;
    (bans.collect(), tallies.collect(), Changes { offences, logins, raids, suspects, ..Changes::default() })
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fail(u8),
    LogIn(u8),
    Unban(u8),
    Wait(u64),
    Commit,
    CommitFails,
    /// The daemon is killed, and starts again.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..4).prop_map(Step::Fail),
        1 => (0_u8..4).prop_map(Step::LogIn),
        1 => (0_u8..4).prop_map(Step::Unban),
        3 => (1_u64..40).prop_map(Step::Wait),
        3 => Just(Step::Commit),
        1 => Just(Step::CommitFails),
        2 => Just(Step::Die),
    ]
}

proptest! {
    /// One judge is killed again and again, and goes on from what was saved and from what the kernel has; another one is not.
    #[test]
    fn a_judge_that_dies_stands_where_one_stands_that_does_not(steps in prop::collection::vec(step(), 1..80)) {
        let (mut dying, mut kernel) = (judge(), FakeKernel::with_room_for(usize::MAX));
        let (mut living, mut other) = (judge(), FakeKernel::with_room_for(usize::MAX));
        let (mut second, mut disk, mut log) = (0, Disk::default(), Vec::new());
        for step in steps {
            let now = at(second);
            match step {
                Step::Fail(last) => {
                    log.push((second, last, Event::Failure as fn(Attempt) -> Event));
                    line(&mut dying, &mut kernel, (second, last), true, now);
                    line(&mut living, &mut other, (second, last), true, now);
                }
                Step::LogIn(last) => {
                    log.push((second, last, Event::Success));
                    told(&mut dying, &mut kernel, (second, last, Event::Success), true, now);
                    told(&mut living, &mut other, (second, last, Event::Success), true, now);
                }
                Step::Unban(last) => {
                    for (judge, kernel) in [(&mut dying, &mut kernel), (&mut living, &mut other)] {
                        let unbanned = judge.unban(Target::Address([192, 0, 2, last].into()), now);
                        let _ = judge.carry_out(unbanned.effects, now, kernel);
                    }
                    // An unban is answered once it is saved.
                    disk.commit(dying.changes(), log.len());
                }
                Step::Wait(seconds) => {
                    second += seconds;
                    for (judge, kernel) in [(&mut dying, &mut kernel), (&mut living, &mut other)] {
                        let effects = judge.handle(Input::Tick, at(second));
                        let _ = judge.carry_out(effects, at(second), kernel);
                    }
                }
                Step::Commit => disk.commit(dying.changes(), log.len()),
                Step::CommitFails => {
                    let changes = dying.changes();
                    dying.not_saved(changes);
                }
                Step::Die => {
                    dying = judge();
                    let restored = dying.handle(Input::Restore(disk.saved()), now);
                    let _ = dying.carry_out(restored, now, &mut kernel);
                    let found = kernel.entries.values().copied().collect();
                    let adopted = dying.handle(Input::Adopt(found), now);
                    let _ = dying.carry_out(adopted, now, &mut kernel);
                    let unread: VecDeque<_> = log.iter().skip(disk.position).copied().collect();
                    for failure in unread {
                        told(&mut dying, &mut kernel, failure, false, now);
                    }
                }
            }
            prop_assert_eq!(standing(&dying), standing(&living));
        }
    }
}

fn saved_ban(prefix: &str, origin: Origin, until: u64, forced: bool) -> SavedBan {
    let until = Until::Boot(BootTime::default() + Duration::from_secs(until));
    let since = BootTime(-5_000_000_000);
    SavedBan { prefix: prefix.parse().unwrap(), origin, since, until, services: MAIL, observe: false, forced }
}

#[test]
fn an_end_that_is_a_tick_off_in_the_kernel_is_not_written_again() {
    for (off_by_ms, writes) in [(0, 0), (10, 0), (-10, 0), (21, 1), (-21, 1)] {
        let mut judge = Judge::new(policy([mail()])).saved();
        let ban = saved_ban("192.0.2.1/32", Origin::Jail("mail".into()), 100, false);
        let Until::Boot(BootTime(until)) = ban.until else { panic!("it ends") };
        let found = Entry {
            slot: Slot::V4([192, 0, 2, 1]),
            services: ban.services,
            until: Until::Boot(BootTime(until + off_by_ms * 1_000_000)),
            observe: false,
            manual: false,
            listed: false,
            protected: false,
        };
        let _ = judge.handle(Input::Restore(Saved { bans: vec![ban], ..Saved::default() }), at(50));
        let effects = judge.handle(Input::Adopt(vec![found]), at(50));
        let written = effects.iter().filter(|effect| matches!(effect, Effect::Write(_))).count();
        assert_eq!(written, writes, "{off_by_ms} ms off");
    }
}

#[test]
fn what_is_over_or_protected_by_now_does_not_go_on() {
    let mut judge = Judge::new(Policy { ignoreip: nets(&["198.51.100.0/24"]), ..policy([mail()]) }).saved();
    let mail = || Origin::Jail("mail".into());
    let saved = Saved {
        bans: vec![
            saved_ban("192.0.2.1/32", mail(), 100, false),
            saved_ban("192.0.2.2/32", mail(), 50, false),
            saved_ban("192.0.2.3/32", Origin::Jail("gone".into()), 100, false),
            saved_ban("198.51.100.1/32", mail(), 100, false),
            saved_ban("198.51.100.2/32", Origin::Hand, 100, true),
        ],
        ..Saved::default()
    };
    let restored = judge.handle(Input::Restore(saved), at(50));
    assert!(restored.iter().all(|effect| !matches!(effect, Effect::Write(_) | Effect::Remove(_))), "{restored:?}");
    assert_eq!(restored.last(), Some(&Effect::Report(Report::Restored { bans: 3, ended: 1, tallies: 0 })));
    let effects = judge.handle(Input::Adopt(Vec::new()), at(50));
    let written = effects.iter().filter_map(|effect| match effect {
        Effect::Write(entry) => Some(entry.slot.prefix()),
        Effect::Remove(_) | Effect::Report(_) => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), nets(&["192.0.2.1/32", "192.0.2.3/32", "198.51.100.2/32"]));
    let ended = judge.changes().bans.into_iter().map(|change| match change {
        BanChange::Ended { prefix, .. } => prefix,
        BanChange::Began { ban, .. } => panic!("{ban:?} is known to the state"),
    });
    assert_eq!(ended.collect::<Vec<_>>(), nets(&["192.0.2.2/32", "198.51.100.1/32"]));
    assert_eq!(judge.status().jails[0].total_banned, 0, "it did not ban them");
}

#[test]
fn a_ban_that_was_written_and_not_saved_is_its_jails_again_when_its_lines_are_read_again() {
    let world = check(
        "100 adopt hash 192.0.2.1/32 mail until 700 -> adopted 1
         101 fail 192.0.2.1 at=98 backlog
         101 fail 192.0.2.1 at=99 backlog
         101 fail 192.0.2.1 at=99 backlog -> banned 192.0.2.1/32 by jail mail until 700 for 3; \
             unbanned 192.0.2.1/32 by an earlier run: its lines were read again, and the ban is their jail's",
    );
    assert_eq!(world.judge.bans_in_force(), 1);
}

#[test]
fn a_cause_is_saved_with_its_line_and_what_cannot_be_saved_comes_again() {
    let mut judge = judge();
    let mut kernel = FakeKernel::with_room_for(10);
    line(&mut judge, &mut kernel, (1, 1), true, at(1));
    line(&mut judge, &mut kernel, (2, 1), true, at(2));
    let first = judge.changes();
    let [BanChange::Began { cause: Some(cause), .. }] = first.bans.as_slice() else { panic!("{first:?}") };
    assert_eq!((cause.failures, &*cause.filter, &*cause.line), (8, "cyrus", b"the line".as_slice()));
    judge.not_saved(first.clone());
    let _ = judge.unban(Target::Address([192, 0, 2, 1].into()), at(3));
    let second = judge.changes();
    assert_eq!(second.bans.len(), 2, "{second:?}");
    assert_eq!(second.bans.first(), first.bans.first());
    assert_eq!(judge.changes(), Changes::default(), "once");
    judge.nothing_is_saved();
    assert!(judge.changes().complete);
}

#[test]
fn what_was_saved_is_not_saved_again() {
    let mut judge = judge();
    let failures = vec![counted(1)];
    let tally = SavedTally { jail: "imap".into(), source: "192.0.2.1/32".parse().unwrap(), failures, told: false };
    let bans = vec![saved_ban("192.0.2.2/32", Origin::Jail("mail".into()), 100, false)];
    let _ = judge.handle(Input::Restore(Saved { bans, tallies: vec![tally], ..Saved::default() }), at(2));
    assert_eq!(judge.changes(), Changes::default());
    let mut kernel = FakeKernel::with_room_for(10);
    line(&mut judge, &mut kernel, (3, 1), true, at(3));
    let changes = judge.changes();
    assert_eq!(changes.tallies.len(), 2, "in both jails: {changes:?}");
}

#[test]
fn what_happened_before_the_state_could_be_opened_is_known_better_than_by_the_state() {
    let (mut judge, mut kernel) = (Judge::new(policy([mail()])).saved(), FakeKernel::with_room_for(10));
    for last in [1, 1, 1, 2, 2, 3] {
        line(&mut judge, &mut kernel, (50, last), true, at(50));
    }
    for last in [1, 3] {
        let unbanned = judge.unban(Target::Address([192, 0, 2, last].into()), at(51));
        let _ = judge.carry_out(unbanned.effects, at(51), &mut kernel);
    }
    let tally = |last: u8, seconds: &[u64]| SavedTally {
        jail: name("mail"),
        source: ipnet::IpNet::new([192, 0, 2, last].into(), 32).unwrap(),
        failures: seconds.iter().map(|second| counted(*second)).collect(),
        told: false,
    };
    let saved = Saved {
        bans: vec![saved_ban("192.0.2.1/32", Origin::Jail("mail".into()), 500, false)],
        tallies: vec![tally(2, &[50]), tally(3, &[40, 50]), tally(4, &[50])],
        ..Saved::default()
    };
    let restored = judge.handle(Input::Restore(saved), at(60));
    assert_eq!(restored, [Effect::Report(Report::Restored { bans: 0, ended: 0, tallies: 1 })]);
    let (bans, tallies, _) = standing(&judge);
    assert_eq!(bans, [], "what was unbanned stays so");
    assert_eq!(tallies, [tally(2, &[50, 50]), tally(4, &[50])]);
}

fn counted(second: u64) -> Counted {
    let account = Some(AccountId::of(&user(second)).tag());
    Counted { at: at(second).wall.as_log_time(), weight: Weight::ONE, account }
}
