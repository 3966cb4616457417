//! Many addresses at once, against Postfix, Cyrus and banner on one host.
//!
//! Each source is judged by what the host's own mail.log says of it, read here without banner: when its third failure was written,
//! and when its ban was in force, seen in the kernel's map: between two looks, of which the second shows it. rsyslog stamps a line when
//! it takes it from journald, so before it writes it: a delay looks longer than it was.

mod bot;
mod good;
mod ledger;
mod sight;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    lab::{Lab, client::Clients, root::Kind},
    patience::until,
};
use bot::Bot;
use good::GoodClient;
use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use sight::{Seen, Sight};

use crate::scene::guarded;

/// Sources, half of them IPv4 addresses and half IPv6 /64s.
const BOTS: u16 = 500;

/// How many of them are banned when the daemon is killed.
const BANNED_AT_KILL: usize = 200;

/// From the stamp of a source's third failure until its ban is in force.
const DELAY_MAX: SignedDuration = SignedDuration::from_secs(1);

#[test]
fn each_of_500_attackers_is_banned_within_a_second_and_a_good_client_notices_nothing() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    let attack = Attack::on(&lab, |_, sight| sight.await_bans(BOTS.into()))?;
    let mut delays = Delays::default();
    for (source, banned) in &attack.bans {
        let third = attack.deserved(source, banned.by)?;
        let late = banned.after.duration_since(third);
        ensure!(late <= DELAY_MAX, "the ban of {source} took more than {late:#}");
        delays.0.push(banned.by.duration_since(third));
    }
    delays.report("third failure to ban")
}

#[test]
fn a_daemon_killed_amid_500_attackers_has_its_bans_hold_and_bans_the_others_when_it_is_back() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    // systemd's own restart comes after two seconds, which is no time on a busy machine.
    lab.server.script(
        "mkdir -p /run/systemd/system/banner.service.d
         printf '[Service]\\nRestart=no\\n' > /run/systemd/system/banner.service.d/stays-dead.conf
         systemctl daemon-reload",
    )?;
    let (mut held, mut asked, mut ready) = (BTreeMap::new(), Timestamp::MIN, Timestamp::MIN);
    let attack = Attack::on(&lab, |bots, sight| {
        sight.await_bans(BANNED_AT_KILL)?;
        lab.server.run("systemctl kill --signal KILL banner")?;
        until("the daemon is dead", || {
            Ok((lab.server.answer("systemctl is-active banner")?.stdout.trim() == "failed").then_some(()))
        })?;
        held = sight.next_look()?;
        knock_in_vain(bots, &held)?;
        ensure!(sight.next_look()? == held, "a ban comes from a dead daemon");
        asked = Timestamp::now();
        lab.start_banner()?;
        ready = Timestamp::now();
        sight.await_bans(BOTS.into())
    })?;
    let mut delays = Delays::default();
    for (source, banned) in attack.bans.iter().filter(|(source, _)| !held.contains_key(source)) {
        let third = attack.deserved(source, banned.by)?;
        let late = banned.after.duration_since(third.max(ready));
        ensure!(late <= DELAY_MAX, "{source} is banned more than {late:#} after a daemon was there to do it");
        delays.0.push(banned.by.duration_since(third.max(asked)));
    }
    delays.report(&format!("{} bans held; start of the daemon to ban", held.len()))
}

/// Waits until each of these that are banned has tried to connect, and had no answer.
fn knock_in_vain(bots: &[Bot], banned: &BTreeMap<IpAddr, Seen>) -> anyhow::Result<()> {
    let banned = bots.iter().filter(|bot| banned.contains_key(&bot.key()));
    let before: Vec<_> = banned.map(|bot| (bot, bot.unanswered())).collect();
    until("every banned source knocks in vain", || {
        bots.iter().try_for_each(Bot::complaint)?;
        // The first of the two may have begun earlier.
        Ok(before.iter().all(|(bot, before)| bot.unanswered() >= before + 2).then_some(()))
    })
}

/// What became of it.
struct Attack {
    ledger: Ledger,
    /// Every source that was banned.
    bans: BTreeMap<IpAddr, Seen>,
}

impl Attack {
    /// Lets the bots attack while a good client logs in, until `story` has been told. Sees that all of them are banned, and nobody
    /// else; that no ban ended; that no banned source was answered; that every login of the good client was accepted, and each of
    /// its packets came through.
    fn on(lab: &Lab, story: impl FnOnce(&[Bot], &Sight) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let bots: Vec<_> = (0..BOTS).map(Bot::new).collect();
        let (sight, good) = (Sight::new(lab), GoodClient::new(lab)?);
        let clients = Clients::new(&lab.network.internet, &lab.root);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| -> anyhow::Result<()> {
            // However this ends, all of them stop.
            let _end = SetWhenDropped(&is_over);
            scope.spawn(|| sight.watch(&is_over));
            for user in &good.users {
                scope.spawn(|| user.log_in_again_and_again(&clients, &is_over));
            }
            good.await_logins(1)?;
            for bot in &bots {
                let thread = thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, || bot.attack(&clients, &sight, &is_over)).context("starting a bot")?;
            }
            story(&bots, &sight)?;
            good.await_logins(LOGINS_MIN)
        })?;
        bots.iter().try_for_each(Bot::complaint)?;
        good.await_logins(LOGINS_MIN)?;
        good.lost_nothing()?;
        good.is_unsuspected()?;
        let bans = sight.bans()?;
        let expected: BTreeSet<_> = bots.iter().map(Bot::key).collect();
        let others: Vec<_> = bans.keys().filter(|source| !expected.contains(source)).collect();
        ensure!(others.is_empty(), "banned though no bot: {others:?}");
        Ok(Self { ledger: Ledger::read(&lab.server.path("/var/log/mail.log"))?, bans })
    }

    /// When a source had failed for the third time.
    fn deserved(&self, source: &IpAddr, banned: Timestamp) -> anyhow::Result<Timestamp> {
        let third = self.ledger.third(source).with_context(|| format!("{source} is banned without three failures"))?;
        ensure!(third <= banned, "{source} is banned at {banned}, before its third failure at {third}");
        Ok(third)
    }
}

/// Logins of the good client, at each service.
const LOGINS_MIN: usize = 4;

/// Of a bot's thread, in bytes.
const STACK: usize = 256 << 10;

/// How long bans took.
#[derive(Default)]
struct Delays(Vec<SignedDuration>);

impl Delays {
    fn longest(&self) -> SignedDuration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// Straight to the descriptor: the test harness swallows what a passing test prints.
    fn report(&mut self, what: &str) -> anyhow::Result<()> {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let [half, most] =
            [50, 99].map(|percent| self.0.get(last * percent / 100).map_or(0, SignedDuration::as_millis));
        let (count, longest) = (self.0.len(), self.longest().as_millis());
        writeln!(
            std::io::stderr(),
            "{what}, {count} times: median {half} ms, 99 of 100 {most} ms, longest {longest} ms"
        )?;
        Ok(())
    }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
