//! Failures that are none: the backend failed, the server that asked it was only told "no", and logs that like a wrong password.
//!
//! So it is with Postfix that has Dovecot check its passwords: `auth: Error: ldap(alice,192.0.2.1): ..`, says Dovecot, and then Postfix
//! of the same attempt `SASL PLAIN authentication failed: (reason unavailable)`. Each such outage excuses one failure of this very
//! address that another filter tells after it, to all that know the line of it; where that one knows of the outage itself, none.
//! Nobody else is excused: a backend that fails now and then lets no attacker off.

use std::{borrow::Cow, convert::Infallible, net::IpAddr, time::Duration};

use super::recent::{Aged, Recent};
use crate::{
    clock::LogTime,
    event::{FilterName, Outage, Position},
};

/// How long the failure may take. Dovecot holds a refusal back for up to 15 seconds (`AUTH_PENALTY_MAX_SECS`,
/// src/auth/auth-penalty.c), and two more (`auth_failure_delay`).
const WAIT: Duration = Duration::from_secs(30);

/// The most addresses whose failure is waited for; beyond, the one that has waited longest is forgotten. So they are by a restart.
const ADDRESSES_MAX: usize = 10_000;

/// Who is waited for.
#[derive(Debug)]
pub(super) struct Excuses {
    addresses: Recent<Excuse>,
    /// The line that was excused last, and whose: it is an event for each filter that knows it.
    excused: Option<(Position, IpAddr)>,
}

#[derive(Clone, Debug, Default)]
struct Excuse {
    /// Failures that are still to come.
    attempts: u16,
    /// Who told of the outage.
    filter: Option<FilterName>,
    /// When it told of the last.
    at: Option<LogTime>,
}

impl Aged for Excuse {
    type Brief = Infallible;

    fn newest(&self) -> Option<LogTime> {
        self.at
    }

    fn shift(&mut self, step: i64) {
        self.at = self.at.map(|at| at.shifted(step));
    }

    fn brief(&self) -> Option<(Infallible, bool)> {
        None
    }

    fn from_brief(brief: Infallible, _: bool) -> Self {
        match brief {}
    }
}

impl Excuses {
    pub(super) fn new() -> Self {
        Self { addresses: Recent::new(), excused: None }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.addresses.shift(step);
    }

    /// Notes an outage that a client of this address suffered at that time.
    pub(super) fn note(&mut self, outage: &Outage, address: IpAddr, at: LogTime) {
        if !outage.retold {
            // What was to be retold as a failure is told as it is.
            self.use_up(&outage.filter, address, at);
            return;
        }
        self.addresses.update(address.into(), |excuse| {
            if excuse.filter.as_ref() != Some(&outage.filter) || !excuse.is_for(at) {
                *excuse = Excuse { attempts: 0, filter: Some(outage.filter.clone()), at: None };
            }
            excuse.attempts = excuse.attempts.saturating_add(1);
            excuse.at = excuse.at.max(Some(at));
        });
        while self.addresses.len() > ADDRESSES_MAX {
            self.addresses.forget_oldest();
        }
    }

    /// Whether the failure of this address at that time, which the filter told by that line, is none.
    pub(super) fn excuse(&mut self, filter: &FilterName, address: IpAddr, at: LogTime, position: Position) -> bool {
        let this = Some((position, address));
        if self.excused == this {
            return true;
        }
        let is_excused = self.use_up(filter, address, at);
        if is_excused {
            self.excused = this;
        }
        is_excused
    }

    /// Takes one attempt off those that are still to come by another filter than this, if there is one.
    fn use_up(&mut self, filter: &FilterName, address: IpAddr, at: LogTime) -> bool {
        let source = address.into();
        let is_excused = |excuse: &Cow<'_, Excuse>| excuse.filter.as_ref() != Some(filter) && excuse.is_for(at);
        let Some(excuse) = self.addresses.get(source).filter(is_excused) else { return false };
        if excuse.attempts <= 1 {
            self.addresses.remove(source);
        } else {
            self.addresses.update(source, |excuse| excuse.attempts = excuse.attempts.saturating_sub(1));
        }
        true
    }
}

impl Excuse {
    /// Whether a line of this time may be about the same attempt.
    fn is_for(&self, at: LogTime) -> bool {
        self.at.is_some_and(|told| at.distance(told) <= WAIT)
    }
}
