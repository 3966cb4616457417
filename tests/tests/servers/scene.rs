//! A mail host with banner at work, and those who come to it.

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::binary,
    lab::{
        Lab, Setup,
        client::{Login, Mechanism, Outcome, Service},
        root::Kind,
    },
    network::MAIL_PORTS,
    patience::until,
};
use serde_json::Value;

/// Quick bans, a small map; otherwise what an operator has who configured nothing.
pub(crate) const QUICK: &str = "[customers]\nenabled = false\n[jail.mail]\nbantime = \"15s\"\n";

/// Boots a host and starts banner there.
///
/// # Errors
/// As [`Lab::up`] and [`Lab::start_banner`].
pub(crate) fn guarded(kind: Kind, variants: &[&str], configuration: &str) -> anyhow::Result<Option<Lab>> {
    let variants = variants.iter().map(|name| (*name).to_owned()).collect();
    let setup = Setup { variants, configuration: configuration.to_owned(), ..Setup::new(kind, binary()?) };
    let Some(lab) = Lab::up(&setup)? else { return Ok(None) };
    lab.start_banner()?;
    Ok(Some(lab))
}

/// What the jail `mail` is told to read on such a host: a line of its section.
pub(crate) fn filters(kind: Kind) -> &'static str {
    match kind {
        Kind::Cyrus => "filter = [\"postfix-sasl\", \"cyrus\"]\n",
        Kind::Dovecot => "filter = [\"postfix-sasl\", \"dovecot\"]\n",
    }
}

/// Everybody's password.
pub(crate) const RIGHT: &str = "secret";
/// Nobody's.
pub(crate) const WRONG: &str = "12345";

/// Has done nothing, and is there to see that others get through.
pub(crate) const INNOCENT: &str = "203.0.113.200";
const INNOCENT_V6: &str = "2001:db8:600d::200";

/// A host of the internet. Its user is alice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) address: IpAddr,
}

impl<'lab> Source<'lab> {
    /// The host of this address.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn new(lab: &'lab Lab, address: &str) -> anyhow::Result<Self> {
        Ok(Self { lab, address: address.parse().with_context(|| address.to_owned())? })
    }

    /// Logs in by SASL PLAIN, and sees that this comes of it.
    ///
    /// # Errors
    /// Something else does.
    pub(crate) fn tries(&self, service: Service, password: &str, expected: &Outcome) -> anyhow::Result<()> {
        let attempt = self.lab.clients().login(&self.login(service, password))?;
        ensure!(
            attempt.outcome == *expected,
            "{} with \"{password}\" at {service:?}: {expected:?} was expected: {attempt:?}",
            self.address
        );
        Ok(())
    }

    /// A login by SASL PLAIN.
    pub(crate) fn login(&self, service: Service, password: &str) -> Login {
        Login {
            from: self.address,
            service,
            transport: service.usual_transport(),
            mechanism: Mechanism::Plain,
            user: b"alice".to_vec(),
            password: password.as_bytes().to_vec(),
        }
    }

    /// `banner why`: what is known of it.
    ///
    /// # Errors
    /// The answer is none.
    pub(crate) fn known(&self) -> anyhow::Result<Value> {
        let answer = self.lab.banner(&format!("why {} --json", self.address))?;
        ensure!(matches!(answer.code, Some(0 | 1)), "{answer:?}");
        serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))
    }

    /// What its failures weigh in the jail `mail` since its last ban.
    ///
    /// # Errors
    /// As [`Source::known`].
    pub(crate) fn tally(&self) -> anyhow::Result<f64> {
        let known = self.known()?;
        Ok(known.pointer("/tally/0/failures").and_then(Value::as_f64).unwrap_or_default())
    }

    /// Waits until its failures weigh just so much.
    ///
    /// # Errors
    /// They do not.
    pub(crate) fn await_tally(&self, weight: f64) -> anyhow::Result<()> {
        let mut last = Value::Null;
        until(&format!("the failures of {} weigh {weight}", self.address), || {
            last = self.known()?;
            let tally = last.pointer("/tally/0/failures").and_then(Value::as_f64).unwrap_or_default();
            Ok(((tally - weight).abs() < 0.01).then_some(()))
        })
        .with_context(|| format!("{last}"))
    }

    /// Waits until it is banned, and says by what.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn await_ban(&self) -> anyhow::Result<Value> {
        until(&format!("{} is banned", self.address), || Ok(self.known()?.pointer("/bans/0").cloned()))
    }

    /// Waits until it is not banned any more.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn await_end(&self) -> anyhow::Result<()> {
        until(&format!("the ban of {} is over", self.address), || {
            Ok(self.known()?.pointer("/bans/0").is_none().then_some(()))
        })
    }

    /// Which of these ports it reaches, while an innocent host reaches all of them.
    ///
    /// # Errors
    /// The innocent one does not.
    pub(crate) fn reached(&self, ports: &[u16]) -> anyhow::Result<Vec<u16>> {
        let innocent = if self.address.is_ipv4() { INNOCENT } else { INNOCENT_V6 };
        self.lab.network.reached(self.address, ports, innocent.parse()?)
    }

    /// Sees that every mail port is open to it.
    ///
    /// # Errors
    /// One is not.
    pub(crate) fn reaches_all(&self) -> anyhow::Result<()> {
        let reached = self.reached(&MAIL_PORTS)?;
        ensure!(reached == MAIL_PORTS, "{} reaches {reached:?} alone", self.address);
        Ok(())
    }

    /// Sees that every mail port is closed to it.
    ///
    /// # Errors
    /// One is not.
    pub(crate) fn reaches_none(&self) -> anyhow::Result<()> {
        let reached = self.reached(&MAIL_PORTS)?;
        ensure!(reached.is_empty(), "{} is banned and reaches {reached:?}", self.address);
        Ok(())
    }

    /// Tries three wrong passwords, over SMTP, IMAP and POP3, and waits for the ban.
    ///
    /// # Errors
    /// It is not banned.
    pub(crate) fn earns_a_ban(&self) -> anyhow::Result<Value> {
        for service in [Service::Smtp, Service::Imap, Service::Pop3] {
            self.tries(service, WRONG, &Outcome::Refused)?;
        }
        self.await_ban()
    }
}

/// Waits until banner has read what was logged before this: a stranger fails, and is known for it.
///
/// # Errors
/// It is not.
pub(crate) fn await_reading(lab: &Lab) -> anyhow::Result<()> {
    let strangers = lab.server.script("cat /run/strangers 2> /dev/null || true")?.trim().parse().unwrap_or(0_u8);
    lab.server.script(&format!("echo {} > /run/strangers", strangers + 1))?;
    let stranger = Source::new(lab, &format!("198.19.255.{strangers}"))?;
    stranger.tries(Service::Smtp, WRONG, &Outcome::Refused)?;
    stranger.await_tally(1.0)
}
