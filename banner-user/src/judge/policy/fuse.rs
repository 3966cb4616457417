//! When failures are taken for an outage.

use std::time::Duration;

use crate::event::FilterName;

/// Customers fail one after the other, and nobody gets in any more: nobody has guessed, something has broken. Only who logged in
/// lately moves the fuse, and only they are spared while it is tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fuse {
    /// So many customers, one after the other, who got in the last time and do not now. At least 2.
    pub customers: u16,
    /// The longest that this may take; and when nothing was heard of failing customers for so long, it is over.
    pub window: Duration,
    /// An alarm, no more: so many bans within a minute.
    pub bans: u32,
    /// Filters that tell of no logins: failures that they tell of do not move it. From the filters, not from the configuration.
    pub without_logins: Vec<FilterName>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { customers: 5, window: Duration::from_secs(10 * 60), bans: 1000, without_logins: Vec::new() }
    }
}
