//! What is going on: for `status`, `bans` and `why`. What an entry has dropped is read from the kernel, by its slot.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{
    Judge,
    account::AccountTag,
    accounts::Attack,
    effect::{Entry, Map, Slot, Until},
    evidence::Evidence,
    fuse::Tripped,
    history::Offences,
    jail::{JailState, Tracked},
    ledger::{Key, Record},
    list::ListName,
    origin::{Origin, OriginId},
    outage::OutageState,
    policy::BanTime,
    protect::Protection,
    reason::Reason,
    recent::Aged,
    scope,
    seconds::LogSeconds,
    stamps::StaleStamps,
    window::Quarters,
};
use crate::{
    clock::{BootTime, LogTime},
    service::ServiceMask,
};

/// Bans that are looked at for one page: some milliseconds of work.
const LOOK_MAX: usize = 50_000;

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// In the order of the configuration.
    pub jails: Vec<JailStatus>,
    /// Bans in force that others made: by hand, by an earlier run, by jails that are no longer configured.
    pub others: Vec<(Origin, usize)>,
    /// Sources that were forgotten for want of room.
    pub evicted: u64,
    /// What was banned before and is not forgotten, and how much of that was for want of room.
    pub offenders: (usize, u64),
    /// Logins that are remembered, and those that were forgotten for want of room.
    pub logins: (usize, u64),
    /// Each map, with the bans that yielded in it since the start and the entries that wait for room in it.
    pub room: Vec<(Map, u64, usize)>,
    /// Files whose stamps are not believed.
    pub stale: Vec<StaleStamps>,
    /// Fuses that are tripped.
    pub tripped: Vec<Tripped>,
    /// Outages of the authentication backend.
    pub outages: Vec<OutageState>,
    /// How many accounts are under attack: [`Judge::attacks`] has them.
    pub attacks: usize,
    /// Lists that ban.
    pub lists: Vec<ListStatus>,
}

/// A list that bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListStatus {
    /// Which.
    pub name: ListName,
    /// Its bans, those that wait for room among them; what is ignored is not.
    pub banned: usize,
    /// The kernel does not follow its last change yet.
    pub lags: bool,
}

/// One jail, in fail2ban's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Sources with failures in their window.
    pub currently_failed: usize,
    /// Failures since the start.
    pub total_failed: u64,
    /// Bans in force.
    pub currently_banned: usize,
    /// Bans since the start.
    pub total_banned: u64,
}

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whose packets.
    pub prefix: IpNet,
    /// Who made it.
    pub origin: Origin,
    /// From what.
    pub services: ServiceMask,
    /// Since when; for one of an earlier run, since the start of this one.
    pub since: BootTime,
    /// Until when.
    pub until: Until,
    /// Counted, not dropped.
    pub observe: bool,
    /// Failures that came more than two seconds after it began though they should not have been able to, up to 65,535.
    pub late: u16,
    /// Made by hand with force, over what would have protected it.
    pub forced: bool,
    /// Where its packets are counted, with those of other bans of the same prefix.
    pub slot: Slot,
    /// The entry waits for room in its map: nothing is dropped.
    pub waits: bool,
    /// The sources that a prefix was banned for, the one that failed longest ago first; none for any other ban.
    pub members: Vec<IpNet>,
}

/// Some of the bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of their prefixes.
    pub bans: Vec<Ban>,
    /// The prefix after which the next page goes on; `None` after the last. It stays valid when bans come and go.
    pub next: Option<IpNet>,
}

/// Everything about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why<'a> {
    /// As it is judged: an IPv4 address out of a mapped one.
    pub address: IpAddr,
    /// The source that it belongs to.
    pub source: IpNet,
    /// What keeps it from being banned in any jail, the narrowest first.
    pub protections: Vec<Protection>,
    /// The bans that apply to it, the narrowest first.
    pub bans: Vec<Ban>,
    /// How it stands in each jail.
    pub tallies: Vec<Tally>,
    /// What else is known of its source.
    pub standing: Standing,
    /// The prefix around it, where such are banned for their sources.
    pub neighbourhood: Option<Neighbourhood>,
    /// The bans that its source has had and that make the next one longer: of jails that enforce, and of those that observe.
    pub offences: [Option<Offences>; 2],
    /// What its source did, where it is remembered.
    pub evidence: Option<&'a Evidence>,
}

/// What is known of a source beside its failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Somebody has logged in from there lately.
    pub is_customer: bool,
    /// Accounts that have, counted up to as many as make it shared.
    pub accounts: usize,
    /// As many as that have.
    pub is_shared: bool,
    /// The fuse is tripped: failures on accounts that logged in from there count against nobody.
    pub is_spared: bool,
    /// Accounts that it has tried lately, of those that are kept.
    pub tried: usize,
    /// Of these, those that are under attack.
    pub attacked: usize,
    /// Its bans that make the next one longer.
    pub banned_before: u16,
}

/// How the prefix around a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    /// The prefix.
    pub prefix: IpNet,
    /// The sources in it that failed lately, the one that failed longest ago first, with their last failures. None while it is
    /// banned: see [`Ban::members`].
    pub members: Vec<(IpNet, LogTime)>,
    /// So many ban it.
    pub limit: u16,
    /// Somebody has logged in from there lately: it is not banned.
    pub customers: bool,
}

/// How a source stands in one jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The jail.
    pub jail: Arc<str>,
    /// The weight in its window, as of its newest failure, in quarters.
    pub failures: Quarters,
    /// The weight that bans, in quarters.
    pub limit: Quarters,
    /// What those weigh by what else is known, in quarters: this is compared with the limit.
    pub weighed: Quarters,
    /// How long it would be banned for, were that enough.
    pub bantime: BanTime,
    /// What was taken into account for both.
    pub reasons: Vec<Reason>,
    /// When it failed last.
    pub newest: Option<LogTime>,
    /// What keeps it from being banned in this jail alone.
    pub protection: Option<Protection>,
}

impl Judge {
    /// Where everything stands. Cheap: nothing is counted anew.
    #[must_use]
    pub fn status(&self) -> Status {
        let jails = self.jails.iter().map(|jail| {
            let (currently_banned, total_banned) = self.origins.counts(jail.id);
            JailStatus {
                name: Arc::clone(&jail.jail.name),
                currently_failed: jail.tracked.len(),
                total_failed: jail.total_failed,
                currently_banned,
                total_banned,
            }
        });
        let fixed = [(Origin::Hand, OriginId::HAND), (Origin::Adopted, OriginId::ADOPTED)];
        let fixed = fixed.map(|(origin, id)| (origin, self.origins.counts(id).0));
        let gone = self.origins.orphans().map(|(origin, bans)| (origin.clone(), bans));
        let room = Map::ALL.map(|map| (map, self.capacity.counts(map)));
        Status {
            jails: jails.collect(),
            others: fixed.into_iter().chain(gone).collect(),
            evicted: self.evicted,
            offenders: (self.history.len(), self.history.evicted()),
            logins: (self.customers.len(), self.customers.evicted()),
            room: room.map(|(map, (yielded, waiting))| (map, yielded, waiting)).into(),
            stale: self.stamps.stale().copied().collect(),
            tripped: self.fuses.tripped().cloned().collect(),
            outages: self.outages.current().cloned().collect(),
            attacks: self.accounts.attacks().len(),
            lists: self
                .lists
                .iter()
                .map(|list| ListStatus { name: list.name, banned: self.origins.counts(list.id).0, lags: list.lags() })
                .collect(),
        }
    }

    /// The accounts under attack, in no particular order.
    pub fn attacks(&self) -> impl Iterator<Item = &Attack> {
        self.accounts.attacks()
    }

    /// The next prefixes that a list bans, after one: for counting in slices what their entries have dropped.
    #[must_use]
    pub fn listed_slots(&self, name: ListName, after: Option<IpNet>, limit: usize) -> Vec<Slot> {
        let Some(list) = self.lists.iter().find(|list| list.name == name) else { return Vec::new() };
        let first = after.map_or(0, |after| list.prefixes.place_after(after));
        let slice = list.prefixes.iter().skip(first).take(limit);
        slice.map(|prefix| self.ledger.slot(prefix)).collect()
    }

    /// How many bans there are.
    #[must_use]
    pub fn bans_in_force(&self) -> usize {
        self.ledger.len()
    }

    /// The same for the bans that no list has made.
    #[must_use]
    pub fn bans(&self, after: Option<IpNet>, limit: usize) -> Page {
        self.bans_of(None, after, limit)
    }

    /// The first `limit` bans of the prefixes after `after`, and all others of the last of these prefixes: the bans of one
    /// prefix are at most one for each jail, and are never cut apart. Those of one list, or those of none.
    ///
    /// At most 50,000 bans are looked at, so that a page may be short, or empty, with more to come.
    #[must_use]
    pub fn bans_of(&self, list: Option<ListName>, after: Option<IpNet>, limit: usize) -> Page {
        let wanted = list.map(|name| self.lists.iter().find(|list| list.name == name).map(|list| list.id));
        let is_wanted = |id: OriginId| wanted.map_or(!id.is_list(), |wanted| wanted == Some(id));
        let mut keys = self.ledger.after(after.map(|prefix| Key { prefix, origin: OriginId::LAST })).peekable();
        let mut bans: Vec<Ban> = Vec::new();
        let (mut last, mut looked) = (None, 0_usize);
        while let Some((key, _)) = keys.peek() {
            if (bans.len() >= limit || looked >= LOOK_MAX) && last != Some(key.prefix) {
                return Page { bans, next: last };
            }
            last = Some(key.prefix);
            looked = looked.saturating_add(1);
            let next = keys.next().filter(|(key, _)| is_wanted(key.origin));
            bans.extend(next.map(|(key, record)| self.view(key, record)));
        }
        Page { bans, next: None }
    }

    /// Everything about one address.
    #[must_use]
    pub fn why(&self, address: IpAddr) -> Why<'_> {
        let now = self.offset.map_or(LogTime(0), |offset| offset.wall_at(self.now).as_log_time());
        let address = scope::canonical(address);
        let full = IpNet::from(address);
        let source = self.source(address);
        let tallies = self.jails.iter().enumerate().map(|(index, jail)| self.tally(index, jail, address, now));
        Why {
            address,
            source,
            protections: self.ledger.protections().covering(full).collect(),
            bans: self.ledger.covering(full).map(|(key, record)| self.view(key, record)).collect(),
            tallies: tallies.collect(),
            standing: self.standing(source, now),
            neighbourhood: self.neighbourhood(source),
            offences: [false, true].map(|observe| self.history.of(observe).get(source).as_deref().copied()),
            evidence: self.archive.get(source),
        }
    }

    fn tally(&self, index: usize, jail: &JailState, address: IpAddr, now: LogTime) -> Tally {
        let source = scope::source(address, self.policy.ipv6_prefix, |prefix| {
            self.ledger.protections().any_inside(prefix) || jail.protections.any_inside(prefix)
        });
        let measure = self.measure(index, source).map(|mut measure| {
            self.escalate(jail.jail.bantime, source, jail.jail.observe, now, &mut measure);
            measure
        });
        let tracked = jail.tracked.get(source);
        Tally {
            jail: Arc::clone(&jail.jail.name),
            failures: tracked.as_deref().map_or(0, Tracked::sum),
            limit: jail.limit(),
            weighed: measure.as_ref().map_or(0, |measure| measure.failures),
            bantime: measure.as_ref().map_or(jail.jail.bantime, |measure| measure.bantime),
            reasons: measure.map(|measure| measure.reasons).unwrap_or_default(),
            newest: tracked.as_deref().and_then(Aged::newest),
            protection: jail.protections.forbids(IpNet::from(address), false),
        }
    }

    fn standing(&self, source: IpNet, now: LogTime) -> Standing {
        let suspect = self.suspects.get(source);
        let tried = |counts: &dyn Fn(AccountTag) -> bool| {
            suspect.as_deref().map_or(0, |suspect| suspect.accounts(LogSeconds::default(), counts))
        };
        let shared = self.policy.customers.as_ref().map_or(0, |customers| usize::from(customers.shared));
        Standing {
            is_customer: self.customers.is_customer(source),
            accounts: self.customers.accounts(source, shared),
            is_shared: self.is_shared(source),
            is_spared: self.fuses.tripped().next().is_some(),
            tried: tried(&|_| true),
            attacked: tried(&|account| self.accounts.is_under_attack(account)),
            banned_before: self.history.former(source, false, now),
        }
    }

    fn neighbourhood(&self, source: IpNet) -> Option<Neighbourhood> {
        let policy = self.policy.prefixes?;
        let prefix = scope::neighbourhood(source, policy.ipv4, policy.ipv6)?;
        let members = self.neighbourhoods.members(prefix, self.policy.ipv6_prefix);
        let customers = self.customers.any_within(prefix);
        Some(Neighbourhood { prefix, members, limit: policy.members, customers })
    }

    /// What the kernel should have in one map, in the order of the prefixes, from the one after `after` on: for comparing in
    /// slices.
    pub fn entries(&self, map: Map, after: Option<IpNet>) -> impl Iterator<Item = Entry> {
        self.ledger.entries(map, after)
    }

    /// What the kernel should have at one key.
    #[must_use]
    pub fn entry(&self, slot: Slot) -> Option<Entry> {
        self.ledger.entry(slot)
    }

    /// Whether the entry at one key waits for room in its map.
    #[must_use]
    pub fn waits(&self, slot: Slot) -> bool {
        self.capacity.waits(slot)
    }

    pub(super) fn view(&self, key: Key, record: &Record) -> Ban {
        let slot = self.ledger.slot(key.prefix);
        Ban {
            prefix: key.prefix,
            origin: self.origins.origin(key.origin),
            services: record.services,
            since: record.since,
            until: record.until(),
            observe: record.observe,
            late: record.late,
            forced: self.ledger.protections().covering(key.prefix).next().is_some(),
            waits: self.waits(slot),
            members: self.raids.get(&key).map(|raid| raid.members.to_vec()).unwrap_or_default(),
            slot,
        }
    }
}
