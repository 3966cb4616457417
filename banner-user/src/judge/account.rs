//! Accounts: the names that clients give, told apart by a number.

use std::num::NonZeroU32;

use siphasher::sip::SipHasher13;

use crate::event::{USER_MAX, User};

/// An account, whatever the case in which its name is written. Kept from run to run. Names are cut ([`USER_MAX`]); those that
/// begin alike and are longer count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u64);

impl AccountId {
    /// The account of a name that a client gave.
    #[must_use]
    pub fn of(user: &User) -> Self {
        // The key is none: who finds two names with one number gains nothing, since both are only names to guess at.
        let mut name = [0; USER_MAX];
        let name = name.get_mut(..user.as_bytes().len()).unwrap_or_default();
        name.iter_mut().zip(user.as_bytes()).for_each(|(lower, byte)| *lower = byte.to_ascii_lowercase());
        Self(SipHasher13::new().hash(name))
    }

    /// The upper half of it, for where a few accounts of one source are told apart.
    #[must_use]
    pub fn tag(self) -> AccountTag {
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        AccountTag(NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN))
    }
}

/// Tells the accounts of one source apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountTag(pub NonZeroU32);

impl AccountTag {
    pub(super) const MIN: Self = Self(NonZeroU32::MIN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_in_any_case_and_from_run_to_run() {
        let account = |name: &str| AccountId::of(&User::new(name.as_bytes()));
        assert_eq!(account("Alice@Example.ORG"), account("alice@example.org"));
        assert_ne!(account("alice"), account("bob"));
        assert_ne!(account("alice").tag(), account("bob").tag());
        assert_eq!(account("alice"), AccountId(1_274_268_231_354_930_753), "the state has such numbers");
    }
}
