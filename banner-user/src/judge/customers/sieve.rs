//! Tells most strangers from those who may have logged in, without looking for them.

use super::address::Address;

/// Counters of the sieve, as a power of two: a megabyte, of which a sixth is in use when there are 200,000 logins.
const SIEVE_BITS: u32 = 20;

/// Counters of logins, each of many sources: where one is 0, nobody has logged in. One that has come to its end stays there.
#[derive(Debug)]
pub(super) struct Sieve(Box<[u8]>);

impl Default for Sieve {
    fn default() -> Self {
        Self(vec![0; 1 << SIEVE_BITS].into())
    }
}

impl Sieve {
    pub(super) fn may_have(&self, address: Address) -> bool {
        self.0.get(place(address)).is_none_or(|logins| *logins > 0)
    }

    pub(super) fn add(&mut self, address: Address) {
        if let Some(logins) = self.0.get_mut(place(address)) {
            *logins = logins.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, address: Address) {
        if let Some(logins) = self.0.get_mut(place(address)).filter(|logins| **logins < u8::MAX) {
            *logins = logins.saturating_sub(1);
        }
    }
}

/// Who finds addresses that share a counter with a customer's makes their lookups as long as a customer's.
fn place(Address(high, low): Address) -> usize {
    let mixed = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (64 - SIEVE_BITS)).unwrap_or(0)
}
