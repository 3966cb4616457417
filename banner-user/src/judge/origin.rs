//! Who made a ban: known for each one, so that bans can be told apart, counted and undone by their origin.

use std::{fmt, sync::Arc};

use super::list::ListName;

/// Who made a ban.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An operator.
    Hand,
    /// An earlier run of the daemon: it was found in the kernel at start, where the jail's name is not kept.
    Adopted,
    /// The jail of this name. It may have left the configuration since.
    Jail(Arc<str>),
    /// The list of this name.
    List(ListName),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hand => f.write_str("by hand"),
            Self::Adopted => f.write_str("by an earlier run"),
            Self::Jail(name) => write!(f, "by jail {name}"),
            Self::List(name) => write!(f, "by list {name}"),
        }
    }
}

/// An [`Origin`] in two bytes: a million bans carry it. Lists have the numbers from [`OriginId::LISTS`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OriginId(u16);

impl OriginId {
    pub(super) const HAND: Self = Self(0);
    pub(super) const ADOPTED: Self = Self(1);
    /// Bounds for ranges.
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self(u16::MAX);
    const LISTS: u16 = 1 << 15;

    /// Whether a list made the ban.
    pub(super) fn is_list(self) -> bool {
        self.0 >= Self::LISTS
    }
}

/// The names behind the numbers, and how many bans each origin has made.
///
/// A jail that leaves the configuration keeps its number until its last ban has ended; then a new jail may take it.
#[derive(Debug)]
pub(super) struct Origins {
    /// In the order of their numbers. `None` is free.
    known: Vec<Option<Known>>,
    /// Of the lists, in the same way.
    lists: Vec<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    origin: Origin,
    configured: bool,
    banned: usize,
    total_banned: u64,
}

impl Known {
    fn new(origin: Origin) -> Self {
        Self { origin, configured: true, banned: 0, total_banned: 0 }
    }
}

impl Origins {
    pub(super) fn new() -> Self {
        Self { known: vec![Some(Known::new(Origin::Hand)), Some(Known::new(Origin::Adopted))], lists: Vec::new() }
    }

    /// The numbers of the configured jails. Those of other jails become free once they have no ban.
    pub(super) fn configure<'a>(&mut self, jails: impl Iterator<Item = &'a Arc<str>>) -> Vec<OriginId> {
        for known in self.known.iter_mut().flatten() {
            known.configured = !matches!(known.origin, Origin::Jail(_));
        }
        let ids: Vec<Option<OriginId>> = jails.map(|name| self.register(Origin::Jail(Arc::clone(name)))).collect();
        self.free();
        // A configuration has no 32,766 jails; were it so, those beyond would share one number and so their counts.
        ids.into_iter().map(|id| id.unwrap_or(OriginId(OriginId::LISTS.saturating_sub(1)))).collect()
    }

    pub(super) fn origin(&self, id: OriginId) -> Origin {
        self.known(id).map_or(Origin::Adopted, |known| known.origin.clone())
    }

    /// How many bans are in force, and how many there have been.
    pub(super) fn counts(&self, id: OriginId) -> (usize, u64) {
        self.known(id).map_or((0, 0), |known| (known.banned, known.total_banned))
    }

    /// Origins with a ban that are not configured (any more).
    pub(super) fn orphans(&self) -> impl Iterator<Item = (&Origin, usize)> {
        self.known
            .iter()
            .flatten()
            .filter(|known| !known.configured && known.banned > 0)
            .map(|known| (&known.origin, known.banned))
    }

    pub(super) fn banned(&mut self, id: OriginId) {
        if let Some(known) = self.known_mut(id) {
            known.banned = known.banned.saturating_add(1);
            known.total_banned = known.total_banned.saturating_add(1);
        }
    }

    pub(super) fn ended(&mut self, id: OriginId) {
        if let Some(known) = self.known_mut(id) {
            known.banned = known.banned.saturating_sub(1);
        }
        self.free();
    }

    /// The number of an origin that made bans in an earlier run; a jail may have left the configuration since.
    pub(super) fn of_earlier_run(&mut self, origin: Origin) -> Option<OriginId> {
        let is_known = self.known.iter().flatten().any(|known| known.origin == origin);
        let id = self.register(origin)?;
        if !is_known {
            self.known_mut(id)?.configured = false;
        }
        Some(id)
    }

    /// A ban of an earlier run goes on.
    pub(super) fn goes_on(&mut self, id: OriginId) {
        if let Some(known) = self.known_mut(id) {
            known.banned = known.banned.saturating_add(1);
        }
    }

    /// The number of a list.
    pub(super) fn list(&mut self, name: ListName) -> Option<OriginId> {
        self.register(Origin::List(name))
    }

    /// A list is gone, and so are its bans.
    pub(super) fn unlist(&mut self, id: OriginId) {
        if let Some(known) = self.known_mut(id) {
            known.configured = false;
        }
        self.free();
    }

    fn register(&mut self, origin: Origin) -> Option<OriginId> {
        let (known, first) = match origin {
            Origin::List(_) => (&mut self.lists, OriginId::LISTS),
            Origin::Hand | Origin::Adopted | Origin::Jail(_) => (&mut self.known, 0),
        };
        let same = known.iter().position(|known| known.as_ref().is_some_and(|known| known.origin == origin));
        let index = match same.or_else(|| known.iter().position(Option::is_none)) {
            Some(index) => index,
            None => {
                known.push(None);
                known.len().saturating_sub(1)
            }
        };
        let id = u16::try_from(index).ok()?.checked_add(first)?;
        let slot = known.get_mut(index)?;
        match slot {
            Some(known) => known.configured = true,
            None => *slot = Some(Known::new(origin)),
        }
        Some(OriginId(id))
    }

    fn free(&mut self) {
        for known in self.known.iter_mut().chain(&mut self.lists) {
            if known.as_ref().is_some_and(|known| !known.configured && known.banned == 0) {
                *known = None;
            }
        }
    }

    fn known(&self, id: OriginId) -> Option<&Known> {
        let (known, place) =
            if id.is_list() { (&self.lists, id.0.saturating_sub(OriginId::LISTS)) } else { (&self.known, id.0) };
        known.get(usize::from(place)).and_then(Option::as_ref)
    }

    fn known_mut(&mut self, id: OriginId) -> Option<&mut Known> {
        let lists = OriginId::LISTS;
        let (known, place) =
            if id.is_list() { (&mut self.lists, id.0.saturating_sub(lists)) } else { (&mut self.known, id.0) };
        known.get_mut(usize::from(place)).and_then(Option::as_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_jail_keeps_its_number_until_its_last_ban_ends() {
        let names: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
        let mut origins = Origins::new();
        let ids = origins.configure(names.iter().take(2));
        let [a, b] = ids[..] else { panic!("two jails, two numbers") };
        origins.banned(a);
        assert_eq!(origins.configure(names.iter().skip(1).take(1)), [b]);
        assert_eq!(origins.origin(a), Origin::Jail("a".into()));
        assert_eq!(origins.orphans().collect::<Vec<_>>(), [(&Origin::Jail("a".into()), 1)]);
        let with_c = origins.configure(names.iter().skip(1));
        assert!(!with_c.contains(&a), "the number is still in use");
        origins.ended(a);
        assert_eq!(origins.configure(names.iter().skip(1)), with_c, "c keeps its own");
        assert_eq!(origins.configure(names.iter()).first(), Some(&a), "and a's is free to be given again");
    }

    #[test]
    fn a_jail_that_stays_keeps_its_counts() {
        let name: Arc<str> = "mail".into();
        let mut origins = Origins::new();
        let id = origins.configure([&name].into_iter())[0];
        origins.banned(id);
        origins.banned(id);
        origins.ended(id);
        assert_eq!(origins.configure([&name].into_iter()), [id]);
        assert_eq!(origins.counts(id), (1, 2));
    }
}
