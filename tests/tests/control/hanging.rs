//! What an operator hears from a daemon that is there and does not answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::{Answer, CommandLine as _},
    installation::{Configuration, Installation},
    network::Network,
    patience::until,
};
use nix::sys::signal::Signal;

use crate::held::Held;

/// Every command that asks the daemon.
const COMMANDS: [&str; 8] = [
    "status",
    "status mail",
    "bans",
    "why 198.51.100.66",
    "ban 198.51.100.67",
    "unban 198.51.100.66",
    "reload",
    "detach",
];

/// What a command may take: five seconds, and as much for its own start, beside all others, on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// Runs all commands at once; each must end in time, with exit code 3 and this on stderr.
pub(crate) fn all_are_told(installation: &Installation<'_>, said: &str) -> anyhow::Result<()> {
    let timed = |command| -> anyhow::Result<(Answer, Duration)> {
        let before = Instant::now();
        Ok((installation.banner(command)?, before.elapsed()))
    };
    let answers = std::thread::scope(|scope| {
        let running = COMMANDS.map(|command| (command, scope.spawn(move || timed(command))));
        running.map(|(command, thread)| (command, thread.join()))
    });
    for (command, answer) in answers {
        let (answer, took) = answer.map_err(|_| anyhow::anyhow!("{command}: a panic"))?.context(command)?;
        ensure!(took < BOUND, "{command} took {took:?}");
        let answer = answer.expect(3).context(command)?;
        ensure!(answer.stdout.is_empty() && answer.stderr.contains(said), "{command}: {answer:?}");
        ensure!(answer.stderr.contains("\n  remedy: "), "{command}: {answer:?}");
    }
    Ok(())
}

/// Nothing of [`COMMANDS`] was done, and all can be done now.
fn nothing_was_done(installation: &Installation<'_>) -> anyhow::Result<()> {
    until("the daemon answers again", || Ok((installation.banner("status")?.code == Some(0)).then_some(())))?;
    let bans = installation.bans()?;
    ensure!(bans.len() == 1 && bans[0]["prefix"] == "198.51.100.66", "what was given up was done: {bans:?}");
    installation.banner("unban 198.51.100.66")?.expect(0)?;
    installation.banner("detach")?.expect(0)?;
    Ok(())
}

#[test]
fn a_stopped_daemon_is_told_within_five_seconds_and_does_nothing_of_it_later() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    daemon.signal(Signal::SIGSTOP)?;
    all_are_told(
        &installation,
        "the daemon is running but does not answer: hung or very busy\n  cause: no answer on ",
    )?;
    daemon.signal(Signal::SIGCONT)?;
    nothing_was_done(&installation)
}

#[test]
fn a_loop_that_hangs_is_told_within_five_seconds_and_does_nothing_of_it_later() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    let held = Held::main_thread(&daemon)?;
    all_are_told(
        &installation,
        "the daemon is running but does not answer: hung or very busy\n  cause: it did not take the request within 4 s",
    )?;
    drop(held);
    nothing_was_done(&installation)
}

#[test]
fn a_daemon_that_dies_while_it_is_asked_is_told_at_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    daemon.signal(Signal::SIGSTOP)?;
    let before = Instant::now();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| installation.banner("why 198.51.100.66"));
        until("the command waits", || Ok((before.elapsed() > Duration::from_secs(1)).then_some(())))?;
        daemon.kill()?;
        let killed = Instant::now();
        let answer = asking.join().map_err(|_| anyhow::anyhow!("a panic"))??.expect(3)?;
        ensure!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
        ensure!(answer.stderr.starts_with("error: the daemon does not answer\n  cause: "), "{answer:?}");
        Ok(())
    })
}
