//! The last login of each address, for a day: a ban that begins now may be that of somebody who has logged in before.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{AROUND, ban::Login};
use crate::clock::WallTime;

/// Addresses that are remembered; beyond, the one that was heard of longest ago is forgotten, and its bans may go unflagged.
const ADDRESSES_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Logins {
    last: BTreeMap<IpAddr, Login>,
    /// Each address once, with a login of it that need not be its last.
    order: VecDeque<(WallTime, IpAddr)>,
}

impl Logins {
    pub(super) fn note(&mut self, login: Login) {
        let (at, address) = (login.at, login.address);
        if self.last.insert(address, login).is_none() {
            self.order.push_back((at, address));
        }
        self.forget(at);
    }

    /// The last login from a prefix, where it was less than a day ago.
    pub(super) fn last_of(&self, prefix: IpNet, now: WallTime) -> Option<Login> {
        let logins = self.last.range(prefix.network()..=prefix.broadcast()).map(|(_, login)| login);
        logins.filter(|login| is_recent(login.at, now)).max_by_key(|login| login.at).cloned()
    }

    fn forget(&mut self, now: WallTime) {
        while let Some((noted, address)) = self.order.front().copied() {
            if is_recent(noted, now) && self.order.len() <= ADDRESSES_MAX {
                break;
            }
            self.order.pop_front();
            match self.last.get(&address) {
                Some(login) if login.at > noted => self.order.push_back((login.at, address)),
                _ => drop(self.last.remove(&address)),
            }
        }
    }
}

fn is_recent(at: WallTime, now: WallTime) -> bool {
    now.as_log_time().distance(at.as_log_time()) <= AROUND
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Moment;

    const HOUR: i64 = 3_600_000_000;

    fn login(address: &str, hour: i64) -> Login {
        let at = WallTime(hour * HOUR);
        Login { at, address: address.parse().unwrap(), user: None, filter: "cyrus".into(), moment: Moment::Before }
    }

    #[test]
    fn the_last_login_of_a_prefix_is_known_for_a_day() {
        let mut logins = Logins::default();
        for (address, hour) in [("2001:db8::1", 1), ("2001:db8::2", 2), ("2001:db8:0:1::1", 3), ("192.0.2.1", 4)] {
            logins.note(login(address, hour));
        }
        let last = |prefix: &str, hour: i64| {
            logins.last_of(prefix.parse().unwrap(), WallTime(hour * HOUR)).map(|login| login.address.to_string())
        };
        assert_eq!(last("2001:db8::/64", 5).as_deref(), Some("2001:db8::2"));
        assert_eq!(last("2001:db8::1/128", 5).as_deref(), Some("2001:db8::1"));
        assert_eq!(last("192.0.2.1/32", 28).as_deref(), Some("192.0.2.1"));
        assert_eq!(last("192.0.2.1/32", 29), None, "more than a day ago");
        assert_eq!(last("192.0.2.2/32", 5), None);
    }

    #[test]
    fn who_logs_in_every_hour_is_kept_once_and_who_does_not_is_forgotten() {
        let mut logins = Logins::default();
        logins.note(login("192.0.2.9", 0));
        for hour in 1..100 {
            logins.note(login("192.0.2.1", hour));
        }
        assert_eq!((logins.last.len(), logins.order.len()), (1, 1));
        assert!(logins.last_of("192.0.2.1/32".parse().unwrap(), WallTime(100 * HOUR)).is_some());
    }
}
