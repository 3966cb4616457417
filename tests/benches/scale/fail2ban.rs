//! How long fail2ban takes to restore its bans: with the action nftables, from its own database.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{command_line::Answer, fail2ban::Fail2ban, measure::pause, network::Network};

/// How long it may take.
const RESTORING_MAX: Duration = Duration::from_mins(5);

/// Between two looks at the kernel.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn restore(network: &Network, bans: u64) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("mail.log");
    std::fs::write(&log, "")?;
    let jail = |action: &str| {
        format!(
            "[DEFAULT]\nbantime = 1d\n[postfix-sasl]\nenabled = true\nfilter = postfix[mode=auth]\nlogpath = {}\n\
             port = smtp,submission,imap\n{action}\n",
            log.display()
        )
    };
    // Banned without an action, which is quick; then everything is restored with one.
    let mut fail2ban = Fail2ban::new(network, &jail("action ="))?;
    fail2ban.start()?;
    let sources: Vec<String> =
        (0..bans).map(|number| format!("198.18.{}.{}", number / 250, number % 250 + 1)).collect();
    for some in sources.chunks(500) {
        let arguments: Vec<&str> =
            ["set", "postfix-sasl", "banip"].into_iter().chain(some.iter().map(String::as_str)).collect();
        fail2ban.client(&arguments)?.expect(0)?;
    }
    await_count("banned", bans, || fail2ban.count("postfix-sasl", "Currently banned"))?;
    fail2ban.stop()?;
    fail2ban.configure(&jail("banaction = nftables"))?;
    let begin = Instant::now();
    fail2ban.start()?;
    await_count("restored", bans, || in_kernel(network))?;
    Ok(begin.elapsed())
}

fn await_count(what: &str, bans: u64, count: impl Fn() -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let there = count()?;
        if there >= bans {
            return Ok(());
        }
        ensure!(begin.elapsed() < RESTORING_MAX, "only {there} of {bans} are {what}");
        pause(LOOK);
    }
}

/// The addresses in fail2ban's sets.
fn in_kernel(network: &Network) -> anyhow::Result<u64> {
    let inside = network.server.enter()?;
    let answer = Answer::of(Command::new("nft").args(["list", "ruleset"]));
    drop(inside);
    Ok(u64::try_from(answer.context("running nft")?.stdout.matches("198.18.").count())?)
}
