//! A ban ends by itself, on the tick that it says: the kernel compares it with its own clock, and nobody has to take it away.

use std::time::{Duration, Instant};

use anyhow::ensure;
use banner_common::{Ban, Reason};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6},
    object::{self, Entry, Program, Verdict},
};

const GUARDED_PORT: u16 = 25;
const SMTP: u16 = 1;
const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// How long the bans of this test hold: 0.3 s at the usual 250 ticks a second, 3 s at the fewest that Linux is built with.
const TICKS: u64 = 75;

/// One source for each map.
#[derive(Debug)]
struct Banned {
    entry: Entry,
    frame: Frame,
    drops_before: u32,
    /// The last packet that was dropped, and the first that passed: the clock before and after each.
    last_drop: Option<(u64, u64)>,
    first_pass: Option<(u64, u64)>,
}

#[test]
fn a_ban_drops_until_its_deadline_and_passes_from_that_tick_on() -> anyhow::Result<()> {
    for object in object::under_test("expiry of bans")? {
        let mut program = Program::load(&object)?;
        program.guard(GUARDED_PORT, SMTP)?;
        let deadline = program.ticks()? + TICKS;
        let mut sources = sources()?;
        for source in &sources {
            program.ban(source.entry, Ban { deadline, services: SMTP, ..Ban::default() })?;
        }

        let patience = Instant::now() + Duration::from_secs(30);
        while program.ticks()? < deadline + 5 {
            ensure!(Instant::now() < patience, "the clock stands still below {deadline}");
            for source in &mut sources {
                let before = program.ticks()?;
                let verdict = program.run(&source.frame.0)?;
                let after = program.ticks()?;
                match verdict {
                    Verdict::Drop => {
                        source.drops_before += 1;
                        source.last_drop = Some((before, after));
                    }
                    Verdict::Pass => source.first_pass = source.first_pass.or(Some((before, after))),
                }
            }
        }

        for source in sources {
            let Banned { entry, drops_before, last_drop, first_pass, .. } = source;
            let (Some(last_drop), Some(first_pass)) = (last_drop, first_pass) else {
                anyhow::bail!("{entry:?} never dropped, or never passed: {last_drop:?}, {first_pass:?}");
            };
            // A packet is judged between two readings of the clock, which are nearly always the same tick.
            ensure!(last_drop.0 < deadline, "{entry:?} dropped at {last_drop:?}, after {deadline}");
            ensure!(first_pass.1 >= deadline, "{entry:?} passed at {first_pass:?}, before {deadline}");
            ensure!(drops_before > 20, "{entry:?}: only {drops_before} packets before the deadline");
            let counted = program.counters(entry)?;
            ensure!(
                counted.packets == u64::from(drops_before),
                "{entry:?} counted {} of {drops_before}",
                counted.packets
            );
            ensure!(
                (last_drop.0..=last_drop.1).contains(&counted.last_seen),
                "{entry:?} was last seen at {}, dropped at {last_drop:?}",
                counted.last_seen
            );
        }
        let dropped = Reason::DroppedBan as usize;
        ensure!(program.stats()?.get(dropped).is_some_and(|count| *count > 0), "nothing was counted as dropped");
    }
    Ok(())
}

fn sources() -> anyhow::Result<Vec<Banned>> {
    let v4 = |last| Ipv4::new([198, 51, 100, last], SERVER_V4);
    let v6 = |fourth| Ipv6::new([0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, fourth, 0, 0, 0, 0, 0, 0, 0, 0x66], SERVER_V6);
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
        Ok(Banned { entry: entry.parse()?, frame, drops_before: 0, last_drop: None, first_pass: None })
    })
    .collect()
}
