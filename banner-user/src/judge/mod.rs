//! From events to effects. Pure: no clock, no file, no socket, no async, no log macro.
//!
//! ```text
//!  Line ──> stamps ──> scope ──> jails: window ──> measure: over the limit? ──> ledger ──> Effect::Write, Effect::Remove
//!           when it    who it    │                             bans, what is protected,
//!           counts     is        └─> protected? ─────────┐     entries that follow
//!                                                        v          ^          ^
//!  ban, unban (by hand) ──> refused, or ─────────────────│──────────┘          │
//!  Protect, Configure, Adopt, Full, Tick ────────────────│─────────────────────┘
//!                                                        v
//!                                                   Effect::Report
//! ```
//!
//! `now` is an argument of everything; [`Judge::next_deadline`] says when to come back without a cause.

pub mod account;
pub mod effect;
pub mod input;
pub mod list;
pub mod manual;
pub mod policy;
pub mod reason;
pub mod report;
pub mod saved;
pub mod status;

mod accounts;
mod adopt;
mod alarm;
mod capacity;
mod carry_out;
mod changes;
mod count;
mod customers;
mod escalate;
mod evidence;
mod excuse;
mod failure;
mod foreign;
mod fuse;
mod history;
mod jail;
mod ledger;
mod listed;
mod measure;
mod neighbours;
mod origin;
mod outage;
mod prefix;
mod prefixes;
mod protect;
mod recent;
mod restore;
mod scope;
mod seconds;
mod sentence;
mod spare;
mod stamps;
mod steps;
mod suspects;
mod traps;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use self::{
    accounts::Attack,
    carry_out::{Kernel, NoRoom},
    customers::{Login, SOURCES_MAX, Seen},
    effect::Effect,
    evidence::{Evidence, FAILURES_MAX, Failure, LINE_MAX},
    foreign::Objection,
    fuse::Tripped,
    history::{LATEST_MAX, Offence, Offences},
    input::{Input, Line},
    neighbours::MEMBERS_MAX,
    origin::Origin,
    outage::OutageState,
    protect::{HostAddresses, Protection, ProtectionKind},
    report::Report,
    seconds::LogSeconds,
    stamps::StaleStamps,
    suspects::{Suspect, TRIES_MAX, Try},
    window::{Counted, Quarters},
};
use self::{
    accounts::{ACCOUNTS_MAX, Accounts},
    alarm::Alarm,
    capacity::{Capacity, Hourly},
    changes::Unsaved,
    customers::Customers,
    effect::Slot,
    evidence::Archive,
    excuse::Excuses,
    fuse::Fuses,
    history::History,
    jail::JailState,
    ledger::{Key, Ledger, Record},
    list::{ListName, Prefixes},
    listed::BanList,
    neighbours::Neighbourhoods,
    origin::{OriginId, Origins},
    outage::Outages,
    policy::Policy,
    prefixes::Raid,
    protect::Protections,
    report::{Because, Ended},
    sentence::Told,
    stamps::Stamps,
    steps::Offset,
    suspects::Suspects,
    traps::Traps,
    window::earlier,
};
pub(crate) use failure::ON_THE_WAY;
pub(crate) use scope::{NAT64, canonical};

use crate::clock::{BootTime, Now};

/// Bans that are ended, and sources that are forgotten, in one call; the rest follows in the next, so that a million that end
/// together do not hold up the loop.
const BATCH: usize = 1_000;

/// How often what is over for the tables is forgotten at most, in batches: nobody is judged by what is over, forgotten or not.
const FORGET_EVERY: Duration = Duration::from_millis(5);

/// How often sources that have gone quiet are looked for while nothing else happens.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Judges failures by the policy, and knows what is banned, why and until when.
#[derive(Debug)]
pub struct Judge {
    policy: Policy,
    host: HostAddresses,
    jails: Vec<JailState>,
    ledger: Ledger,
    origins: Origins,
    archive: Archive,
    stamps: Stamps,
    outages: Outages,
    excuses: Excuses,
    /// Who has logged in lately.
    customers: Customers,
    /// What looks like an outage.
    fuses: Fuses,
    alarm: Alarm,
    /// Who was banned before.
    history: History,
    /// On which accounts who has failed of late, and when that was told.
    accounts: Accounts,
    attacks_told: Told,
    suspects: Suspects,
    traps: Traps,
    trap_told: Hourly,
    /// From which prefixes who has failed.
    neighbourhoods: Neighbourhoods,
    /// Bans of prefixes that were made for many of their sources, as long as they are in force.
    raids: BTreeMap<Key, Raid>,
    /// Bans of customers who have guessed, as long as they are in force: no outage is to blame for these.
    guessed: BTreeSet<Key>,
    capacity: Capacity,
    /// Lists that ban.
    lists: Vec<BanList>,
    /// Lists of what is never banned.
    ignored: Vec<(ListName, Prefixes)>,
    /// Sources that were forgotten for want of room.
    evicted: u64,
    evicted_told: Hourly,
    forget_at: BootTime,
    tidy_at: Option<BootTime>,
    /// When this was last called.
    now: BootTime,
    /// How the clocks went together when this was last called.
    offset: Option<Offset>,
    /// Where what changes is to be saved.
    unsaved: Option<Unsaved>,
}

impl Judge {
    /// A judge that has seen nothing. Nothing of the host is protected before [`Input::Protect`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let host = HostAddresses::default();
        let protections = Protections::for_all(&policy.ignoreip, policy.ignoreself, &host, &[]);
        let mut judge = Self {
            jails: Vec::new(),
            ledger: Ledger::new(protections),
            origins: Origins::new(),
            archive: Archive::new(),
            stamps: Stamps::default(),
            outages: Outages::default(),
            excuses: Excuses::new(),
            customers: Customers::default(),
            fuses: Fuses::default(),
            alarm: Alarm::default(),
            history: History::new(policy.forget()),
            accounts: Accounts::new(ACCOUNTS_MAX),
            attacks_told: Told::default(),
            suspects: Suspects::new(),
            traps: Traps::default(),
            trap_told: Hourly::default(),
            neighbourhoods: Neighbourhoods::new(),
            raids: BTreeMap::new(),
            guessed: BTreeSet::new(),
            capacity: Capacity::default(),
            lists: Vec::new(),
            ignored: Vec::new(),
            evicted: 0,
            evicted_told: Hourly::default(),
            forget_at: BootTime::default(),
            tidy_at: None,
            now: BootTime::default(),
            offset: None,
            unsaved: None,
            host,
            policy,
        };
        judge.set_up_jails();
        judge.set_up_accounts();
        judge
    }

    /// Takes one input and returns what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, input: Input<'_>, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.end_what_is_over(now, &mut effects);
        match input {
            Input::Tick => self.follow_lists(now, &mut effects),
            Input::Line(line) => self.line(&line, now, &mut effects),
            Input::Configure(policy) => self.configure(*policy, now, &mut effects),
            Input::Protect(host) => {
                self.host = host;
                self.protect(now, &mut effects);
            }
            Input::Restore(saved) => self.restore(saved, now, &mut effects),
            Input::RestoreLists(lists) => self.restore_lists(lists, now, &mut effects),
            Input::List(list) => self.list(&list, now, &mut effects),
            Input::Unlist(name) => self.unlist(name, now, &mut effects),
            Input::Adopt(found) => self.adopt(found, now, &mut effects),
            // Not followed by use_room: the room that is made is taken.
            Input::Full(entry) => {
                self.make_room(entry.slot, now, &mut effects);
                return effects;
            }
        }
        self.use_room(&mut effects);
        self.plan_tidying(now);
        effects
    }

    /// When to hand in [`Input::Tick`] if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        let lists = self.lists_lag().then_some(BootTime::default());
        let told = [self.outages.next_deadline(), self.fuses.next_deadline()];
        [lists, self.ledger.next_deadline(), self.tidy_at].into_iter().chain(told).flatten().min()
    }

    fn end_what_is_over(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.follow_clock(now);
        self.now = now.boot;
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.now = now.boot;
        }
        for _ in 0..BATCH {
            let Some(key) = self.ledger.expired(now.boot) else { break };
            self.lift(key, Ended::Expired, effects);
        }
        carry_out::remove_first(effects);
        while let Some(outage) = self.outages.over(now.boot) {
            effects.push(Effect::Report(Report::OutageEnded(outage)));
        }
        while let Some(tripped) = self.fuses.over(now.boot) {
            effects.push(Effect::Report(Report::FuseReset(tripped)));
        }
        self.history.bound(self.policy.limits.sources);
        self.neighbourhoods.bound(self.policy.limits.sources);
        if self.forget_at <= now.boot {
            self.forget_at = now.boot + FORGET_EVERY;
            self.forget_what_is_over(now);
        }
    }

    /// Keeps the tables small.
    fn forget_what_is_over(&mut self, now: Now) {
        for jail in &mut self.jails {
            jail.forget_quiet(now.wall.as_log_time(), BATCH);
        }
        let remember = self.policy.customers.as_ref().map_or(Duration::ZERO, |customers| customers.remember);
        let start = Customers::start(now.wall.as_log_time(), remember);
        self.customers.forget_before(start, BATCH);
        if self.tidy_at.is_some_and(|at| at <= now.boot) {
            self.fuses.forget_before(start);
        }
        self.history.tidy(now.wall.as_log_time(), BATCH);
        self.tidy_accounts(now);
        let findtime = self.policy.prefixes.map_or(Duration::ZERO, |prefixes| prefixes.findtime);
        let start = earlier(now.wall.as_log_time(), findtime);
        self.neighbourhoods.tidy(start, BATCH);
    }

    fn plan_tidying(&mut self, now: Now) {
        let is_idle = self.accounts.is_empty() && self.suspects.sources().len() == 0 && self.customers.len() == 0;
        if is_idle && self.jails.iter().all(|jail| jail.tracked.len() == 0) {
            self.tidy_at = None;
        } else if self.tidy_at.is_none_or(|at| at <= now.boot) {
            self.tidy_at = Some(now.boot + TIDY_EVERY);
        }
    }

    fn configure(&mut self, policy: Policy, now: Now, effects: &mut Vec<Effect>) {
        // By prefixes of other lengths, what is known says nothing.
        let lengths = |policy: &Policy| policy.prefixes.map(|prefixes| (prefixes.ipv4, prefixes.ipv6));
        if lengths(&policy) != lengths(&self.policy) {
            self.neighbourhoods = Neighbourhoods::new();
        }
        self.policy = policy;
        self.set_up_jails();
        self.set_up_accounts();
        self.protect(now, effects);
        self.archive.bound(self.policy.limits.evidence);
        self.history.forget_after(self.policy.forget());
    }

    fn set_up_jails(&mut self) {
        let ids = self.origins.configure(self.policy.jails.iter().map(|jail| &jail.name));
        let sources: Vec<String> = self.policy.sources().into_iter().map(str::to_owned).collect();
        let mut former = std::mem::take(&mut self.jails);
        for (jail, id) in self.policy.jails.iter().zip(ids) {
            let state = JailState::new(jail.clone(), id, &sources, self.unsaved.is_some());
            self.jails.push(match former.iter().position(|old| old.jail.name == jail.name) {
                Some(index) => state.continuing(former.swap_remove(index)),
                None => state,
            });
        }
        // The tallies of jails that are gone are saved no more.
        if !former.is_empty() {
            self.nothing_is_saved();
        }
    }

    /// Lifts what is protected now, for all or from one jail, and writes anew what a protected prefix lies inside.
    fn protect(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let protections =
            Protections::for_all(&self.policy.ignoreip, self.policy.ignoreself, &self.host, &self.ignored);
        let (lifted, unprotected) = self.ledger.protect(protections, effects);
        for (key, record, protection) in lifted {
            self.ended(key, &record, Ended::Protected(protection), effects);
        }
        self.ban_what_lists_say(&unprotected, now, effects);
        for (key, protection) in self.banned_against_their_jails_ignoreip() {
            self.lift(key, Ended::Protected(protection), effects);
        }
    }

    /// Bans by jails that overlap what the jail itself ignores. One that is wider ends as a whole: other jails may still mean
    /// the protected part, so that no entry could tell it apart.
    fn banned_against_their_jails_ignoreip(&self) -> Vec<(Key, Protection)> {
        let ignored =
            self.jails.iter().flat_map(|jail| jail.protections.iter().map(|protection| (jail.id, protection)));
        ignored
            .flat_map(|(id, protection)| {
                let overlapping = self.ledger.within(protection.prefix).chain(self.ledger.covering(protection.prefix));
                overlapping.filter(move |(key, _)| key.origin == id).map(move |(key, _)| (key, protection))
            })
            .collect()
    }

    fn put(&mut self, key: Key, record: Record, because: Option<&Because>, effects: &mut Vec<Effect>) {
        if self.ledger.get(key).is_none() {
            self.origins.banned(key.origin);
        }
        self.ledger.put(key, record, effects);
        self.note_began(key, because);
        self.note_guessed(key, because);
    }

    fn lift(&mut self, key: Key, why: Ended, effects: &mut Vec<Effect>) {
        if let Some(record) = self.ledger.lift(key, effects) {
            self.ended(key, &record, why, effects);
        }
    }

    fn ended(&mut self, key: Key, record: &Record, why: Ended, effects: &mut Vec<Effect>) {
        self.off_the_record(key);
        self.guessed.remove(&key);
        self.note_ended(key, record.deadline(), why);
        let origin = self.origins.origin(key.origin);
        self.origins.ended(key.origin);
        self.note_in_history(key.prefix, &origin, (record.observe, record.until()), why);
        if key.origin.is_list() {
            return; // Hundreds of thousands: told as one, when the list is followed.
        }
        effects.push(Effect::Report(Report::Unbanned { origin, prefix: key.prefix, why }));
    }

    /// A map is full: the ban nearest its end yields to the entry. Where none may, a ban waits for room, or is given up where
    /// too many wait; but a protected address never waits: the bans around it go.
    fn make_room(&mut self, slot: Slot, now: Now, effects: &mut Vec<Effect>) {
        let Some(entry) = self.ledger.entry(slot) else { return };
        let map = slot.map();
        let ended = |effect: &Effect| matches!(effect, Effect::Remove(ended) if ended.map() == map);
        if effects.iter().any(ended) {
            effects.push(Effect::Write(entry)); // Something in the map has just ended anyway.
            return;
        }
        if !entry.protected && self.only_lists_ban(slot) {
            self.capacity.wait_listed(slot);
            self.tell_of_full(map, now, effects);
            return;
        }
        if let Some(victim) = self.listed_victim(slot) {
            self.capacity.wait_listed(victim);
            effects.extend([Effect::Remove(victim), Effect::Write(entry)]);
            self.tell_of_full(map, now, effects);
            return;
        }
        let takes_room = |prefix| prefix != slot.prefix() && !self.capacity.waits(self.ledger.slot(prefix));
        if let Some(victim) = self.ledger.victim(map, takes_room) {
            self.capacity.yielded(map);
            self.lift_all(self.ledger.at(victim).map(|(key, _)| key).collect(), Ended::Yielded(map), effects);
            effects.extend(self.ledger.entry(slot).map(Effect::Write));
        } else if entry.protected {
            let around = self.ledger.wider(slot.prefix()).map(|(key, _)| key).collect();
            self.lift_all(around, Ended::CannotProtect(map), effects);
        } else if !self.capacity.wait(slot) {
            self.capacity.yielded(map);
            let automatic =
                self.ledger.at(slot.prefix()).map(|(key, _)| key).filter(|key| key.origin != OriginId::HAND);
            self.lift_all(automatic.collect(), Ended::Yielded(map), effects);
        }
        self.tell_of_full(map, now, effects);
    }

    /// An entry of lists alone that can make room for another.
    fn listed_victim(&mut self, slot: Slot) -> Option<Slot> {
        loop {
            let victim = self.capacity.listed_victim(slot.map())?;
            if victim != slot && self.ledger.slot(victim.prefix()) == victim && self.only_lists_ban(victim) {
                return Some(victim);
            }
        }
    }

    fn tell_of_full(&mut self, map: effect::Map, now: Now, effects: &mut Vec<Effect>) {
        if self.capacity.tell(map, now.boot) {
            let (yielded, waiting) = self.capacity.counts(map);
            effects.push(Effect::Report(Report::MapFull { map, yielded, waiting }));
        }
    }

    fn lift_all(&mut self, keys: Vec<Key>, why: Ended, effects: &mut Vec<Effect>) {
        for key in keys {
            self.lift(key, why, effects);
        }
    }

    /// For each entry that is removed, one that waited for room in its map is written.
    fn use_room(&mut self, effects: &mut Vec<Effect>) {
        let freed: Vec<Slot> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Remove(slot) => Some(*slot),
                Effect::Write(_) | Effect::Report(_) => None,
            })
            .collect();
        let waited: Vec<Slot> = freed.into_iter().filter_map(|slot| self.capacity.freed(slot)).collect();
        effects.extend(waited.into_iter().filter_map(|slot| self.ledger.entry(slot)).map(Effect::Write));
    }
}
