//! Bans and unbans by hand.

use std::{fmt, net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{
    Judge,
    effect::{Effect, Until},
    ledger::{Key, Record},
    neighbours::{Neighbour, Neighbourhoods},
    origin::OriginId,
    policy::BanTime,
    protect::{Protection, Shown},
    report::Ended,
    scope,
    status::Ban,
};
use crate::{clock::Now, service::ServiceMask};

/// The shortest prefix that is banned without force: a registry gives out no larger blocks (IANA's IPv4 /8s; the RIRs' first
/// IPv6 allocations were /19s and shorter ones are rare).
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 19;

/// The protected prefixes that a ban may contain: each one takes an entry.
pub const PROTECTED_INSIDE_MAX: usize = 1024;

/// What an operator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address: what would be banned if it failed too often, so for IPv6 the /64 around it.
    Address(IpAddr),
    /// A prefix, as it is.
    Prefix(IpNet),
}

/// A ban that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRequest {
    /// Whom.
    pub target: Target,
    /// How long; the jail's `bantime` where it is not said.
    pub bantime: Option<BanTime>,
    /// From what; the jail's services where it is not said.
    pub services: Option<ServiceMask>,
    /// Whose `bantime` and services; the first jail's where it is not said. Its `observe` and `ignoreip` do not matter.
    pub jail: Option<String>,
    /// Ban even what is in `ignoreip`, is a gateway or a resolver, or is very wide. Such a ban stays until something else
    /// comes to protect it.
    pub force: bool,
}

/// A ban that was made by hand. It replaces an earlier one by hand of the same prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// The ban.
    pub ban: Ban,
    /// Protections that cover it, and that force overrode.
    pub overridden: Vec<Protection>,
    /// Protected prefixes inside it, which are not banned.
    pub protected_inside: Vec<Protection>,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// Why a prefix is not banned by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is protected.
    #[error(
        "{} is not banned: {protection}{}",
        Shown(*prefix),
        if protection.kind.yields_to_force() { "; --force bans it all the same" } else { "" }
    )]
    Protected {
        /// What was to be banned.
        prefix: IpNet,
        /// What protects it.
        protection: Protection,
    },
    /// It is very wide.
    #[error("{prefix} is wider than a /{widest}; --force bans it all the same")]
    TooWide {
        /// What was to be banned.
        prefix: IpNet,
        /// The shortest length that needs no force.
        widest: u8,
    },
    /// Too many prefixes inside it are protected.
    #[error("{prefix} contains more than {PROTECTED_INSIDE_MAX} protected prefixes; ban narrower ones")]
    TooManyProtected {
        /// What was to be banned.
        prefix: IpNet,
    },
    /// No jail has this name.
    #[error("there is no jail `{name}`; there are: {known}")]
    UnknownJail {
        /// As it was written.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// It would ban nobody.
    #[error("{0}")]
    Empty(Empty),
}

/// What is missing for a ban to mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// The length.
    Time,
    /// The services.
    Services,
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "a ban needs a length; say --for",
            Self::Services => "a ban needs a service to keep the source from; say --services",
        })
    }
}

/// What an unban did. Tallies of the sources in question are cleared in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbanned {
    /// The bans that were lifted. None: it was not banned.
    pub lifted: Vec<Ban>,
    /// The bans of other members of a prefix that was banned for many of them: they were made instead of that ban.
    pub instead: Vec<Ban>,
    /// Wider bans that still cover it.
    pub still: Vec<Ban>,
    /// Sources with failures that were forgotten, over all jails.
    pub forgotten: usize,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

impl Judge {
    /// Bans by hand.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn ban(&mut self, request: &BanRequest, now: Now) -> Result<Banned, Refusal> {
        let prefix = match request.target {
            Target::Address(address) => self.source(scope::canonical(address)),
            Target::Prefix(prefix) => scope::canonical_prefix(prefix),
        };
        let record = self.record(request, now)?;
        if let Some(protection) = self.ledger.protections().forbids(prefix, request.force) {
            return Err(Refusal::Protected { prefix, protection });
        }
        let widest = match prefix {
            IpNet::V4(_) => WIDEST_V4,
            IpNet::V6(_) => WIDEST_V6,
        };
        if prefix.prefix_len() < widest && !request.force {
            return Err(Refusal::TooWide { prefix, widest });
        }
        let inside = self.ledger.protections().inside(prefix);
        let protected_inside: Vec<_> = inside.take(PROTECTED_INSIDE_MAX.saturating_add(1)).collect();
        if protected_inside.len() > PROTECTED_INSIDE_MAX {
            return Err(Refusal::TooManyProtected { prefix });
        }
        let overridden: Vec<_> = self.ledger.protections().covering(prefix).collect();

        let mut effects = Vec::new();
        self.end_what_is_over(now, &mut effects);
        let key = Key { prefix, origin: OriginId::HAND };
        self.put(key, record, None, &mut effects);
        effects.push(self.banned(key, record, None, now));
        self.use_room(&mut effects);
        Ok(Banned { ban: self.view(key, &record), overridden, protected_inside, effects })
    }

    fn record(&self, request: &BanRequest, now: Now) -> Result<Record, Refusal> {
        let jail = match &request.jail {
            None => self.policy.jails.first(),
            Some(name) => Some(self.policy.jails.iter().find(|jail| *jail.name == **name).ok_or_else(|| {
                let known: Vec<&str> = self.policy.jails.iter().map(|jail| &*jail.name).collect();
                Refusal::UnknownJail { name: name.clone(), known: known.join(", ") }
            })?),
        };
        let services = request.services.or_else(|| jail.map(|jail| jail.services)).unwrap_or_default();
        if services.is_empty() {
            return Err(Refusal::Empty(Empty::Services));
        }
        let until = match request.bantime.or_else(|| jail.map(|jail| jail.bantime)) {
            Some(BanTime::Permanent) => Until::Permanent,
            Some(BanTime::For(length)) if length > Duration::ZERO => Until::Boot(now.boot + length),
            Some(BanTime::For(_)) | None => return Err(Refusal::Empty(Empty::Time)),
        };
        Ok(Record::new(now.boot, until, services, false))
    }

    /// Lifts the bans of exactly what is named, whoever made them, and forgets its failures. For an address that means the
    /// bans of every prefix that is judged as its source, and of the prefix around it where that was banned for many of its
    /// sources: the others of them stay banned, one by one.
    #[must_use]
    pub fn unban(&mut self, target: Target, now: Now) -> Unbanned {
        let prefixes: Vec<IpNet> = match target {
            Target::Address(address) => scope::candidates(scope::canonical(address), self.policy.ipv6_prefix).collect(),
            Target::Prefix(prefix) => vec![scope::canonical_prefix(prefix)],
        };
        let mut effects = Vec::new();
        self.end_what_is_over(now, &mut effects);
        let keys: Vec<(Key, Ban)> = prefixes
            .iter()
            .flat_map(|prefix| self.ledger.at(*prefix))
            // These follow their files alone, and would be back with the next start.
            .filter(|(key, _)| !key.origin.is_list())
            .map(|(key, record)| (key, self.view(key, record)))
            .collect();
        for (key, _) in &keys {
            self.lift(*key, Ended::ByHand, &mut effects);
        }
        let mut lifted: Vec<Ban> = keys.into_iter().map(|(_, ban)| ban).collect();
        let mut instead = Vec::new();
        if let Target::Address(address) = target {
            let full = IpNet::from(scope::canonical(address));
            for key in self.raids_around(full) {
                lifted.extend(self.ledger.get(key).map(|record| self.view(key, record)));
                instead.extend(self.split(key, full, now, &mut effects));
            }
        }
        self.use_room(&mut effects);
        let forgotten = self.forget_failures(&prefixes, target);
        let narrowest = prefixes.last().copied();
        let still = narrowest.into_iter().flat_map(|prefix| self.ledger.covering(prefix));
        Unbanned {
            still: still.map(|(key, record)| self.view(key, record)).collect(),
            lifted,
            instead,
            forgotten,
            effects,
        }
    }

    /// Ends all bans and forgets all failures: the kernel's maps are gone.
    pub fn detach(&mut self, now: Now) {
        let mut effects = Vec::new();
        self.end_what_is_over(now, &mut effects);
        let keys: Vec<Key> = self.ledger.after(None).map(|(key, _)| key).collect();
        self.lift_all(keys, Ended::Detached, &mut effects);
        self.neighbourhoods = Neighbourhoods::new();
        for jail in &mut self.jails {
            let sources: Vec<IpNet> = jail.tracked.iter().map(|(source, _)| source).collect();
            for source in sources {
                jail.tracked.remove(source);
            }
        }
        let suspects: Vec<IpNet> = self.suspects.sources().iter().map(|(source, _)| source).collect();
        for source in suspects {
            self.suspects.sources_mut().remove(source);
        }
        self.accounts.clear();
    }

    fn forget_failures(&mut self, prefixes: &[IpNet], target: Target) -> usize {
        if let Some(policy) = self.policy.prefixes {
            let around = |source| scope::neighbourhood(source, policy.ipv4, policy.ipv6);
            match target {
                Target::Prefix(prefix) => {
                    let prefix = scope::canonical_prefix(prefix);
                    self.neighbourhoods.remove_within(prefix, around(prefix));
                }
                Target::Address(_) => {
                    for source in prefixes {
                        let neighbour = around(*source).and_then(|prefix| Neighbour::of(*source, prefix));
                        neighbour.into_iter().for_each(|neighbour| self.neighbourhoods.remove_member(neighbour));
                    }
                }
            }
        }
        let mut forgotten = 0_usize;
        for jail in &mut self.jails {
            forgotten = forgotten.saturating_add(match target {
                Target::Prefix(prefix) => jail.tracked.remove_within(scope::canonical_prefix(prefix)),
                // The neighbours in its prefix that are judged by their full address keep theirs.
                Target::Address(_) => prefixes.iter().filter(|prefix| jail.tracked.remove(**prefix)).count(),
            });
        }
        let suspects = self.suspects.sources_mut();
        if let Target::Prefix(prefix) = target {
            suspects.remove_within(scope::canonical_prefix(prefix));
        }
        for prefix in prefixes {
            suspects.remove(*prefix);
        }
        forgotten
    }
}
