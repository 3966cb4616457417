//! Bans of prefixes from which many sources fail.

use std::time::Duration;

/// Where many neighbours fail, the neighbourhood is banned: a rented network, or one whose customers' machines are taken over.
/// Never one in which anybody is ignored or has logged in lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// So many sources of one prefix that failed within `findtime`. 2 to [`MEMBERS_MAX`](crate::judge::MEMBERS_MAX).
    pub members: u16,
    /// How long they are remembered.
    pub findtime: Duration,
    /// How long the prefix is banned.
    pub bantime: Duration,
    /// Of how many bits an IPv4 prefix is; 8 to 31.
    pub ipv4: u8,
    /// Of how many bits an IPv6 prefix is; 32 to 63: the sources in it are /64s.
    pub ipv6: u8,
}

impl Default for Prefixes {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { members: 10, findtime: day, bantime: day, ipv4: 24, ipv6: 56 }
    }
}
