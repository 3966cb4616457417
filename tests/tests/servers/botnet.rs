//! Many addresses at once, against Postfix, Cyrus and banner on one host.
//!
//! Each source is judged by what the host's own mail.log says of it, read here without banner: when its third failure was written,
//! and when its ban was in force, seen in the kernel's map. rsyslog stamps a line when it takes it from journald, so before it writes
//! it; and a ban is noted when a look has ended that shows it. Both make a delay look longer than it was.

mod bot;
mod good;
mod ledger;
mod sight;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{Lab, client::Clients, root::Kind},
    patience::until,
};
use bot::Bot;
use good::GoodClient;
use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use serde_json::Value;
use sight::Sight;

use crate::scene::guarded;

/// Sources, half of them IPv4 addresses and half IPv6 /64s.
const BOTS: u16 = 500;

/// How many are banned when the daemon is killed.
const BANNED_AT_KILL: usize = 150;

/// From the stamp of a source's third failure until its ban is in force.
const DELAY_MAX: SignedDuration = SignedDuration::from_secs(1);

/// Logins of the good client: each service twice from each of its addresses.
const LOGINS_MIN: usize = 12;

/// Of both families, with names that are theirs.
const GOOD_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
const GOOD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x600d, 0, 0, 0, 0, 0x10);

#[test]
fn a_botnet_is_banned_while_a_good_client_logs_in_and_a_killed_daemon_changes_nothing() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    let bots: Vec<_> = (0..BOTS).map(Bot::new).collect();
    let sight = Sight::new(&lab);
    let good = GoodClient::new(&lab, [GOOD_V4.into(), GOOD_V6.into()])?;
    let clients = Clients::new(&lab.network.internet, &lab.root);
    let is_over = AtomicBool::new(false);
    let (story, logins) = thread::scope(|scope| -> anyhow::Result<_> {
        // Whatever happens, everybody goes home.
        let _end = SetWhenDropped(&is_over);
        scope.spawn(|| sight.watch(&is_over));
        let logins = scope.spawn(|| good.log_in_again_and_again(&is_over));
        for bot in &bots {
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, || bot.attack(&clients, &sight, &is_over))
                .context("starting a bot")?;
        }
        let story = tell(&lab, &bots, &sight)?;
        is_over.store(true, Ordering::SeqCst);
        let Ok(logins) = logins.join() else { bail!("the good client panicked") };
        Ok((story, logins?))
    })?;
    bots.iter().try_for_each(Bot::complaint)?;
    let seen = sight.bans()?;

    let banned: BTreeSet<_> = seen.keys().copied().collect();
    let expected: BTreeSet<_> = bots.iter().map(Bot::key).collect();
    ensure!(banned == expected, "banned though no bot: {:?}", banned.difference(&expected).collect::<Vec<_>>());

    let ledger = Ledger::read(&lab.server.path("/var/log/mail.log"))?;
    let delays = story.delays(&ledger, &seen)?;
    writeln!(std::io::stderr(), "{}", delays.report())?;
    delays.check()?;

    ensure!(logins >= LOGINS_MIN, "the good client only logged in {logins} times");
    good.lost_nothing()?;
    for address in [IpAddr::V4(GOOD_V4), GOOD_V6.into()] {
        let why = lab.banner(&format!("why {address} --json"))?.expect(1)?;
        let why: Value = serde_json::from_str(&why.stdout)?;
        ensure!(why.pointer("/failures") == Some(&Value::Array(Vec::new())), "{why}");
    }
    Ok(())
}

/// When the daemon was killed, and when another one was ready.
struct Story {
    killed: Timestamp,
    ready: Timestamp,
}

/// Waits for bans, kills the daemon, sees that they hold, starts it again, and waits for the others.
fn tell(lab: &Lab, bots: &[Bot], sight: &Sight) -> anyhow::Result<Story> {
    // systemd's own restart comes after two seconds, which is no time on a busy machine.
    lab.server.script(
        "mkdir -p /run/systemd/system/banner.service.d
         printf '[Service]\\nRestart=no\\n' > /run/systemd/system/banner.service.d/stays-dead.conf
         systemctl daemon-reload",
    )?;
    sight.await_bans(BANNED_AT_KILL)?;
    let killed = Timestamp::now();
    lab.server.run("systemctl kill --signal KILL banner")?;
    until("the daemon is dead", || {
        Ok((lab.server.answer("systemctl is-active banner")?.stdout.trim() == "failed").then_some(()))
    })?;
    let banned = sight.bans()?;
    let before: Vec<_> =
        bots.iter().map(|bot| (bot, bot.unanswered())).filter(|(bot, _)| banned.contains_key(&bot.key())).collect();
    until("every banned bot has knocked in vain", || {
        bots.iter().try_for_each(Bot::complaint)?;
        // The first of the two may have begun while the daemon lived.
        Ok(before.iter().all(|(bot, before)| bot.unanswered() >= before + 2).then_some(()))
    })?;
    ensure!(sight.bans()?.len() == banned.len(), "somebody was banned by a dead daemon");
    lab.server.run("systemctl reset-failed banner")?;
    lab.start_banner()?;
    let ready = Timestamp::now();
    sight.await_bans(bots.len())?;
    Ok(Story { killed, ready })
}

impl Story {
    /// For each source, from its third failure until its ban.
    fn delays(&self, ledger: &Ledger, seen: &BTreeMap<IpAddr, Timestamp>) -> anyhow::Result<Delays> {
        let mut delays = Delays::default();
        for (source, banned) in seen {
            let third =
                ledger.third(source).with_context(|| format!("{source} is banned for less than three failures"))?;
            ensure!(third <= *banned, "{source} is banned at {banned}, before its third failure at {third}");
            if *banned > self.killed && third < self.ready {
                // There was nobody to ban it.
                delays.after_start.push(banned.duration_since(third.max(self.ready)).max(SignedDuration::ZERO));
            } else {
                delays.alive.push(banned.duration_since(third));
            }
        }
        Ok(delays)
    }
}

/// How long bans took.
#[derive(Default)]
struct Delays {
    /// From the third failure, with a daemon that lived.
    alive: Vec<SignedDuration>,
    /// From the daemon's start, where there was none at the third failure.
    after_start: Vec<SignedDuration>,
}

impl Delays {
    fn check(&self) -> anyhow::Result<()> {
        let late = |delays: &[SignedDuration]| delays.iter().filter(|delay| **delay > DELAY_MAX).count();
        ensure!(late(&self.alive) + late(&self.after_start) == 0, "more than {DELAY_MAX:#}: {}", self.report());
        Ok(())
    }

    fn report(&self) -> String {
        let of = |delays: &[SignedDuration]| {
            let mut delays = delays.to_vec();
            delays.sort_unstable();
            let at = |percent: usize| {
                let place = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
                delays.get(place).map_or(0, |delay| delay.as_millis())
            };
            format!("{}; median {} ms, 99th percentile {} ms, longest {} ms", delays.len(), at(50), at(99), at(100))
        };
        format!(
            "third failure to ban: {}; start to ban of who had failed without a daemon: {}",
            of(&self.alive),
            of(&self.after_start)
        )
    }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
