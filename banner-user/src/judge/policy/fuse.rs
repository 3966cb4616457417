//! When failures are taken for an outage.

use std::time::Duration;

/// Known customers fail while logins vanish: nobody has guessed, something has broken. Only who logged in lately moves the fuse,
/// and only they are spared while it is tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fuse {
    /// So many customers that fail within `window`. At least 2.
    pub customers: u16,
    /// Of a hundred customers heard of within `window`, so many that fail. 51 to 100.
    pub percent: u8,
    /// How long customers are looked back at; and for so long after the last sign it stays tripped.
    pub window: Duration,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { customers: 5, percent: 80, window: Duration::from_secs(2 * 60) }
    }
}
