//! Lists of prefixes that are never banned, or always: what a file of the operator's says, as the judge holds it.

use std::{fmt, sync::Arc};

use ipnet::IpNet;

use super::{prefix::range, scope::canonical_prefix};
use crate::service::ServiceMask;

/// The name of a list: at most [`ListName::LONGEST`] bytes, kept in place so that a reason which names it can be copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName {
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl ListName {
    /// What `config` takes for a name at most.
    pub const LONGEST: usize = 32;

    /// The name; cut where it is longer, and to its ASCII characters.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let mut length = 0_u8;
        for (to, from) in bytes.iter_mut().zip(name.bytes().filter(u8::is_ascii_graphic)) {
            *to = from;
            length = length.saturating_add(1);
        }
        Self { bytes, length }
    }

    /// As the operator wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.length)).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Prefixes in their order, none inside another: 18 bytes each, shared by all who hold them, and each question is one binary
/// search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes(Arc<[IpNet]>);

impl Prefixes {
    /// Sorts them. What is inside another says nothing that the other does not, and is left out.
    #[must_use]
    pub fn new(mut prefixes: Vec<IpNet>) -> Self {
        for prefix in &mut prefixes {
            *prefix = canonical_prefix(*prefix);
        }
        prefixes.sort_unstable();
        let mut last: Option<IpNet> = None;
        prefixes.retain(|prefix| {
            let is_new = last.is_none_or(|last| !last.contains(prefix));
            if is_new {
                last = Some(*prefix);
            }
            is_new
        });
        Self(prefixes.into())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().copied()
    }

    /// The one at a place in their order.
    pub(super) fn at(&self, index: usize) -> Option<IpNet> {
        self.0.get(index).copied()
    }

    /// Whether both are the same piece of memory: then nothing has to be compared.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn place_after(&self, after: IpNet) -> usize {
        self.0.partition_point(|known| *known <= after)
    }

    pub(super) fn has(&self, prefix: IpNet) -> bool {
        self.0.binary_search(&prefix).is_ok()
    }

    /// The one that covers a prefix, which may be that itself.
    pub(super) fn covering(&self, prefix: IpNet) -> Option<IpNet> {
        let next = self.0.partition_point(|known| *known <= prefix);
        self.0.get(next.checked_sub(1)?).copied().filter(|known| known.contains(&prefix))
    }

    /// Those inside a prefix, itself among them.
    pub(super) fn within(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> {
        let last = *range(prefix).end();
        self.from(prefix).take_while(move |known| *known <= last)
    }

    /// Those that are not before a prefix.
    pub(super) fn from(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> {
        let first = self.0.partition_point(|known| *known < prefix);
        self.0.get(first..).unwrap_or_default().iter().copied()
    }
}

impl FromIterator<IpNet> for Prefixes {
    fn from_iter<T: IntoIterator<Item = IpNet>>(prefixes: T) -> Self {
        Self::new(prefixes.into_iter().collect())
    }
}

/// What is done with the prefixes of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListAction {
    /// They are banned while they are listed.
    Ban {
        /// From what.
        services: ServiceMask,
        /// Count in the kernel what would be dropped, and pass it.
        observe: bool,
    },
    /// They are never banned.
    Ignore,
}

/// A list as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// As the operator named it: unique.
    pub name: ListName,
    /// What it means.
    pub action: ListAction,
    /// Its prefixes. `None`: its file could not be read at the start, so that what an earlier run had made of it is what is
    /// known.
    pub prefixes: Option<Prefixes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn prefixes(texts: &[&str]) -> Prefixes {
        texts.iter().map(|text| net(text)).collect()
    }

    #[test]
    fn what_is_inside_another_is_left_out_and_what_touches_it_is_not_joined() {
        let list = prefixes(&[
            "192.0.2.128/25",
            "10.1.0.0/16",
            "10.0.0.0/8",
            "10.255.255.255/32",
            "192.0.2.0/25",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "10.0.0.0/8",
            "::ffff:198.51.100.0/120",
        ]);
        let shown: Vec<String> = list.iter().map(|net| net.to_string()).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.0/25", "192.0.2.128/25", "198.51.100.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn what_covers_and_what_is_inside_is_found() {
        let list = prefixes(&["10.0.0.0/8", "192.0.2.0/25", "192.0.2.200/32", "2001:db8::/32"]);
        for (asked, covering, within) in [
            ("10.0.0.0/32", Some("10.0.0.0/8"), vec![]),
            ("10.255.255.255/32", Some("10.0.0.0/8"), vec![]),
            ("10.0.0.0/8", Some("10.0.0.0/8"), vec!["10.0.0.0/8"]),
            ("9.255.255.255/32", None, vec![]),
            ("11.0.0.0/32", None, vec![]),
            ("192.0.2.0/24", None, vec!["192.0.2.0/25", "192.0.2.200/32"]),
            ("192.0.2.128/32", None, vec![]),
            ("0.0.0.0/0", None, vec!["10.0.0.0/8", "192.0.2.0/25", "192.0.2.200/32"]),
            ("2001:db8:ffff::/64", Some("2001:db8::/32"), vec![]),
            ("::/0", None, vec!["2001:db8::/32"]),
        ] {
            assert_eq!(list.covering(net(asked)), covering.map(net), "{asked}");
            assert_eq!(list.within(net(asked)).collect::<Vec<_>>(), within.into_iter().map(net).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_name_is_kept_as_it_is() {
        assert_eq!(ListName::new("spamhaus-drop_4").as_str(), "spamhaus-drop_4");
        assert_eq!(ListName::new(&"x".repeat(40)).as_str(), "x".repeat(32));
    }
}
