use super::*;
use crate::enforce::host::{
    DefaultRoute, LinkLayer,
    tests::{link, snapshot},
};

fn host() -> Snapshot {
    let of = |index, name: &str, kind: &str| Link { kind: Some(kind.to_owned()), ..link(index, name) };
    let tunnel = LinkLayer::Other(libc::ARPHRD_NONE);
    snapshot([
        Link { layer: LinkLayer::Loopback, ..link(1, "lo") },
        Link { alternative_names: vec!["enp3s0".to_owned()], ..link(2, "eth0") },
        link(3, "eth1"),
        Link { layer: tunnel, ..of(4, "wg0", "wireguard") },
        of(5, "vrf-blue", "vrf"),
        of(6, "eth0.100", "vlan"),
        of(7, "br0", "bridge"),
        of(8, "bond0", "bond"),
        Link { master: Some(7), up: false, ..link(9, "eth2") },
        Link { master: Some(8), ..link(10, "eth3") },
        Link { master: Some(5), ..link(11, "eth4") },
    ])
}

fn with_default_routes(links: &[u32]) -> Snapshot {
    let default_routes = links.iter().map(|link| DefaultRoute { gateway: None, link: *link }).collect();
    Snapshot { default_routes, ..host() }
}

fn named<const N: usize>(names: [&str; N]) -> Interfaces {
    Interfaces::Named(names.map(str::to_owned).into())
}

/// The selected names, and everything that is said.
fn outcome(host: &Snapshot, interfaces: &Interfaces) -> (Vec<String>, Vec<String>) {
    match select(host, interfaces) {
        Ok(selection) => (
            selection.links.into_iter().map(|link| link.name).collect(),
            selection.notes.iter().map(ToString::to_string).collect(),
        ),
        Err(error) => (Vec::new(), vec![error.to_string()]),
    }
}

#[track_caller]
fn assert_outcome(host: &Snapshot, interfaces: &Interfaces, links: &[&str], said: &[&str]) {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    assert_eq!(outcome(host, interfaces), (owned(links), owned(said)));
}

#[test]
fn auto_takes_the_links_of_the_default_routes() {
    let table: &[(&[u32], &[&str], &[&str])] = &[
        (&[2], &["eth0"], &[]),
        (&[3, 2, 3, 2], &["eth0", "eth1"], &[]),
        (&[2, 99], &["eth0"], &[]),
        (
            &[2, 4, 1],
            &["eth0"],
            &[
                "lo has a default route and is not guarded: it is the loopback device",
                "wg0 has a default route and is not guarded: its packets have no Ethernet header \
                 (bare IP, as of tun or WireGuard)",
            ],
        ),
        (&[6], &["eth0.100"], &["eth0.100 (vlan) runs XDP in generic mode only"]),
        (&[8], &["bond0"], &[]),
        (
            &[],
            &[],
            &["no default route, so that `interface = \"auto\"` finds nothing to guard; name the interface: \
               eth0, eth1, eth0.100, br0, bond0, eth2, eth3, eth4"],
        ),
        (
            &[4],
            &[],
            &[
                "no interface with a default route can be guarded (wg0 has a default route and is not guarded: its packets \
               have no Ethernet header (bare IP, as of tun or WireGuard)); name another one: \
               eth0, eth1, eth0.100, br0, bond0, eth2, eth3, eth4",
            ],
        ),
    ];
    for (routes, links, said) in table {
        assert_outcome(&with_default_routes(routes), &Interfaces::Auto, links, said);
    }
}

#[test]
fn named_links_are_taken_whatever_the_routes() {
    let host = host();
    assert_outcome(&host, &named(["eth1", "eth0"]), &["eth1", "eth0"], &[]);
    assert_outcome(&host, &named(["eth0", "enp3s0", "eth0"]), &["eth0"], &[]);
    assert_outcome(&host, &named(["lo"]), &["lo"], &["lo (loopback) runs XDP in generic mode only"]);
    assert_outcome(&host, &named(["eth4"]), &["eth4"], &[]);
}

#[test]
fn what_a_link_cannot_do_is_said() {
    let table: &[(&str, &[&str])] = &[
        (
            "eth2",
            &[
                "eth2 is a port of bridge br0: banned sources cannot send mail to the hosts behind br0 either",
                "eth2 is down",
            ],
        ),
        (
            "eth3",
            &["eth3 is a port of bond0: what comes in by its other ports is not guarded; \
               name bond0 or all of its ports"],
        ),
        ("br0", &["br0 (bridge) runs XDP in generic mode only"]),
    ];
    for (name, said) in table {
        assert_outcome(&host(), &named([name]), &[name], said);
    }
}

#[test]
fn a_link_that_cannot_be_guarded_is_refused_with_the_reason() {
    let table = [
        (
            "wg0",
            "interface `wg0` cannot be guarded: its packets have no Ethernet header (bare IP, as of tun or WireGuard)",
        ),
        ("vrf-blue", "interface `vrf-blue` cannot be guarded: it is a VRF and receives nothing itself; name its ports"),
    ];
    for (name, said) in table {
        assert_outcome(&host(), &named(["eth0", name]), &[], &[said]);
    }
    assert_outcome(
        &host(),
        &Interfaces::Named(Vec::new()),
        &[],
        &["the list of interfaces is empty; name at least one, or write `interface = \"auto\"`"],
    );
}

#[test]
fn a_name_that_no_link_has_is_answered_with_those_that_exist() {
    let missing = |name: &str, nearest: Option<&str>| SelectError::Missing {
        name: name.to_owned(),
        nearest: nearest.map(str::to_owned),
        existing: ["eth0", "eth1"].map(str::to_owned).into(),
    };
    let host = snapshot([Link { layer: LinkLayer::Loopback, ..link(1, "lo") }, link(2, "eth0"), link(3, "eth1")]);
    let table = [
        ("eht0", Some("eth0"), "no interface `eht0`, did you mean `eth0`? there are: eth0, eth1"),
        ("wlan", None, "no interface `wlan`; there are: eth0, eth1"),
        ("", None, "no interface ``; there are: eth0, eth1"),
        ("\0", None, "no interface `\\0`; there are: eth0, eth1"),
        ("\u{1b}[2J", None, "no interface `\\u{1b}[2J`; there are: eth0, eth1"),
    ];
    for (name, nearest, said) in table {
        let error = select(&host, &named([name])).unwrap_err();
        assert_eq!(error.to_string(), said);
        assert_eq!(error, missing(name, nearest));
    }
}

#[test]
fn a_long_list_of_interfaces_is_cut() {
    let host = Snapshot { links: (1..=40).map(|n| link(n, &format!("veth{n}"))).collect(), ..Snapshot::default() };
    let said = select(&host, &Interfaces::Auto).unwrap_err().to_string();
    assert!(said.ends_with("veth15, veth16 and 24 more"), "{said}");
}
