//! How little one source takes: 24 bytes, and what is known of it.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::pieces::Pieces;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// In the place of [`Entry::before`]: this one does not stand in the row.
pub(super) const APART: u32 = u32::MAX - 1;

/// A source and what is known of it. Entries are told by their places; a place says nothing of what stands there.
#[derive(Debug)]
pub(super) struct Entry<B> {
    /// The first 64 bits of the address, an IPv4 one's behind zeros; of a [`Kind::Long`] one, its place among the long ones.
    address: [u32; 2],
    length: u8,
    kind: Kind,
    /// It has changed since that was last asked.
    pub(super) has_changed: bool,
    /// Belongs to what is known, where that is brief.
    pub(super) mark: bool,
    /// The next one of the same bucket, or of those that are free.
    pub(super) chained: u32,
    /// The one next to it in age that is older, and the younger one.
    pub(super) before: u32,
    pub(super) after: u32,
    pub(super) stored: Stored<B>,
}

/// Where what is known of a source stands.
#[derive(Debug)]
pub(super) enum Stored<B> {
    /// Here.
    Brief(B),
    /// At this place among those that take more room.
    Long(u32),
}

/// What is in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Free,
    Four,
    /// At most 64 bits long, as nearly all are.
    Six,
    Long,
}

/// A source as it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    high: u64,
    low: u64,
    /// An IPv4 one's, or 64 more than an IPv6 one's.
    length: u8,
}

const SIX: u8 = 64;

impl Key {
    pub(super) fn of(source: IpNet) -> Self {
        match source {
            IpNet::V4(net) => Self { high: net.addr().to_bits().into(), low: 0, length: net.prefix_len() },
            IpNet::V6(net) => {
                let [a, b, c, d, e, f, g, h, low @ ..] = net.addr().octets();
                let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                Self { high, low: u64::from_be_bytes(low), length: net.prefix_len().saturating_add(SIX) }
            }
        }
    }

    /// All that tells it from others.
    pub(super) fn parts(self) -> [u64; 3] {
        [self.high, self.low, self.length.into()]
    }

    pub(super) fn source(self) -> IpNet {
        match self.length.checked_sub(SIX) {
            None => {
                let address = Ipv4Addr::from(u32::try_from(self.high).unwrap_or_default());
                IpNet::V4(Ipv4Net::new(address, self.length).unwrap_or_else(|_| address.into()))
            }
            Some(length) => {
                let address = Ipv6Addr::from(u128::from(self.high) << 64 | u128::from(self.low));
                IpNet::V6(Ipv6Net::new(address, length).unwrap_or_else(|_| address.into()))
            }
        }
    }

    fn kind(self) -> Kind {
        if self.length < SIX {
            Kind::Four
        } else if self.low == 0 {
            Kind::Six
        } else {
            Kind::Long
        }
    }
}

impl<B> Entry<B> {
    /// What is known of it is set afterwards.
    pub(super) fn new(key: Key, long: &mut Places<Key>) -> Self {
        let kind = key.kind();
        let address = if kind == Kind::Long { u64::from(long.take(key)) } else { key.high };
        Self {
            address: halves(address),
            length: key.length,
            kind,
            has_changed: false,
            mark: false,
            chained: NONE,
            before: NONE,
            after: NONE,
            stored: Stored::Long(NONE),
        }
    }

    /// Nobody's, from now on.
    pub(super) fn free(&mut self, long: &mut Places<Key>) {
        if self.kind == Kind::Long {
            long.give_back(self.address[1]);
        }
        self.kind = Kind::Free;
        self.has_changed = false;
    }

    pub(super) fn is_free(&self) -> bool {
        self.kind == Kind::Free
    }

    pub(super) fn is(&self, key: Key, long: &Places<Key>) -> bool {
        self.length == key.length
            && match self.kind {
                Kind::Free => false,
                Kind::Four | Kind::Six => key.low == 0 && self.address == halves(key.high),
                Kind::Long => long.get(self.address[1]) == Some(&key),
            }
    }

    pub(super) fn key(&self, long: &Places<Key>) -> Key {
        let [high, low] = self.address.map(u64::from);
        let here = Key { high: high << 32 | low, low: 0, length: self.length };
        if self.kind == Kind::Long { long.get(self.address[1]).copied().unwrap_or(here) } else { here }
    }
}

fn halves(address: u64) -> [u32; 2] {
    let [a, b, c, d, low @ ..] = address.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(low)]
}

/// Things that are told by their places.
#[derive(Debug)]
pub(super) struct Places<T> {
    things: Pieces<T>,
    free: Vec<u32>,
}

impl<T: Default> Places<T> {
    pub(super) const fn new() -> Self {
        Self { things: Pieces::new(), free: Vec::new() }
    }

    /// A place with this in it.
    pub(super) fn take(&mut self, thing: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.put(place, thing);
            return place;
        }
        let Ok(place) = u32::try_from(self.things.len()) else { return NONE };
        self.things.push(thing);
        place
    }

    pub(super) fn put(&mut self, place: u32, thing: T) {
        if let Some(former) = self.things.get_mut(place) {
            *former = thing;
        }
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.things.get(place)
    }

    /// What is there; the place remains its own.
    pub(super) fn take_out(&mut self, place: u32) -> T {
        self.things.get_mut(place).map(std::mem::take).unwrap_or_default()
    }

    /// The place is free again, and what was there is gone.
    pub(super) fn give_back(&mut self, place: u32) {
        if let Some(thing) = self.things.get_mut(place) {
            *thing = T::default();
            self.free.push(place);
        }
    }
}

impl Default for Key {
    fn default() -> Self {
        Self { high: 0, low: 0, length: SIX }
    }
}
