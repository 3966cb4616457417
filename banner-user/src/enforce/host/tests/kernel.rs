//! What the kernel says, in a network namespace that each test makes.

use std::{cell::Cell, net::IpAddr, time::Duration};

use netlink_sys::AsyncSocket;
use tokio::time::timeout;

use super::{super::*, link};
use crate::enforce::namespace::{VETH, in_namespace, ip};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
    addresses.sort();
    addresses
}

async fn read() -> Snapshot {
    Host { resolv_conf: Vec::new() }.read().await.unwrap()
}

fn default_routes(host: &Snapshot) -> Vec<(Option<IpAddr>, &str)> {
    let mut routes: Vec<_> =
        host.default_routes.iter().map(|route| (route.gateway, host.link(route.link).unwrap().name.as_str())).collect();
    routes.sort_unstable();
    routes
}

#[test]
fn links_are_read_as_they_are() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            link property add dev mail0 altname a-name-longer-than-fifteen-bytes
            link set mail0 mtu 9000
            link add bridge0 type bridge
            link set peer0 master bridge0
            tuntap add tun0 mode tun
        ");
        let host = read().await;
        let mail = host.link_named("mail0").unwrap();
        let expected = Link {
            kind: Some("veth".to_owned()),
            alternative_names: vec!["a-name-longer-than-fifteen-bytes".to_owned()],
            mtu: 9000,
            ..link(mail.index, "mail0")
        };
        assert_eq!(*mail, expected);
        assert_eq!(host.link_named("a-name-longer-than-fifteen-bytes"), Some(mail));

        let bridge = host.link_named("bridge0").unwrap();
        assert_eq!((bridge.kind.as_deref(), bridge.up), (Some("bridge"), false));
        assert_eq!(host.link_named("peer0").unwrap().master, Some(bridge.index));
        assert_eq!(host.link_named("lo").unwrap().layer, LinkLayer::Loopback);
        assert_eq!(host.link_named("tun0").unwrap().layer, LinkLayer::Other(libc::ARPHRD_NONE));
        assert_eq!(host.link_named("mail1"), None);
    });
}

#[test]
fn own_addresses_are_read_and_those_of_peers_are_not() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            link set lo up
            address add 198.51.100.10/24 dev mail0
            address add 198.51.100.11/24 dev mail0
            address add 2001:db8::10/64 dev mail0 nodad
            address add 192.0.2.1 peer 192.0.2.2/32 dev peer0
            address add 2001:db8:1::1 peer 2001:db8:1::2/128 dev peer0 nodad
        ");
        let host = read().await;
        let mut own: Vec<IpAddr> = host.addresses.iter().map(|address| address.ip).collect();
        own.sort();
        let expected =
            ["127.0.0.1", "::1", "192.0.2.1", "198.51.100.10", "198.51.100.11", "2001:db8::10", "2001:db8:1::1"];
        assert_eq!(own, addresses(&expected));
    });
}

#[test]
fn default_routes_of_both_families_are_found_in_all_tables() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            address add 198.51.100.10/24 dev mail0
            address add 2001:db8::10/64 dev mail0 nodad
            address add 192.0.2.1/24 dev peer0
            route add default via 198.51.100.1
            route add default via 198.51.100.2 table 100
            route add default table 101 nexthop via 198.51.100.3 dev mail0 nexthop via 192.0.2.3 dev peer0
            route add 0.0.0.0/0 via inet6 fe80::4 dev mail0 table 102
            route add default table 1234567890 dev peer0
            nexthop add id 5 via 198.51.100.5 dev mail0
            route add default nhid 5 table 103
            route add default via 2001:db8::6
            route add default table 104 nexthop via 2001:db8::7 dev mail0 nexthop via fe80::8 dev peer0
            route add 203.0.113.0/24 via 198.51.100.99
            route add 0.0.0.0/1 via 198.51.100.99
            route add unreachable default metric 9999
            route add local default dev lo table 105
            route add unreachable ::/0 metric 9999
        ");
        let host = read().await;
        let expected = [
            (None, "peer0"),
            (Some("192.0.2.3"), "peer0"),
            (Some("198.51.100.1"), "mail0"),
            (Some("198.51.100.2"), "mail0"),
            (Some("198.51.100.3"), "mail0"),
            (Some("198.51.100.5"), "mail0"),
            (Some("2001:db8::6"), "mail0"),
            (Some("2001:db8::7"), "mail0"),
            (Some("fe80::4"), "mail0"),
            (Some("fe80::8"), "peer0"),
        ];
        assert_eq!(
            default_routes(&host),
            expected.map(|(gateway, link)| (gateway.map(|ip| ip.parse().unwrap()), link))
        );
        assert_eq!(
            select(&host, &Interfaces::Auto).unwrap().links.iter().map(|link| &link.name).collect::<Vec<_>>(),
            ["peer0", "mail0"]
        );
    });
}

/// There is one for every address, and a router's table has a million that lead somewhere.
#[test]
fn the_kernel_leaves_out_local_routes() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            address add 198.51.100.10/24 dev mail0
            route add default via 198.51.100.1
        ");
        let mut connection = Connection::open(&[]).unwrap();
        let count = |_: &[u8], found: &mut Vec<()>| {
            found.push(());
            Ok(())
        };
        let routes = connection.dump(route::request(AddressFamily::Inet), "routes", 10, count).await.unwrap();
        assert_eq!(routes.len(), 2, "the default route and that of the prefix");
    });
}

#[test]
fn a_long_list_comes_whole() {
    in_namespace(|| async {
        ip(VETH);
        ip(&many_addresses());
        let count = read().await.addresses.iter().filter(|address| address.ip.is_ipv4()).count();
        assert_eq!(count, MANY);
    });
}

const MANY: usize = 5000;

fn many_addresses() -> String {
    (0..MANY).map(|n| format!("address add 198.18.{}.{}/15 dev mail0\n", n / 250, n % 250 + 1)).collect()
}

#[test]
fn a_list_that_changes_while_it_is_read_is_not_believed() {
    in_namespace(|| async {
        ip(VETH);
        ip(&many_addresses());
        let changed = Cell::new(false);
        let change_once = |body: &[u8], found: &mut Vec<Address>| {
            if !changed.replace(true) {
                ip("address add 192.0.2.1/24 dev peer0");
            }
            address::decode(body, found)
        };
        let mut connection = Connection::open(&[]).unwrap();
        let interrupted = connection.dump(address::request(), "addresses", ADDRESSES_MAX, change_once).await;
        assert_eq!(interrupted, Err(HostError::Unsteady));
        let again = connection.dump(address::request(), "addresses", ADDRESSES_MAX, change_once).await;
        assert!(again.unwrap().len() > MANY);
    });
}

#[test]
fn a_list_beyond_its_bound_is_an_error_and_the_next_is_not() {
    in_namespace(|| async {
        ip(VETH);
        let mut connection = Connection::open(&[]).unwrap();
        let beyond = connection.dump(link::request(), "links", 2, link::decode).await;
        assert_eq!(beyond, Err(HostError::TooMany { what: "links", limit: 2 }));
        assert_eq!(connection.dump(link::request(), "links", 3, link::decode).await.unwrap().len(), 3);
    });
}

#[test]
fn a_refusal_of_the_kernel_is_an_error() {
    in_namespace(|| async {
        let mut request = netlink_packet_route::link::LinkMessage::default();
        request.header.change_mask = netlink_packet_route::link::LinkFlags::Up;
        let request = netlink_packet_route::RouteNetlinkMessage::GetLink(request);
        let refused = Connection::open(&[]).unwrap().dump(request, "links", 10, link::decode).await;
        assert_eq!(refused, Err(HostError::Transfer { what: "links", cause: Errno::EINVAL }));
    });
}

/// Longer than a change takes to be reported, by far.
const QUIET: Duration = Duration::from_millis(400);

/// The kernel reports a link that has come up at most once a second (net/core/link_watch.c).
async fn settled() -> Watch {
    let mut watch = Watch::open().unwrap();
    while timeout(Duration::from_millis(1500), watch.changed()).await.is_ok() {}
    watch
}

async fn is_quiet(watch: &mut Watch) -> bool {
    timeout(QUIET, watch.changed()).await.is_err()
}

#[test]
fn every_kind_of_change_wakes_once() {
    in_namespace(|| async {
        ip(VETH);
        ip("address add 198.51.100.10/24 dev mail0");
        let mut watch = settled().await;
        for change in [
            "link set mail0 mtu 1400",
            "link property add dev mail0 altname another",
            "address add 192.0.2.1/24 dev mail0",
            "address add 2001:db8::10/64 dev mail0 nodad",
            "address del 192.0.2.1/24 dev mail0",
            "route add default via 198.51.100.1",
            "route add default via 198.51.100.1 table 100",
            "route add default via 2001:db8::1",
            "route del default via 2001:db8::1",
        ] {
            ip(change);
            timeout(Duration::from_secs(1), watch.changed()).await.expect(change).unwrap();
            assert!(is_quiet(&mut watch).await, "twice: {change}");
        }
        ip("route add 203.0.113.0/24 via 198.51.100.99");
        assert!(is_quiet(&mut watch).await, "a route to somewhere changes nothing");
    });
}

#[test]
fn a_change_is_not_forgotten_with_a_dropped_future() {
    in_namespace(|| async {
        let mut watch = Watch::open().unwrap();
        ip("link add bridge0 type bridge");
        // Polled once each time: dropped while it waits, and while it gathers, unless this thread does not run just then.
        let mut most = 0;
        for mtu in 1400..1410 {
            let mut waits = 0;
            while timeout(Duration::ZERO, watch.changed()).await.is_err() {
                waits += 1;
                assert!(waits < 10_000_000);
                tokio::task::yield_now().await;
            }
            most = most.max(waits);
            ip(&format!("link set bridge0 mtu {mtu}"));
        }
        assert!(most > 1, "it was to be dropped while it gathers");
    });
}

#[test]
fn changes_that_do_not_cease_are_reported_all_the_same() {
    in_namespace(|| async {
        ip(VETH);
        let mut watch = Watch::open().unwrap();
        let mut changes = 0;
        while timeout(Duration::from_millis(10), watch.changed()).await.is_err() {
            changes += 1;
            assert!(changes < 200);
            ip(&format!("link set mail0 mtu {}", 1400 + changes));
        }
    });
}

#[test]
fn notifications_that_the_kernel_dropped_are_a_change() {
    in_namespace(|| async {
        ip(VETH);
        let mut watch = settled().await;
        watch.connection.socket.socket_ref().set_rx_buf_sz(1).unwrap();
        // None of these would count by itself, were it heard.
        ip("address add 198.51.100.10/24 dev mail0");
        watch.changed().await.unwrap();
        assert!(is_quiet(&mut watch).await);
        let routes: String =
            (0..1000).map(|n| format!("route add 198.18.{}.{} via 198.51.100.1\n", n / 250, n % 250)).collect();
        ip(&routes);
        timeout(Duration::from_secs(1), watch.changed()).await.expect("the kernel dropped some").unwrap();
        assert!(is_quiet(&mut watch).await);
    });
}
