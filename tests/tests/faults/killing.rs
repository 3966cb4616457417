//! The daemon is killed, stopped, and started again.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Context as _;
use banner_tests::{mail_log::postfix_at, patience::until};
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::let_pass,
    scene::{Conditions, at_work},
    sources::key,
};

/// How often the daemon is killed at a moment that the dice choose.
const KILLS: u8 = 60;

#[test]
fn two_failures_a_kill_and_the_third_bans() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        let source = scene.writer.new_source(3)?;
        for _ in 0..2 {
            scene.writer.write_line(source)?;
        }
        scene.installation.await_log_read()?;
        // What was read in the last second may not be on disk: both has to do.
        let_pass(Duration::from_millis(500));
        scene.kill()?;
        scene.start()?;
        scene.writer.write_line(source)?;
        scene.await_bans(1)
    })
}

#[test]
fn a_lifted_ban_does_not_come_back_with_the_next_daemon() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        let source = scene.writer.write_source(3)?;
        let source = scene.source(source)?.address;
        scene.installation.await_log_read()?;
        scene.unban(source)?;
        scene.kill()?;
        scene.start()?;
        scene.await_bans(4)
    })
}

#[test]
fn sigterm_and_start_lose_nothing() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        for _ in 0..3 {
            scene.terminate()?;
            let_pass(Duration::from_millis(100));
            scene.start()?;
            scene.await_bans(2)?;
        }
        Ok(())
    })
}

#[test]
fn kills_at_any_moment_lose_nothing() -> anyhow::Result<()> {
    // Longer than the daemon is ever away, shorter than all rounds together.
    let bantime = Duration::from_secs(20);
    at_work(Conditions { bantime, ..Conditions::default() }, |scene| {
        scene.kill()?;
        for round in 0..KILLS {
            if scene.dice.once_in(3) {
                scene.start()?;
                // Sources of its own for each round; what is answered holds, whatever happens right after that.
                let [banned, lifted] = [100, 180].map(|base| IpAddr::V4(Ipv4Addr::new(198, 51, 100, base + round)));
                if scene.dice.once_in(2) {
                    scene.ban(banned, Some(Duration::from_secs(3600)))?;
                }
                if scene.dice.once_in(2) {
                    scene.ban(lifted, None)?;
                    scene.unban(lifted)?;
                }
                let_pass(Duration::from_millis(scene.dice.below(1200) as u64));
            } else {
                scene.spawn()?;
                let_pass(Duration::from_millis(scene.dice.below(600) as u64));
            }
            scene.kill().with_context(|| format!("round {round}"))?;
        }
        scene.start()
    })
}

#[test]
fn failures_that_came_while_it_was_down_count_by_their_own_time() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        scene.kill()?;
        // Within the window, whose ban would be over by now; a window that is over; and one that is over for the first two.
        for (host, ages) in [(80, [60, 58, 56]), (81, [190, 185, 180]), (82, [190, 185, 1])] {
            let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, host));
            scene.traffic.add(source);
            for age in ages {
                let at = Timestamp::now().checked_sub(SignedDuration::from_secs(age))?;
                scene.installation.log.append(&postfix_at(source, "alice", at))?;
            }
        }
        // All lines of one, and the last of another, come while nobody reads; each counts as if somebody had.
        let (whole, last) = (scene.writer.write_source(3)?, scene.writer.new_source(3)?);
        scene.start()?;
        for _ in 0..2 {
            scene.writer.write_line(last)?;
        }
        scene.installation.await_log_read()?;
        scene.kill()?;
        scene.writer.write_line(last)?;
        scene.start()?;
        for source in [whole, last] {
            let source = key(scene.source(source)?.address);
            until("it is banned", || Ok(scene.watch.sight().seen.contains_key(&source).then_some(())))?;
        }
        Ok(())
    })
}
