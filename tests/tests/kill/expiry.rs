//! A ban ends on time with the daemon dead, asserted on the clock that the kernel compares its deadline with.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use banner_tests::{
    installation::{Configuration, Installation},
    network::Network,
    object::{self, Program},
    patience::until,
    pinned::PinnedBans,
    segments::Segments,
};

use crate::{
    restarting::{ATTACKER_V4, ban_both},
    stream::syn_v4,
};

const BANTIME: Duration = Duration::from_secs(5);

/// The longest tick that a kernel can be built with (`kernel/Kconfig.hz`); how far a deadline in ticks may be off.
const TICK_MAX: Duration = Duration::from_millis(10);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Dropped,
    Passed,
}

#[test]
fn with_the_daemon_dead_the_last_drop_is_before_the_deadline_and_the_first_pass_is_not() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let objects = object::under_test("the clock of a ban")?;
    let mut clock = Program::load(objects.first().context("an object is under test")?)?;
    let bantime = format!("{}s", BANTIME.as_secs());
    let installation = Installation::new(&network, &Configuration { bantime, ..Configuration::default() })?;
    let daemon = installation.start()?;
    let before_ban = Instant::now();
    ban_both(&installation)?;
    let after_ban = Instant::now();
    let pinned = PinnedBans::open(installation.bpffs())?;
    let deadline = pinned.v4(ATTACKER_V4.octets())?.context("the ban is in the kernel")?.deadline;
    daemon.kill()?;

    let wire = network.wire()?;
    let mut segments = Segments::of(&network.server)?;
    let mut dropped = 0_u64;
    let last_drop = loop {
        let (packets_before, segments_before) = (packets(&pinned)?, segments.count()?);
        let sent_at = Instant::now();
        let sent = clock.ticks()?;
        wire.send(&syn_v4(ATTACKER_V4))?;
        let fate = until("the frame is dropped or passed", || {
            let (packets, segments) = (packets(&pinned)?, segments.count()?);
            Ok(match (packets - packets_before, segments - segments_before) {
                (0, 0) => None,
                (1, 0) => Some(Fate::Dropped),
                // The attacker's host resets the connection that it is offered, which is another segment.
                (0, _) => Some(Fate::Passed),
                other => anyhow::bail!("one frame was counted as (dropped, passed) {other:?}"),
            })
        })?;
        let decided = clock.ticks()?;
        // The decision fell between the two readings.
        match fate {
            Fate::Dropped => {
                ensure!(sent < deadline, "a frame sent at {sent} was dropped, the ban ended at {deadline}");
                let late = sent_at.saturating_duration_since(after_ban + BANTIME);
                ensure!(late <= TICK_MAX, "a frame was dropped {late:?} after the end of the ban");
            }
            Fate::Passed => {
                ensure!(decided >= deadline, "a frame passed before {decided}, the ban ends at {deadline}");
                let early = (before_ban + BANTIME).saturating_duration_since(Instant::now());
                ensure!(early <= TICK_MAX, "a frame passed {early:?} before the end of the ban");
                break pinned.v4(ATTACKER_V4.octets())?.context("nobody sweeps")?.last_seen;
            }
        }
        dropped += 1;
    };
    ensure!(dropped > 0, "the ban was over before a frame could be sent");
    ensure!(last_drop < deadline, "by the kernel's own stamp the last drop was at {last_drop}, the end at {deadline}");
    Ok(())
}

fn packets(pinned: &PinnedBans) -> anyhow::Result<u64> {
    Ok(pinned.v4(ATTACKER_V4.octets())?.context("nobody sweeps while the daemon is dead")?.packets)
}
