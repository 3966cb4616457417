//! The daemon goes and comes, and with it the reader of the journal.

use std::fs;

use anyhow::ensure;
use banner_tests::{command_line::CommandLine as _, mail_log::postfix_at, network::Network, patience::until};
use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::scene::{MINUTE, NOW, Scene, source};

#[test]
fn two_failures_and_a_kill_and_the_third_bans() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    // Killed before they are read, when they are read, and when that has just been written down, as often as not.
    for round in 0..6 {
        let daemon = scene.start()?;
        scene.fail(&[(100 + round, NOW), (150 + round, NOW), (150 + round, NOW)])?;
        if round % 3 > 0 {
            scene.read_up_to(1 + round)?;
        }
        if round % 3 > 1 {
            // What is banned by hand is on disk when this returns, and so is everything that was read before.
            scene.installation.banner("ban 203.0.113.1 --for 1m")?.expect(0)?;
            scene.installation.banner("unban 203.0.113.1")?.expect(0)?;
        }
        daemon.kill()?;
    }
    let _daemon = scene.start()?;
    scene.read_up_to(10)?;
    for round in 0..6 {
        ensure!(scene.failures(100 + round)? == 1.0, "round {round}: {} instead of 1", scene.failures(100 + round)?);
        ensure!(scene.failures(150 + round)? == 2.0, "round {round}: {} instead of 2", scene.failures(150 + round)?);
        ensure!(!scene.banned()?.contains(&(150 + round)), "round {round}: banned after two failures");
    }
    scene.fail(&(0..6).map(|round| (150 + round, NOW)).collect::<Vec<_>>())?;
    for round in 0..6 {
        scene.installation.await_ban(&format!("198.51.100.{}", 150 + round))?;
    }
    Ok(())
}

#[test]
fn what_was_written_before_the_first_start_is_remembered_for_findtime() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    scene.fail(&[(66, 11 * MINUTE), (66, 11 * MINUTE), (67, 5 * MINUTE), (67, 4 * MINUTE)])?;
    let _daemon = scene.start()?;
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == [1].into(), "{:?}", scene.banned()?);
    scene.fail(&[(66, NOW), (67, NOW)])?;
    scene.installation.await_ban("198.51.100.67")?;
    scene.read_up_to(2)?;
    ensure!(scene.banned()? == [1, 2, 67].into(), "{:?}", scene.banned()?);
    Ok(())
}

#[test]
fn a_journal_that_takes_the_place_of_a_log_at_a_restart_counts_nothing_again() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "[]")? else { return Ok(()) };
    let log = &scene.installation.log;
    scene.configure(&format!("{:?}", log.path()))?;
    let daemon = scene.start()?;
    // Both have them, as with rsyslog.
    scene.fail(&[(66, MINUTE), (66, MINUTE)])?;
    let minute_ago = Timestamp::now() - MINUTE;
    log.append(&postfix_at(source(66), "alice", minute_ago).repeat(2))?;
    scene.installation.await_log_read()?;
    daemon.kill()?;
    scene.fail(&[(67, NOW)])?;
    scene.configure("\"journal\"")?;
    let _daemon = scene.start()?;
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == [1].into(), "two failures were counted twice: {:?}", scene.banned()?);
    ensure!(scene.failures(67)? == 1.0, "what came after the kill is lost");
    Ok(())
}

#[test]
fn what_is_written_while_the_daemon_is_down_counts_by_its_own_time() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    stop_after(&scene, 1)?;
    scene.fail(&[
        // Their windows are over.
        (66, 30 * MINUTE),
        (66, 30 * MINUTE),
        (66, 30 * MINUTE),
        // Never three within ten minutes.
        (67, 20 * MINUTE),
        (67, 14 * MINUTE),
        (67, 8 * MINUTE),
        (67, MINUTE),
        // Three, of just now.
        (68, 3 * MINUTE),
        (68, 2 * MINUTE),
        (68, MINUTE),
        // The third is still to come.
        (69, 2 * MINUTE),
        (69, MINUTE),
    ])?;
    let _daemon = scene.start()?;
    scene.read_up_to(2)?;
    ensure!(scene.banned()? == [1, 2, 68].into(), "{:?}", scene.banned()?);
    scene.fail(&[(66, NOW), (69, NOW)])?;
    scene.installation.await_ban("198.51.100.69")?;
    scene.read_up_to(3)?;
    ensure!(scene.banned()? == [1, 2, 3, 68, 69].into(), "{:?}", scene.banned()?);
    Ok(())
}

#[test]
fn a_rotation_while_the_daemon_is_down_loses_nothing() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    stop_after(&scene, 1)?;
    scene.fail(&[(66, NOW), (67, NOW)])?;
    scene.journal.rotate()?;
    scene.fail(&[(66, NOW), (67, NOW)])?;
    scene.journal.rotate()?;
    scene.fail(&[(66, NOW)])?;
    let daemon = scene.start()?;
    scene.read_up_to(2)?;
    ensure!(scene.banned()? == [1, 2, 66].into(), "{:?}", scene.banned()?);
    ensure!(scene.failures(67)? == 2.0, "{} instead of 2", scene.failures(67)?);
    ensure!(!daemon.output().contains("removed before it was read"), "a loss is told of that was none");
    ensure!(scene.status()?.is_some_and(|journal| journal["note"].is_null()), "{:?}", scene.status()?);
    Ok(())
}

#[test]
fn what_was_removed_unread_is_told_and_the_rest_counts() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    stop_after(&scene, 1)?;
    scene.fail(&[(66, NOW), (67, NOW)])?;
    let archived = scene.journal.rotate()?;
    scene.fail(&[(66, NOW), (66, NOW), (67, NOW), (67, NOW), (67, NOW)])?;
    // journalctl --vacuum-size=
    fs::remove_file(archived)?;
    let daemon = scene.start()?;
    scene.installation.await_ban("198.51.100.67")?;
    scene.read_up_to(2)?;
    ensure!(scene.banned()? == [1, 2, 67].into(), "{:?}", scene.banned()?);
    let told = daemon.output().lines().filter(|line| line.contains("was removed before it was read")).count();
    ensure!(told == 1, "told {told} times");
    until("`status` says so", || {
        let note = scene.status()?.map(|journal| journal["note"].to_string());
        Ok(note.is_some_and(|note| note.contains("removed unread")).then_some(()))
    })
}

/// A daemon runs until it has read everything, and ends in order.
fn stop_after(scene: &Scene<'_>, sentinel: u8) -> anyhow::Result<()> {
    let mut daemon = scene.start()?;
    scene.read_up_to(sentinel)?;
    daemon.signal(Signal::SIGTERM)?;
    ensure!(daemon.await_end()?.success(), "it ends well");
    Ok(())
}
