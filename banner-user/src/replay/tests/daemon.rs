//! A replay bans whom a daemon bans that reads the same lines as they are written.

use proptest::prelude::*;

use super::*;
use crate::{
    clock::BootTime,
    judge::{
        Kernel, NoRoom,
        effect::{Entry, Slot},
    },
};

/// A kernel with room for everything.
struct Roomy;

impl Kernel for Roomy {
    fn write(&mut self, _: &Entry) -> Result<(), NoRoom> {
        Ok(())
    }

    fn remove(&mut self, _: Slot) {}
}

/// What a daemon bans that reads these lines as they are written: a loop that wakes up for deadlines, lines and nothing else.
fn daemon(policy: &Policy, events: &[Event]) -> Vec<(IpNet, WallTime, Option<WallTime>)> {
    let mut judge = Judge::new(policy.clone());
    let mut bans = Vec::new();
    let now =
        |second: i64| Now { boot: BootTime(second.abs() * 1_000_000_000), wall: WallTime((EPOCH + second) * SECOND) };
    let mut handle = |input: Input<'_>, now: Now, judge: &mut Judge| {
        let effects = judge.handle(input, now);
        for report in judge.carry_out(effects, now, &mut Roomy) {
            if let Report::Banned { prefix, until, .. } = report {
                bans.push((prefix, now.wall, until));
            }
        }
    };
    let mut events = events.iter().peekable();
    let last = 2 * DAY;
    let mut second = 0;
    while second < last {
        while let Some(event) = events.next_if(|event| event.at().0 == (EPOCH + second) * SECOND) {
            let position = Position { file: FileId(0), offset: 0 };
            let line = Line { events: std::slice::from_ref(event), bytes: b"", position, sources: &[0], live: true };
            handle(Input::Line(line), now(second), &mut judge);
        }
        second += 1;
        if judge.next_deadline().is_some_and(|deadline| deadline <= now(second).boot) {
            handle(Input::Tick, now(second), &mut judge);
        }
    }
    bans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn it_bans_whom_a_daemon_bans_from_and_to_the_same_second(
        attempts in prop::collection::vec((0u8..6, 0i64..400, prop::bool::weighted(0.9)), 1..300),
    ) {
        let policy = policy([mail()]);
        let mut at = 0;
        let events: Vec<Event> = attempts.iter().map(|(source, pause, failed)| {
            at += pause;
            let kind = if *failed { "fail" } else { "login" };
            event(&format!("{at} {kind} 192.0.2.{source}"))
        }).collect();
        let mut replay = replay_with_room(policy.clone(), 100);
        let mut bans = Vec::new();
        for event in &events {
            replay.line(std::slice::from_ref(event), FileId(0));
            bans.extend(std::iter::from_fn(|| replay.settled()));
        }
        bans.extend(std::iter::from_fn(|| replay.left()));
        let bans: Vec<_> = bans.into_iter().map(|ban| (ban.source, ban.at, ban.until)).collect();
        prop_assert_eq!(bans, daemon(&policy, &events));
    }
}
