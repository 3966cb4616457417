//! The demonstration: everything that banner does, on a machine that has no mail server, in less than a minute.
//!
//! A mail server, an attacker and a customer live in two network namespaces. Every step is real: TCP connections over a cable,
//! lines in a log, the daemon, the program in the kernel. A step that does not happen ends the demonstration with an error.

mod daemon;
mod hosts;
mod interrupt;
mod mail_server;

use std::{
    net::IpAddr,
    path::Path,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use daemon::{Banner, Files, is_filtered};
use hosts::{ATTACKER, ATTACKER_AGAIN, CUSTOMER, Connection, Hosts, INTERFACE, MAIL};
use interrupt::Interrupt;
use mail_server::{IMAP, Logged, SMTP};

use crate::terminal::Terminal;

/// How long a source is banned here; ten minutes by default.
const BANTIME: Duration = Duration::from_secs(12);
/// What a connection gets that is expected to work.
const PATIENCE: Duration = Duration::from_secs(3);
/// What one gets that is expected not to. On this cable a connection is made in well under a millisecond.
const NO_ANSWER: Duration = Duration::from_millis(600);

/// Runs the demonstration.
///
/// # Errors
/// A step did not happen, or a signal ended it. Either way everything is taken down.
pub(crate) fn run(banner: &Path, terminal: &Terminal) -> Result<()> {
    let started = Instant::now();
    let interrupt = Interrupt::catch()?;
    let files = Files::new(BANTIME)?;
    let hosts = Hosts::new()?;
    let logged = mail_server::start(&hosts, &files.log())?;
    let shown = Banner::start(banner, &files, &hosts)
        .and_then(|banner| Demonstration { terminal, interrupt: &interrupt, hosts: &hosts, logged, banner }.show());
    if let Err(error) = shown {
        let output = files.daemon_output();
        terminal.heading("what the daemon said");
        terminal.line(output.trim_end());
        return Err(error).context("the demonstration ended early");
    }
    terminal.heading(format_args!("everything happened, in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

struct Demonstration<'a> {
    terminal: &'a Terminal,
    interrupt: &'a Interrupt,
    hosts: &'a Hosts,
    logged: Receiver<Logged>,
    banner: Banner<'a>,
}

impl Demonstration<'_> {
    /// The story, step by step.
    fn show(&mut self) -> Result<()> {
        self.start()?;
        let mut customer = self.everyone_reaches_the_server()?;
        let banned = self.three_failures(ATTACKER.v4)?;
        self.is_shut_out(ATTACKER.v4)?;
        self.is_undisturbed(&mut customer)?;
        self.the_same_over_ipv6()?;
        self.the_daemon_dies()?;
        self.the_ban_ends(ATTACKER.v4, banned)?;
        self.is_undisturbed(&mut customer)?;
        self.nothing_stays()
    }

    fn start(&mut self) -> Result<()> {
        self.step("a mail server, and banner in front of it");
        self.good(format_args!("the mail server: {} and {}, ports {SMTP} and {IMAP}", MAIL.v4, MAIL.v6));
        let mode = self.interrupt.wait("the daemon answers and filters", Duration::from_secs(10), || {
            self.banner.still_runs()?;
            let Ok(status) = self.banner.status() else { return Ok(None) };
            Ok(status.interfaces.into_iter().find(|interface| interface.name == INTERFACE).and_then(|it| it.mode))
        })?;
        ensure!(is_filtered(self.hosts)?, "no XDP program is attached to {INTERFACE}");
        self.good(format_args!("banner reads its log; its program is attached to {INTERFACE} ({mode})"));
        Ok(())
    }

    /// Returns a connection of the customer's that stays open until the end.
    fn everyone_reaches_the_server(&self) -> Result<Connection> {
        self.step("everyone reaches the server");
        for (who, host) in [("the attacker", ATTACKER), ("a customer", CUSTOMER)] {
            for address in [host.v4, host.v6] {
                for port in [SMTP, IMAP] {
                    self.reaches(address, port)?;
                }
            }
            self.good(format_args!("{who} ({} and {}) talks to ports {SMTP} and {IMAP}", host.v4, host.v6));
        }
        self.reaches(CUSTOMER.v4, IMAP)
    }

    /// Two at SMTP, one at IMAP. Returns when the third was in the log.
    fn three_failures(&self, source: IpAddr) -> Result<Instant> {
        self.step(format_args!("{source} guesses passwords: two at SMTP, one at IMAP"));
        let before = self.failures()?;
        let mut open = self.hosts.connect(source, IMAP, NO_ANSWER)?;
        let mut smtp = self.reaches(source, SMTP)?;
        for _ in 0..2 {
            self.guess(&mut smtp, "AUTH PLAIN AGFsaWNlAHNlY3JldA==")?;
        }
        self.interrupt
            .wait("two failures are counted", PATIENCE, || Ok((self.failures()? == before + 2).then_some(())))?;
        ensure!(self.ban(source)?.is_none(), "{source} is banned after two failures");
        self.good("two failures are counted; that is not yet a ban");
        let mut imap = self.reaches(source, IMAP)?;
        let third = self.guess(&mut imap, "a LOGIN alice secret")?;
        let took = self.silence_after(third, &mut open)?.as_secs_f64() * 1000.0;
        let ban = self.ban(source)?.context("`banner bans` does not show the ban")?;
        self.good(format_args!("banned: {} for {} s", ban.prefix, BANTIME.as_secs()));
        self.good(format_args!(
            "a connection that was open before: what it sent {took:.1} ms after the third line was dropped"
        ));
        Ok(third)
    }

    /// Talks on an open connection, as fast as it gets answers, until it gets none. Returns how long after the line the first
    /// was sent that stayed unanswered: by then the ban was in the kernel.
    fn silence_after(&self, line: Instant, open: &mut Connection) -> Result<Duration> {
        loop {
            self.interrupt.check()?;
            let sent = line.elapsed();
            if open.say("a NOOP").is_err() {
                return Ok(sent);
            }
            ensure!(sent < PATIENCE, "the kernel still passes what the attacker sends");
        }
    }

    /// Sends a wrong password, and shows what the server logs about it.
    fn guess(&self, connection: &mut Connection, command: &str) -> Result<Instant> {
        connection.say(command)?;
        let logged = self.logged.recv_timeout(PATIENCE).context("the server logged nothing")?;
        self.terminal.line(format_args!("    {}", logged.line));
        Ok(logged.at)
    }

    fn is_shut_out(&self, source: IpAddr) -> Result<()> {
        self.step(format_args!("the kernel drops what {source} sends"));
        for port in [SMTP, IMAP] {
            self.does_not_reach(source, port)?;
        }
        self.good(format_args!("no new connection, neither to port {SMTP} nor to port {IMAP}"));
        Ok(())
    }

    fn is_undisturbed(&self, open: &mut Connection) -> Result<()> {
        let answer = open.say("a NOOP").context("the customer's open connection")?;
        for address in [CUSTOMER.v4, CUSTOMER.v6] {
            self.reaches(address, SMTP)?;
        }
        self.good(format_args!("the customer notices nothing, on the open connection ({answer}) and on new ones"));
        Ok(())
    }

    fn the_same_over_ipv6(&self) -> Result<()> {
        self.three_failures(ATTACKER.v6)?;
        for address in [ATTACKER.v6, ATTACKER_AGAIN] {
            self.does_not_reach(address, IMAP)?;
        }
        self.good(format_args!("no connection, from {ATTACKER_AGAIN} neither: the same /64"));
        self.reaches(CUSTOMER.v6, IMAP)?;
        self.good(format_args!("the customer's {} is in another /64, and gets through", CUSTOMER.v6));
        Ok(())
    }

    fn the_daemon_dies(&mut self) -> Result<()> {
        self.step("the daemon is killed (SIGKILL)");
        self.banner.still_runs()?;
        self.banner.kill()?;
        for address in [ATTACKER.v4, ATTACKER.v6] {
            self.does_not_reach(address, SMTP)?;
        }
        self.reaches(CUSTOMER.v4, SMTP)?;
        let ban = self.ban(ATTACKER.v4)?.context("`banner bans` does not show the ban")?;
        self.good(format_args!(
            "the bans hold; `banner bans` reads {} dropped packets of {} from the kernel",
            ban.packets, ban.prefix
        ));
        Ok(())
    }

    /// Asks again and again from just before the end of the ban.
    fn the_ban_ends(&self, source: IpAddr, third_line: Instant) -> Result<()> {
        self.step(format_args!("the ban of {} s ends by itself, with the daemon dead", BANTIME.as_secs()));
        self.interrupt.wait("the ban ends", BANTIME + PATIENCE, || {
            Ok(self.hosts.connect(source, SMTP, Duration::from_millis(200)).ok().map(drop))
        })?;
        let held = third_line.elapsed();
        ensure!(held >= BANTIME, "the ban ended after {:.2} s already", held.as_secs_f64());
        ensure!(held < BANTIME + Duration::from_secs(1), "the ban ended after {:.2} s only", held.as_secs_f64());
        self.good(format_args!("after {:.1} s {source} talks to port {SMTP} again", held.as_secs_f64()));
        self.interrupt.wait("the ban of the IPv6 source ends", BANTIME, || {
            Ok(self.hosts.connect(ATTACKER_AGAIN, IMAP, Duration::from_millis(200)).ok().map(drop))
        })?;
        self.good(format_args!("so does {ATTACKER_AGAIN}, whose /64 was banned later"));
        Ok(())
    }

    fn nothing_stays(&self) -> Result<()> {
        self.step("`banner detach` takes it off");
        self.banner.cli(&["detach"])?;
        // The kernel lets go of a link in the background (`bpf_link_put`, `kernel/bpf/syscall.c`).
        let gone = || Ok((!is_filtered(self.hosts)?).then_some(()));
        self.interrupt.wait("no program is attached", PATIENCE, gone)?;
        self.good(format_args!("no program on {INTERFACE} any more"));
        Ok(())
    }

    fn reaches(&self, from: IpAddr, port: u16) -> Result<Connection> {
        self.interrupt.check()?;
        self.hosts.connect(from, port, PATIENCE)
    }

    fn does_not_reach(&self, from: IpAddr, port: u16) -> Result<()> {
        self.interrupt.check()?;
        if self.hosts.connect(from, port, NO_ANSWER).is_ok() {
            bail!("{from} is banned and still reaches port {port}");
        }
        Ok(())
    }

    fn failures(&self) -> Result<u64> {
        Ok(self.banner.status()?.jails.iter().map(|jail| jail.total_failed).sum())
    }

    /// The ban that covers an address: the address itself, or its /64.
    fn ban(&self, address: IpAddr) -> Result<Option<daemon::Ban>> {
        let prefix = match address {
            IpAddr::V4(_) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        };
        Ok(self.banner.bans()?.into_iter().find(|ban| ban.prefix == prefix))
    }

    fn step(&self, text: impl std::fmt::Display) {
        self.terminal.heading(text);
    }

    fn good(&self, text: impl std::fmt::Display) {
        self.terminal.good(text);
    }
}
