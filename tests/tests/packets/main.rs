//! What the program does with every kind of packet, asked in the kernel (BPF_PROG_TEST_RUN) of every object under test.
//!
//! Two tables. [`shapes`]: packets of one source, banned or not, to a guarded port or another, in each shape that a frame can
//! have. [`nesting`]: one packet, and what the maps say about its source. A row is a packet; adding one is adding a line.

mod nesting;
mod shapes;

use std::{fmt::Write as _, path::Path};

use anyhow::ensure;
use banner_common::{Ban, Reason};
use banner_tests::{
    frame::Frame,
    object::{self, Entry, Program, Verdict},
};

/// Bits of services, as the daemon gives them out; for the program they are only bits.
const SMTP: u16 = 1 << 0;
const IMAP: u16 = 1 << 5;

const GUARDED_PORT: u16 = 25;
const OTHER_PORT: u16 = 80;

const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// What a packet must come to: the reason that is counted (it implies the verdict), or none, for a packet that passes uncounted.
type Expected = Option<Reason>;

#[test]
fn every_shape_gets_the_verdict_and_the_reason_of_its_row() -> anyhow::Result<()> {
    on_every_object("the table of packet shapes", shapes::check)
}

#[test]
fn nested_bans_protected_addresses_and_expired_ones_decide_as_their_rows_say() -> anyhow::Result<()> {
    on_every_object("the table of nested bans", nesting::check)
}

/// The failures of a table, a line each.
type Failures = Vec<String>;

fn on_every_object(table: &str, check: fn(&mut Program) -> anyhow::Result<(usize, Failures)>) -> anyhow::Result<()> {
    for object in object::under_test(table)? {
        let mut program = load(&object)?;
        let (packets, failures) = check(&mut program)?;
        ensure!(
            failures.is_empty(),
            "{}: {} of {packets} packets:\n{}",
            object.display(),
            failures.len(),
            failures.join("\n")
        );
    }
    Ok(())
}

fn load(object: &Path) -> anyhow::Result<Program> {
    let mut program = Program::load(object)?;
    program.guard(GUARDED_PORT, SMTP)?;
    program.guard(143, IMAP)?;
    Ok(program)
}

/// Runs a packet and compares everything that it may change: the verdict, the counts by reason, and the counters of `charged`
/// (the ban that this packet counts for). What is wrong is returned.
fn observe(
    program: &mut Program,
    frame: &Frame,
    expected: Expected,
    charged: Option<Entry>,
    uncharged: &[Entry],
) -> anyhow::Result<Option<String>> {
    let (stats_before, ticks_before) = (program.stats()?, program.ticks()?);
    let verdict = program.run(&frame.0)?;
    let (stats_after, ticks_after) = (program.stats()?, program.ticks()?);

    let mut wrong = String::new();
    let expected_verdict = match expected {
        Some(Reason::DroppedBan | Reason::DroppedOdd | Reason::DroppedUnreadable) => Verdict::Drop,
        Some(
            Reason::Observed | Reason::PassedClean | Reason::PassedBan | Reason::PassedOdd | Reason::PassedUnguarded,
        )
        | None => Verdict::Pass,
    };
    if verdict != expected_verdict {
        write!(wrong, " {verdict:?} instead of {expected_verdict:?};")?;
    }
    for (reason, (before, after)) in Reason::ALL.into_iter().zip(stats_before.iter().zip(&stats_after)) {
        let due = u64::from(expected == Some(reason));
        if after - before != due {
            write!(wrong, " counted {} times as {reason:?} instead of {due};", after - before)?;
        }
    }
    if let Some(entry) = charged {
        let Ban { packets, bytes, last_seen, .. } = program.counters(entry)?;
        if (packets, bytes) != (1, frame.0.len() as u64) || !(ticks_before..=ticks_after).contains(&last_seen) {
            write!(
                wrong,
                " {entry:?} counted {packets} packets of {bytes} bytes, last at {last_seen}, instead of 1 of {} at \
                 {ticks_before}..={ticks_after};",
                frame.0.len()
            )?;
        }
    }
    for entry in uncharged {
        let Ban { packets, bytes, last_seen, .. } = program.counters(*entry)?;
        if (packets, bytes, last_seen) != (0, 0, 0) {
            write!(wrong, " {entry:?} counted {packets} packets of {bytes} bytes, and should have counted none;")?;
        }
    }
    Ok((!wrong.is_empty()).then_some(wrong))
}
