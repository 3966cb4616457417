//! Lists in force: bans by lists follow their files, a slice at a time.
//!
//! A list that bans has one ban for each of its prefixes, which lasts until the list has it no more. When its file has
//! changed, the former content and the new one are gone through side by side, [`BATCH`](super::BATCH) changes at a time: first
//! for what is new, then for what is gone, so that no address passes meanwhile that both cover. What is in both is not touched. Nothing of it is saved: the file is the truth, and is read again at the start.
//!
//! Nothing here grows with an attack: the number of lists and of their entries is bounded where the files are read, and
//! only the operator writes them. Where a map is full, bans by lists are the first to yield, and wait.

use super::{
    BATCH, Judge,
    effect::{Effect, Entry, Slot, Until},
    ledger::{Key, Record},
    list::{List, ListAction, ListName, Prefixes},
    origin::OriginId,
    protect::Protection,
    report::{Ended, Report},
};
use crate::{clock::Now, service::ServiceMask};

/// Prefixes that are looked at at most before the loop looks at everything else again, a millisecond of work.
const LOOK_MAX: usize = 50_000;

/// A list that bans.
#[derive(Debug)]
pub(super) struct BanList {
    pub(super) name: ListName,
    pub(super) id: OriginId,
    services: ServiceMask,
    observe: bool,
    /// What it is to be.
    pub(super) prefixes: Prefixes,
    /// Its file could not be read since the start, and `prefixes` are what was found in the kernel.
    unread: bool,
    change: Option<Change>,
}

/// The way from one content to another.
#[derive(Debug)]
struct Change {
    former: Prefixes,
    pass: Pass,
    /// Places in `former` and in what it is to be: everything before them is done in this pass.
    done: (usize, usize),
    /// What is in both is written anew too: it means something else now.
    rewrite: bool,
    added: usize,
    removed: usize,
    /// What has come in meanwhile.
    next: Option<Next>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Put,
    Lift,
}

/// What a list is to be once its change is done.
#[derive(Debug)]
enum Next {
    Content { services: ServiceMask, observe: bool, prefixes: Prefixes },
    Gone,
}

impl Judge {
    /// Takes lists over at the start, before what the kernel has is compared: writes nothing.
    pub(super) fn restore_lists(&mut self, lists: Vec<List>, now: Now, effects: &mut Vec<Effect>) {
        for list in lists {
            let ListAction::Ban { services, observe } = list.action else {
                self.ignored.push((list.name, list.prefixes.unwrap_or_default()));
                continue;
            };
            let Some(id) = self.origins.list(list.name) else { continue };
            let unread = list.prefixes.is_none();
            let prefixes = list.prefixes.unwrap_or_default();
            self.lists.push(BanList { name: list.name, id, services, observe, prefixes, unread, change: None });
        }
        self.protect(now, effects);
        for list in &self.lists {
            let record = list.record(now);
            let bans: Vec<(Key, Record)> = list
                .prefixes
                .iter()
                .filter(|prefix| self.ledger.protections().forbids(*prefix, false).is_none())
                .map(|prefix| (Key { prefix, origin: list.id }, record))
                .collect();
            for (key, _) in &bans {
                self.origins.banned(key.origin);
            }
            self.ledger.restore(bans);
        }
        let slots = self.lists.iter().flat_map(|list| list.prefixes.iter().map(|prefix| self.ledger.slot(prefix)));
        slots.collect::<Vec<_>>().into_iter().for_each(|slot| self.capacity.may_yield(slot));
    }

    /// An entry that was found in the kernel, that no ban tells of, and that a list has a part in. A list whose file cannot be
    /// read keeps it. With several such lists it is not known whose it was: the first has it until its file is read.
    pub(super) fn adopt_for_a_list(&mut self, entry: &Entry, now: Now) -> Option<Key> {
        let list = self.lists.iter().find(|list| list.unread)?;
        let key = Key { prefix: entry.slot.prefix(), origin: list.id };
        let is_repeated = self.ledger.wider(key.prefix).any(|(wider, _)| wider.origin == list.id);
        if is_repeated || self.ledger.protections().forbids(key.prefix, false).is_some() {
            return None;
        }
        self.ledger.adopt(key, Record::new(now.boot, Until::Permanent, entry.services, entry.observe));
        self.origins.banned(key.origin);
        self.capacity.may_yield(entry.slot);
        Some(key)
    }

    /// These were adopted: the list that cannot be read has them until it can.
    pub(super) fn keep_for_lists(&mut self, keys: &[Key]) {
        for list in self.lists.iter_mut().filter(|list| list.unread) {
            let adopted = keys.iter().filter(|key| key.origin == list.id).map(|key| key.prefix);
            list.prefixes = list.prefixes.iter().chain(adopted).collect();
        }
    }

    /// A list is so now.
    pub(super) fn list(&mut self, list: &List, now: Now, effects: &mut Vec<Effect>) {
        let Some(prefixes) = list.prefixes.clone() else { return };
        match list.action {
            ListAction::Ignore => {
                self.end_ban_list(list.name);
                match self.ignored.iter_mut().find(|(name, _)| *name == list.name) {
                    Some((_, former)) => *former = prefixes,
                    None => self.ignored.push((list.name, prefixes)),
                }
                self.protect(now, effects);
            }
            ListAction::Ban { services, observe } => {
                let Some(id) = self.origins.list(list.name) else { return };
                match self.lists.iter_mut().find(|known| known.name == list.name) {
                    Some(known) => known.follow(services, observe, prefixes),
                    None => {
                        let mut new = BanList {
                            name: list.name,
                            id,
                            services,
                            observe,
                            prefixes: Prefixes::default(),
                            unread: false,
                            change: None,
                        };
                        new.follow(services, observe, prefixes);
                        self.lists.push(new);
                    }
                }
                if self.ignored.iter().any(|(name, _)| *name == list.name) {
                    self.end_ignore_list(list.name, now, effects);
                }
            }
        }
    }

    /// A list has left the configuration.
    pub(super) fn unlist(&mut self, name: ListName, now: Now, effects: &mut Vec<Effect>) {
        self.end_ban_list(name);
        self.end_ignore_list(name, now, effects);
    }

    fn end_ignore_list(&mut self, name: ListName, now: Now, effects: &mut Vec<Effect>) {
        let before = self.ignored.len();
        self.ignored.retain(|(known, _)| *known != name);
        if self.ignored.len() != before {
            self.protect(now, effects);
        }
    }

    fn end_ban_list(&mut self, name: ListName) {
        if let Some(list) = self.lists.iter_mut().find(|list| list.name == name) {
            list.end();
        }
    }

    /// Whether bans by lists do not follow their files yet.
    pub(super) fn lists_lag(&self) -> bool {
        self.lists.iter().any(|list| list.change.is_some())
    }

    /// Goes on with lists that have changed.
    pub(super) fn follow_lists(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(index) = self.lists.iter().position(|list| list.change.is_some()) else { return };
        let (mut changes, mut looked) = (0, 0);
        while changes < BATCH && looked < LOOK_MAX {
            let Some(list) = self.lists.get_mut(index) else { return };
            let (id, record) = (list.id, list.record(now));
            looked = looked.saturating_add(1);
            match list.step() {
                Step::Same => {}
                Step::Put(prefix) => {
                    changes = changes.saturating_add(1);
                    self.put_listed(Key { prefix, origin: id }, record, effects);
                }
                Step::Lift(prefix) => {
                    changes = changes.saturating_add(1);
                    self.lift(Key { prefix, origin: id }, Ended::Unlisted, effects);
                }
                Step::Done { added, removed, is_gone } => {
                    let (name, entries) = (list.name, list.prefixes.len());
                    if is_gone {
                        self.lists.remove(index);
                        self.origins.unlist(id);
                    }
                    if added > 0 || removed > 0 {
                        effects.push(Effect::Report(Report::ListFollowed { list: name, entries, added, removed }));
                    }
                    return;
                }
            }
        }
    }

    fn put_listed(&mut self, key: Key, record: Record, effects: &mut Vec<Effect>) {
        if self.ledger.protections().forbids(key.prefix, false).is_some() {
            return;
        }
        if self.ledger.get(key).is_none() {
            self.origins.banned(key.origin);
        }
        self.ledger.put(key, record, effects);
        self.capacity.may_yield(self.ledger.slot(key.prefix));
    }

    /// What lists ban inside what is no longer protected.
    pub(super) fn ban_what_lists_say(&mut self, unprotected: &[Protection], now: Now, effects: &mut Vec<Effect>) {
        let mut due = Vec::new();
        for list in self.lists.iter().filter(|list| !list.is_ending()) {
            let record = list.record(now);
            for protection in unprotected {
                let inside = list.prefixes.within(protection.prefix);
                due.extend(inside.map(|prefix| (Key { prefix, origin: list.id }, record)));
            }
        }
        for (key, record) in due {
            if self.ledger.get(key).is_none() {
                self.put_listed(key, record, effects);
            }
        }
    }

    /// Whether lists alone ban a prefix: then its entry yields to every other.
    pub(super) fn only_lists_ban(&self, slot: Slot) -> bool {
        let mut bans = self.ledger.at(slot.prefix()).peekable();
        bans.peek().is_some() && bans.all(|(key, _)| key.origin.is_list())
    }
}

enum Step {
    Same,
    Put(ipnet::IpNet),
    Lift(ipnet::IpNet),
    Done { added: usize, removed: usize, is_gone: bool },
}

impl Change {
    fn new(former: Prefixes, rewrite: bool, next: Option<Next>) -> Self {
        Self { former, pass: Pass::Put, done: (0, 0), rewrite, added: 0, removed: 0, next }
    }
}

impl BanList {
    fn record(&self, now: Now) -> Record {
        Record::new(now.boot, Until::Permanent, self.services, self.observe)
    }

    fn is_ending(&self) -> bool {
        self.change.as_ref().is_some_and(|change| matches!(change.next, Some(Next::Gone)))
    }

    /// Whether the kernel is still being brought in line with the file.
    pub(super) fn lags(&self) -> bool {
        self.change.is_some()
    }

    fn follow(&mut self, services: ServiceMask, observe: bool, prefixes: Prefixes) {
        self.unread = false;
        if let Some(change) = &mut self.change {
            change.next = Some(Next::Content { services, observe, prefixes });
            return;
        }
        let rewrite = (self.services, self.observe) != (services, observe);
        (self.services, self.observe) = (services, observe);
        let former = std::mem::replace(&mut self.prefixes, prefixes);
        if rewrite || !former.is_same(&self.prefixes) {
            self.change = Some(Change::new(former, rewrite, None));
        }
    }

    fn end(&mut self) {
        if let Some(change) = &mut self.change {
            change.next = Some(Next::Gone);
            return;
        }
        let former = std::mem::take(&mut self.prefixes);
        self.change = Some(Change::new(former, false, Some(Next::Gone)));
    }

    /// The next difference between what it was and what it is to be.
    fn step(&mut self) -> Step {
        let Some(change) = &mut self.change else { return Step::Done { added: 0, removed: 0, is_gone: false } };
        let (was, is) = &mut change.done;
        let (former, current) = (change.former.at(*was), self.prefixes.at(*is));
        let Some(next) = former.into_iter().chain(current).min() else {
            if change.pass == Pass::Put && change.removed > 0 {
                (change.pass, change.done) = (Pass::Lift, (0, 0));
                return Step::Same;
            }
            return self.arrive();
        };
        let (was_listed, is_listed) = (former == Some(next), current == Some(next));
        *was = was.saturating_add(usize::from(was_listed));
        *is = is.saturating_add(usize::from(is_listed));
        match (change.pass, was_listed, is_listed) {
            (Pass::Put, true, true) if change.rewrite => Step::Put(next),
            (Pass::Put, true, false) => {
                change.removed = change.removed.saturating_add(1);
                Step::Same
            }
            (Pass::Put, false, _) => {
                change.added = change.added.saturating_add(1);
                Step::Put(next)
            }
            (Pass::Lift, true, false) => Step::Lift(next),
            (Pass::Put, true, true) | (Pass::Lift, ..) => Step::Same,
        }
    }

    fn arrive(&mut self) -> Step {
        let Some(Change { added, removed, next, .. }) = self.change.take() else {
            return Step::Done { added: 0, removed: 0, is_gone: false };
        };
        let mut is_gone = false;
        match next {
            None => {}
            Some(Next::Gone) if self.prefixes.is_empty() => is_gone = true,
            Some(Next::Gone) => self.end(),
            Some(Next::Content { services, observe, prefixes }) => self.follow(services, observe, prefixes),
        }
        Step::Done { added, removed, is_gone }
    }
}
