//! What others write into the maps.

use super::*;
use crate::{
    clock::BootTime,
    judge::effect::{Entry, Slot, Until},
};

#[test]
fn an_entry_of_somebody_elses_stands_unless_it_drops_what_is_protected_or_hides_a_ban() {
    let mut world = check(
        "0 own 192.0.2.1 2001:db8:5::1
         0 ignoreip 198.51.100.0/24",
    );
    for banned in ["203.0.113.0/24", "2001:db8:1::/48", "203.0.112.7/32"] {
        let _effects = world.hand(banned, 0);
    }
    let (far, near) = (Until::Permanent, Until::Boot(BootTime(1_000_000_000)));
    let none = ServiceMask::NONE;
    let hash = |prefix: &str| Slot::exact(prefix.parse().unwrap()).unwrap();
    let trie = |prefix: &str| Slot::net(prefix.parse().unwrap());
    let table = [
        // What it drops.
        (hash("203.0.112.9/32"), MAIL, far, false, None),
        (hash("192.0.2.1/32"), MAIL, far, false, Some("192.0.2.1 is an address of this host")),
        (hash("192.0.2.1/32"), none, far, false, None),
        (hash("192.0.2.1/32"), MAIL, far, true, None),
        (hash("198.51.100.9/32"), SMTP, near, false, Some("198.51.100.0/24 is in ignoreip")),
        (hash("2001:db8:5::/64"), MAIL, far, false, Some("2001:db8:5::1 is an address of this host")),
        (hash("2001:db8:6::/64"), MAIL, far, false, None),
        (trie("192.0.2.0/24"), MAIL, far, false, Some("192.0.2.1 is an address of this host")),
        (trie("198.51.100.128/25"), MAIL, far, false, Some("198.51.100.0/24 is in ignoreip")),
        (trie("203.0.112.0/25"), MAIL, far, false, None),
        // What it lets through.
        (trie("203.0.113.7/32"), MAIL, far, false, None),
        (trie("203.0.113.7/32"), SMTP, far, false, Some("it takes the ban of 203.0.113.0/24 out of force")),
        (trie("203.0.113.7/32"), MAIL, near, false, Some("it takes the ban of 203.0.113.0/24 out of force")),
        (trie("203.0.113.7/32"), MAIL, far, true, Some("it takes the ban of 203.0.113.0/24 out of force")),
        (trie("203.0.113.7/32"), none, far, false, Some("it takes the ban of 203.0.113.0/24 out of force")),
        (trie("2001:db8:1:2::/64"), none, far, false, Some("it takes the ban of 2001:db8:1::/48 out of force")),
        // A hash is asked first, and what it has not in force does not hide the trie.
        (hash("203.0.113.7/32"), none, far, false, None),
        (hash("2001:db8:1:2::/64"), SMTP, near, false, None),
        (trie("203.0.112.7/32"), none, far, false, None),
    ];
    for (slot, services, until, observe, objection) in table {
        let entry = Entry { slot, services, until, observe, manual: false, listed: false, protected: false };
        let said = world.judge.objection(&entry).map(|objection| objection.to_string());
        assert_eq!(said.as_deref(), objection, "{entry:?}");
    }
}
