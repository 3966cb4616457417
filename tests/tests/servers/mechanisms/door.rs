//! Ways to log in, and those who try them once.

use std::{net::IpAddr, process::Command, thread};

use anyhow::{Context as _, anyhow};
use banner_tests::{
    command_line::Answer,
    lab::{
        Lab,
        client::{Login, Mechanism, Outcome, Service, Transport, reply::Protocol},
    },
    network::{SERVER_V4, SERVER_V6},
};

use super::guest::Guest;

/// A way to log in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Mail(Service, Transport, Mechanism),
    /// DIGEST-MD5 in words of our own.
    Digest(Service, Transport),
    /// At this port.
    Web(u16),
}

impl Door {
    /// What is spoken there, if it is mail's.
    pub(super) fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Mail(service, ..) | Self::Digest(service, _) => Some(service.protocol()),
            Self::Web(_) => None,
        }
    }

    /// Whether this client knows how to be let in: our DIGEST-MD5 has the form of a response and never the right hash.
    pub(super) fn can_be_entered(self) -> bool {
        !matches!(self, Self::Digest(..))
    }
}

/// A try, on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    pub(super) source: IpAddr,
    pub(super) door: Door,
    pub(super) user: &'static str,
    pub(super) password: &'static str,
}

/// So many clients at a time: fewer than any server has room for, and enough that the half a second which Dovecot takes for each of
/// Postfix's failures does not add up.
const AT_ONCE: usize = 24;

/// Has everybody try, and tells what became of it, in their order.
pub(super) fn all_at_once(lab: &Lab, tries: &[Try]) -> anyhow::Result<Vec<Outcome>> {
    let is_curls = |tried: &&Try| match tried.door {
        Door::Mail(service, _, mechanism) => service != Service::Sieve && mechanism != Mechanism::Plaintext,
        Door::Digest(..) | Door::Web(_) => false,
    };
    let (curls, others): (Vec<&Try>, Vec<&Try>) = tries.iter().partition(is_curls);
    let logins: Vec<_> = curls.iter().filter_map(|tried| tried.login()).collect();
    let mut by_curl = lab.clients().swarm(&logins, AT_ONCE.try_into()?)?.into_iter().map(|attempt| attempt.outcome);
    let mut by_others = in_parallel(&others, |tried| tried.alone(lab))?.into_iter();
    tries
        .iter()
        .map(|tried| if is_curls(&tried) { by_curl.next() } else { by_others.next() }.context("an outcome for each"))
        .collect()
}

/// Does something with each, some at a time; the results are in the order of these.
pub(super) fn in_parallel<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let share = |worker| -> anyhow::Result<Vec<R>> { all.iter().skip(worker).step_by(AT_ONCE).map(&work).collect() };
    let shares: anyhow::Result<Vec<_>> = thread::scope(|scope| {
        let share = &share;
        let workers: Vec<_> = (0..AT_ONCE).map(|worker| scope.spawn(move || share(worker))).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?).collect()
    });
    let mut shares: Vec<_> = shares?.into_iter().map(Vec::into_iter).collect();
    Ok((0..all.len()).filter_map(|index| shares.get_mut(index % AT_ONCE)?.next()).collect())
}

impl Try {
    fn login(&self) -> Option<Login> {
        let Door::Mail(service, transport, mechanism) = self.door else { return None };
        let (user, password) = (self.user.as_bytes().to_vec(), self.password.as_bytes().to_vec());
        Some(Login { from: self.source, service, transport, mechanism, user, password })
    }

    fn alone(&self, lab: &Lab) -> anyhow::Result<Outcome> {
        match self.door {
            Door::Mail(..) => Ok(lab.clients().login(&self.login().context("a login")?)?.outcome),
            Door::Digest(service, transport) => {
                let guest = Guest { source: self.source, service, transport, leaves_in_order: true };
                guest.answers_a_challenge(lab, self.user)
            }
            Door::Web(port) => self.at_web(lab, port).with_context(|| format!("{self:?}")),
        }
    }

    /// By curl(1) of the lab's root, which sends the password unasked.
    fn at_web(&self, lab: &Lab, port: u16) -> anyhow::Result<Outcome> {
        let server = if self.source.is_ipv4() { SERVER_V4.to_string() } else { format!("[{SERVER_V6}]") };
        let scheme = if port == 443 { "https" } else { "http" };
        let mut curl = Command::new("chroot");
        curl.arg(&lab.root).args(["curl", "--disable", "--silent", "--show-error", "--insecure", "--max-time", "60"]);
        curl.args(["--request", "PROPFIND", "--header", "Depth: 0", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code}", "--interface", &self.source.to_string()]);
        curl.args(["--connect-to", &format!("::{server}:{port}")]);
        curl.args(["--user", &format!("{}:{}", self.user, self.password)]);
        curl.arg(format!("{scheme}://mail.example.org:{port}/dav/"));
        curl.current_dir("/").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let inside = lab.network.internet.enter()?;
        let answer = Answer::of(&mut curl);
        drop(inside);
        let answer = answer?;
        Ok(match answer.stdout.as_str() {
            "207" => Outcome::Accepted,
            "401" => Outcome::Refused,
            _ => Outcome::Broken(format!("{answer:?}")),
        })
    }
}
