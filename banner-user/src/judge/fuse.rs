//! The fuse: when those who got in until now fail one after the other, something has broken, and they are spared.
//!
//! A server that cannot ask its users' database may say so, and then the filters know an outage. It may as well log each right
//! password as a wrong one. What it looks like from here is that customers (`customers`) who got in the last time fail now, one
//! after the other, and no customer gets in between. In ordinary times one customer in a hundred fails, so that five in a row are
//! rarer than anything else that goes wrong; and no traffic of a relay is too low for that to hold.
//!
//! For each filter: what breaks for Postfix need not be broken for Cyrus.
//!
//! What an attacker can make of it: strangers do not move the fuse, nor do names that nobody has, nor telephones that have failed
//! for days. With a stolen password he can log in from several sources and then fail from them; that is one account, and moves the
//! fuse as far as one. With five stolen passwords, at an hour when no customer logs in, he can trip it. Then failures on an account
//! that logged in from the very same source are spared: those whose passwords he has.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnet::IpNet;

use super::{account::AccountTag, policy, window::earlier};
use crate::{
    clock::{BootTime, LogTime, Now},
    event::FilterName,
};

/// Customers that fail and are remembered as such, for each filter; beyond, further ones do not move the fuse.
const FAILING_MAX: usize = 10_000;

/// Filters with a fuse; beyond, a filter has none. Only filters of a configured jail come here.
const FILTERS_MAX: usize = 256;

/// A customer at one source; without an account where the lines have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Customer {
    pub(super) source: IpNet,
    pub(super) account: Option<AccountTag>,
}

/// Who counts once: one account, from wherever. Where the line has none, the first one that is known at its source, so that one
/// stolen password is one person also there. Where none is known at all, the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Person {
    Account(AccountTag),
    Source(IpNet),
}

/// A fuse that is tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Whose lines are told of; none where it was tripped by hand, for all.
    pub filter: Option<FilterName>,
    /// When the first of the customers failed; by hand, when it was tripped.
    pub since: LogTime,
    /// When it ends, if it was tripped by hand.
    pub until: Option<BootTime>,
    /// Failures that were spared.
    pub spared: u64,
}

/// What one filter tells of customers.
#[derive(Debug, Default)]
struct Circuit {
    /// Customers whose last attempt failed, and when.
    failing: BTreeMap<Customer, LogTime>,
    /// Who has begun to fail since a customer last got in, and when.
    row: BTreeMap<Person, LogTime>,
    tripped: Option<Tripped>,
    /// Who has got in since it tripped.
    recovered: BTreeSet<Person>,
    /// When it ends if nothing is heard any more.
    quiet_at: BootTime,
}

/// What a failure of a customer has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Nothing: it is judged as any.
    Not,
    /// The fuse was tripped already: it is spared.
    Spared,
    /// It has tripped the fuse. These have failed since then, and are spared from the first one on.
    Trips { since: LogTime, customers: Vec<Customer> },
}

/// The fuses of all filters.
#[derive(Debug, Default)]
pub(super) struct Fuses {
    circuits: BTreeMap<FilterName, Circuit>,
    by_hand: Option<Tripped>,
    /// Until then none trips: an operator has said that nothing is broken.
    held_until: Option<BootTime>,
}

impl Fuses {
    /// A customer failed; without a person, in a way that says nothing about who gets in.
    pub(super) fn failed(
        &mut self,
        policy: &policy::Fuse,
        filter: &FilterName,
        customer: Customer,
        person: Option<Person>,
        at: LogTime,
        now: Now,
    ) -> Moved {
        let start = earlier(now.wall.as_log_time(), policy.window);
        if at < start || (!self.circuits.contains_key(filter) && self.circuits.len() >= FILTERS_MAX) {
            return self.spared_by_hand(); // Read late: that outage is over.
        }
        let is_held = self.held_until.is_some_and(|until| until > now.boot);
        let circuit = self.circuits.entry(filter.clone()).or_default();
        let begins = person.filter(|_| !circuit.failing.contains_key(&customer) && circuit.failing.len() < FAILING_MAX);
        if begins.is_some() {
            circuit.failing.insert(customer, at);
        } else if let Some(last) = circuit.failing.get_mut(&customer) {
            *last = at.max(*last);
        }
        if let Some(tripped) = &mut circuit.tripped {
            tripped.spared = tripped.spared.saturating_add(1);
            circuit.quiet_at = now.boot + policy.window;
            return Moved::Spared;
        }
        if let Some(person) = begins.filter(|_| !is_held) {
            circuit.row.insert(person, at);
            circuit.row.retain(|_, first| *first >= start);
            if circuit.row.len() >= usize::from(policy.customers) {
                return circuit.trip(filter, now.boot + policy.window);
            }
        }
        self.spared_by_hand()
    }

    /// A customer got in. What ended, where that ends it.
    pub(super) fn got_in(
        &mut self,
        policy: &policy::Fuse,
        filter: &FilterName,
        customer: Customer,
        person: Person,
    ) -> Option<Tripped> {
        let circuit = self.circuits.get_mut(filter)?;
        circuit.failing.remove(&customer);
        circuit.row.clear();
        if circuit.tripped.is_some() {
            circuit.recovered.insert(person);
        }
        (circuit.recovered.len() >= usize::from(policy.customers)).then(|| circuit.reset()).flatten()
    }

    /// One whose time has come, ended.
    pub(super) fn over(&mut self, now: BootTime) -> Option<Tripped> {
        if self.by_hand.as_ref().and_then(|tripped| tripped.until).is_some_and(|until| until <= now) {
            return self.by_hand.take();
        }
        let quiet = |circuit: &&mut Circuit| circuit.tripped.is_some() && circuit.quiet_at <= now;
        self.circuits.values_mut().find(quiet).and_then(Circuit::reset)
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        let by_hand = self.by_hand.as_ref().and_then(|tripped| tripped.until);
        let tripped = self.circuits.values().filter(|circuit| circuit.tripped.is_some());
        tripped.map(|circuit| circuit.quiet_at).chain(by_hand).min()
    }

    /// Trips it for all filters.
    pub(super) fn trip(&mut self, length: Duration, now: Now) -> Tripped {
        self.held_until = None;
        let until = Some(now.boot + length);
        let spared = self.by_hand.as_ref().map_or(0, |former| former.spared);
        let tripped = Tripped { filter: None, since: now.wall.as_log_time(), until, spared };
        self.by_hand.insert(tripped).clone()
    }

    /// Ends all that are tripped, and has none trip for so long.
    pub(super) fn reset(&mut self, hold: Duration, now: Now) -> Vec<Tripped> {
        self.held_until = Some(now.boot + hold);
        self.by_hand.take().into_iter().chain(self.circuits.values_mut().filter_map(Circuit::reset)).collect()
    }

    pub(super) fn tripped(&self) -> impl Iterator<Item = &Tripped> {
        self.by_hand.iter().chain(self.circuits.values().filter_map(|circuit| circuit.tripped.as_ref()))
    }

    /// Forgets customers that have failed for longer than logins are remembered: they are none any more. Not for every line:
    /// it looks at all of them.
    pub(super) fn forget_before(&mut self, start: LogTime) {
        for circuit in self.circuits.values_mut().filter(|circuit| circuit.failing.len() >= FAILING_MAX) {
            circuit.failing.retain(|_, last| *last >= start);
        }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        for circuit in self.circuits.values_mut() {
            circuit.failing.values_mut().chain(circuit.row.values_mut()).for_each(|at| *at = at.shifted(step));
        }
        let tripped = self.circuits.values_mut().filter_map(|circuit| circuit.tripped.as_mut());
        tripped.chain(&mut self.by_hand).for_each(|tripped| tripped.since = tripped.since.shifted(step));
    }

    fn spared_by_hand(&mut self) -> Moved {
        let Some(tripped) = &mut self.by_hand else { return Moved::Not };
        tripped.spared = tripped.spared.saturating_add(1);
        Moved::Spared
    }
}

impl Circuit {
    fn trip(&mut self, filter: &FilterName, quiet_at: BootTime) -> Moved {
        let Some(since) = self.row.values().min().copied() else { return Moved::Not };
        let customers: Vec<Customer> =
            self.failing.iter().filter(|(_, last)| **last >= since).map(|(customer, _)| *customer).collect();
        self.tripped = Some(Tripped { filter: Some(filter.clone()), since, until: None, spared: 1 });
        self.quiet_at = quiet_at;
        Moved::Trips { since, customers }
    }

    fn reset(&mut self) -> Option<Tripped> {
        self.row.clear();
        self.recovered.clear();
        self.tripped.take()
    }
}
