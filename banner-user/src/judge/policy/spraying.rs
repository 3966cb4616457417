//! What follows from failures on many accounts.

use std::time::Duration;

/// Who tries one password on many accounts guesses; who mistypes does so on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spraying {
    /// Failures on so many different accounts within `findtime` ban, where none of them logged in from there. At least 3, at most
    /// [`TRIES_MAX`](crate::judge::TRIES_MAX).
    pub accounts: u16,
    /// How long they are remembered.
    pub findtime: Duration,
    /// For so long at least.
    pub bantime: Duration,
}

impl Default for Spraying {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { accounts: 5, findtime: day, bantime: day }
    }
}
