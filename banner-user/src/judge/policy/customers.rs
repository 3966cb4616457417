//! What is granted to who logged in lately.

use std::time::Duration;

/// Who logged in lately is a customer: somebody mistypes there, and nobody guesses. What is granted for it is bounded, since an
/// attacker who has stolen one password logs in as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customers {
    /// For so long a login is remembered.
    pub remember: Duration,
    /// Failures on an account that logged in from the same source weigh half: the limit is at most doubled. Without, as much as
    /// any.
    pub raise: bool,
    /// How long the first ban of a customer lasts, and every one of a shared source, where the jail's is longer.
    pub bantime: Duration,
    /// From so many accounts that logged in on, a source is shared: a webmail server, an office, a carrier's gateway.
    pub shared: u16,
    /// A login forgets all failures of its source. An attacker with one good password then guesses on for ever.
    pub clear: bool,
}

impl Default for Customers {
    fn default() -> Self {
        Self {
            remember: Duration::from_secs(7 * 24 * 60 * 60),
            raise: true,
            bantime: Duration::from_secs(2 * 60),
            shared: 5,
            clear: false,
        }
    }
}
