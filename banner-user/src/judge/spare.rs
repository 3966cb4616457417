//! What the fuse means for a failure: it counts against nobody, and what it has led to is undone.

use std::time::Duration;

use super::{
    Judge,
    effect::Effect,
    failure::Found,
    fuse::{Customer, Moved, Person, Tripped},
    ledger::Key,
    reason::Reason,
    report::{Because, Ended, Report},
};
use crate::{
    clock::{LogTime, Now},
    event::{FilterName, Weight},
};

impl Judge {
    /// Whether a failure is spared.
    pub(super) fn is_spared(&mut self, found: &Found<'_>, now: Now, effects: &mut Vec<Effect>) -> bool {
        let Some(customer) = self.customer(found) else { return false };
        let Some(policy) = &self.policy.fuse else { return false };
        let filter = &found.attempt.filter;
        // What no customer can be seen to get in by says nothing when none does; nor does what is no wrong password.
        let says = found.attempt.weight >= Weight::ONE && !policy.without_logins.contains(filter);
        let person = says.then(|| self.person(customer));
        match self.fuses.failed(policy, filter, customer, person, found.at, now) {
            Moved::Not => false,
            Moved::Spared => true,
            Moved::Trips { since, customers } => {
                effects.extend(self.tripped(filter).map(|tripped| Effect::Report(Report::FuseTripped(tripped))));
                self.undo(filter, since, &customers, now, effects);
                true
            }
        }
    }

    /// A customer got in.
    pub(super) fn note_got_in(&mut self, filter: &FilterName, customer: Customer, effects: &mut Vec<Effect>) {
        let Some(policy) = &self.policy.fuse else { return };
        let person = self.person(customer);
        let ended = self.fuses.got_in(policy, filter, customer, person);
        effects.extend(ended.map(|tripped| Effect::Report(Report::FuseReset(tripped))));
    }

    /// Trips the fuse for all filters, by hand. What is to be done.
    #[must_use]
    pub fn trip_fuse(&mut self, length: Duration, now: Now) -> Vec<Effect> {
        vec![Effect::Report(Report::FuseTripped(self.fuses.trip(length, now)))]
    }

    /// Has the fuse, wherever it is tripped, be so no more, and not trip again for a while. What is to be done.
    #[must_use]
    pub fn reset_fuse(&mut self, now: Now) -> Vec<Effect> {
        let hold = self.policy.fuse.clone().unwrap_or_default().window;
        self.fuses.reset(hold, now).into_iter().map(|tripped| Effect::Report(Report::FuseReset(tripped))).collect()
    }

    /// Who failed, where that is a customer: the account is known at the source; or nothing says which it is, and some are.
    fn customer(&self, found: &Found<'_>) -> Option<Customer> {
        let source = found.source;
        let account = found.account.map(|account| account.tag());
        let is_customer = match account {
            Some(account) => self.customers.knows(source, account),
            None => self.customers.is_customer(source),
        };
        is_customer.then_some(Customer { source, account })
    }

    fn person(&self, customer: Customer) -> Person {
        let account = customer.account.or_else(|| self.customers.first_account(customer.source));
        account.map_or(Person::Source(customer.source), Person::Account)
    }

    fn tripped(&self, filter: &FilterName) -> Option<Tripped> {
        self.fuses.tripped().find(|tripped| tripped.filter.as_ref() == Some(filter)).cloned()
    }

    /// Who tries names that nobody has, or one after the other, is no victim of an outage, customer or not. Not kept over a restart:
    /// an outage is known within minutes.
    pub(super) fn note_guessed(&mut self, key: Key, because: Option<&Because>) {
        let is_guess = |reason: &Reason| matches!(reason, Reason::Trap(_) | Reason::Spraying { .. });
        if because.is_some_and(|because| because.reasons.iter().any(is_guess)) && self.customers.is_customer(key.prefix)
        {
            self.guessed.insert(key);
        }
    }

    /// Takes back what failures since the first one of the outage have led to.
    fn undo(
        &mut self,
        filter: &FilterName,
        since: LogTime,
        customers: &[Customer],
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let mut lifted = Vec::new();
        for jail in self.jails.iter_mut().filter(|jail| jail.jail.filters.contains(filter)) {
            for customer in customers {
                jail.forgive(customer.source, |failure| {
                    failure.at >= since && (customer.account.is_none() || failure.account == customer.account)
                });
                let key = Key { prefix: customer.source, origin: jail.id };
                let began = |since_boot| now.wall_at(since_boot).as_log_time();
                if self.ledger.get(key).is_some_and(|record| began(record.since) >= since)
                    && !self.guessed.contains(&key)
                {
                    lifted.push(key);
                }
            }
        }
        self.lift_all(lifted, Ended::Outage, effects);
    }
}
