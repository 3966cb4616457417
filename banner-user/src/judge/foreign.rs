//! Entries in the kernel that follow from no ban: others have written them. They are left until they end, unless they take
//! something away that must hold.

use std::fmt;

use super::{
    Judge,
    effect::{Entry, Slot},
    protect::{Protection, Shown},
};

/// Why an entry of somebody else's may not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It drops what is protected, or holds it inside.
    Protected(Protection),
    /// It is inside this banned prefix and lets through what the ban drops: a trie answers with the longest match alone.
    Hides(ipnet::IpNet),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(protection) => protection.fmt(f),
            Self::Hides(banned) => write!(f, "it takes the ban of {} out of force", Shown(*banned)),
        }
    }
}

impl Judge {
    /// What speaks against leaving an entry that follows from no ban, and that is not over.
    #[must_use]
    pub fn objection(&self, entry: &Entry) -> Option<Objection> {
        let prefix = entry.slot.prefix();
        if !entry.observe && !entry.services.is_empty() {
            let protections = self.ledger.protections();
            let touched = protections.covering(prefix).chain(protections.inside(prefix)).next();
            if let Some(protection) = touched {
                return Some(Objection::Protected(protection));
            }
        }
        if let Slot::V4(_) | Slot::V6(_) = entry.slot {
            return None; // Where a hash has nothing in force, the trie is asked all the same.
        }
        let hidden = self.ledger.covering(prefix).find(|(key, ban)| {
            matches!(self.ledger.slot(key.prefix), Slot::NetV4(_) | Slot::NetV6(_))
                && (ban.until() > entry.until
                    || !entry.services.contains(ban.services)
                    || (entry.observe && !ban.observe))
        });
        hidden.map(|(key, _)| Objection::Hides(key.prefix))
    }
}
