//! A ban ends by itself, on the tick that it says: the kernel compares it with its own clock, and nobody has to take it away.

use std::time::{Duration, Instant};

use anyhow::ensure;
use banner_common::Ban;
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6},
    object::{self, Entry, Program, Verdict},
};

const GUARDED_PORT: u16 = 25;
const SMTP: u16 = 1;
const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// How long a ban of this test holds: 40 ms at the usual 250 ticks a second.
const TICKS: u64 = 10;

/// A busy machine may take the processor away just when a ban ends; then another ban is tried, so often at the most.
const ROUNDS: u32 = 100;

/// A ban, and a packet of its source.
struct Banned {
    entry: Entry,
    frame: Frame,
    /// Whether a packet was dropped in the last tick before a deadline.
    dropped_in_last_tick: bool,
    /// Whether a packet passed in the tick of a deadline.
    passed_in_first_tick: bool,
}

#[test]
fn a_ban_drops_until_its_deadline_and_passes_from_that_tick_on() -> anyhow::Result<()> {
    for object in object::under_test("expiry of bans")? {
        let mut program = Program::load(&object)?;
        program.guard(GUARDED_PORT, SMTP)?;
        let mut sources = sources()?;
        let mut rounds = 0..ROUNDS;
        while sources.iter().any(|source| !(source.dropped_in_last_tick && source.passed_in_first_tick)) {
            ensure!(rounds.next().is_some(), "in {ROUNDS} rounds no packet met the ticks around a deadline");
            until_after_the_deadline(&mut program, &mut sources)?;
        }
    }
    Ok(())
}

/// Bans all sources, and sends packets of theirs until some ticks after the ban's end.
fn until_after_the_deadline(program: &mut Program, sources: &mut [Banned]) -> anyhow::Result<()> {
    let deadline = program.ticks()? + TICKS;
    for source in &*sources {
        program.ban(source.entry, Ban { deadline, services: SMTP, ..Ban::default() })?;
    }
    let patience = Instant::now() + Duration::from_secs(10);
    while program.ticks()? < deadline + 3 {
        ensure!(Instant::now() < patience, "the clock of ticks stands still below {deadline}");
        for Banned { entry, frame, dropped_in_last_tick, passed_in_first_tick } in &mut *sources {
            // The packet is judged between two readings of the clock, which are nearly always the same tick.
            let before = program.ticks()?;
            let verdict = program.run(&frame.0)?;
            let after = program.ticks()?;
            match verdict {
                Verdict::Drop => {
                    ensure!(before < deadline, "{entry:?} dropped at {before} or later; its ban ended at {deadline}");
                    *dropped_in_last_tick |= before == deadline - 1;
                    let last_seen = program.counters(*entry)?.last_seen;
                    ensure!(
                        (before..=after).contains(&last_seen),
                        "{entry:?}: {last_seen} is not in {before}..={after}"
                    );
                }
                Verdict::Pass => {
                    ensure!(after >= deadline, "{entry:?} passed at {after} or earlier; its ban ends at {deadline}");
                    *passed_in_first_tick |= after == deadline;
                }
            }
        }
    }
    Ok(())
}

/// One for each map, in the common shape and in odd ones.
fn sources() -> anyhow::Result<Vec<Banned>> {
    let v4 = |last| Ipv4::new([198, 51, 100, last], SERVER_V4);
    let v6 = |subnet| Ipv6::new([0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, subnet, 0, 0, 0, 0, 0, 0, 0, 0x66], SERVER_V6);
    [
        ("198.51.100.1", v4(1).tcp(GUARDED_PORT)),
        ("198.51.100.2", v4(2).no_operations(4).tcp(GUARDED_PORT)),
        ("198.51.100.4/30", v4(5).tcp(GUARDED_PORT)),
        ("2001:db8:bad:1::/64", v6(1).tcp(GUARDED_PORT)),
        ("2001:db8:bad:2::/64", v6(2).then(Extension::destination_options()).tcp(GUARDED_PORT)),
        ("2001:db8:bad:3::66/128", v6(3).tcp(GUARDED_PORT)),
    ]
    .into_iter()
    .map(|(entry, frame)| {
        Ok(Banned { entry: entry.parse()?, frame, dropped_in_last_tick: false, passed_in_first_tick: false })
    })
    .collect()
}
