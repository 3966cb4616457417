//! Who fails: sources by number, and how often each of them has failed so far.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// So many failures ban.
pub(crate) const MAXRETRY: usize = 3;

/// A source, and when its lines were written.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) address: IpAddr,
    /// How many lines there will be of it.
    pub(crate) planned: usize,
    /// Just before each line was written.
    pub(crate) written: Vec<Duration>,
}

impl Source {
    /// When it reached the limit.
    pub(crate) fn over_the_limit(&self) -> Option<Duration> {
        self.written.get(MAXRETRY - 1).copied()
    }
}

/// Every so manyth number is a source of IPv6.
pub(crate) const EVERY_IPV6: usize = 4;

/// The address with this number, of IPv6 each in a /64 of its own.
pub(crate) fn address(number: u16) -> IpAddr {
    if usize::from(number).is_multiple_of(EVERY_IPV6) {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, number, 0, 0, 0, 1))
    } else {
        let [high, low] = number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
    }
}

/// What stands for an address in the kernel's maps and in what `banner` prints: itself, or the beginning of its /64.
pub(crate) fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// What `banner` calls the ban of an address.
pub(crate) fn prefix(address: IpAddr) -> String {
    match key(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

/// All sources, which the writer writes about and traffic comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Arc<Mutex<Vec<Source>>>);

impl Sources {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Source>> {
        // Whoever panicked fails the test by that.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
