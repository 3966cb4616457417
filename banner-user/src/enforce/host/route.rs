//! Default routes: which links lead out, and who the gateways are.

use std::net::IpAddr;

use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteLwEnCapType, RouteMessage, RouteType, RouteVia},
};

use super::netlink::attributes;

/// include/uapi/linux/rtnetlink.h; libc has it for glibc alone.
const RTA_VIA: u16 = 18;

/// One next hop of a default route: where packets for everywhere go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The router; none where the link itself is the way (a tunnel, a point-to-point link). Of an IPv4 route it may be
    /// IPv6 (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// The index of the link.
    pub link: u32,
}

/// Asks for the routes of one family in all tables that lead somewhere: the kernel leaves out the local, broadcast and
/// unreachable ones. It can filter by type and table but not by destination (ip_valid_fib_dump_req in
/// net/ipv4/fib_frontend.c).
pub(super) fn request(family: AddressFamily) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.kind = RouteType::Unicast;
    RouteNetlinkMessage::GetRoute(message)
}

/// Decodes the body of an `RTM_NEWROUTE`: adds the next hops where it is a default route of `family`, and nothing
/// otherwise.
///
/// A kernel without IPv6 answers with all the families that it has. A route over a next-hop object repeats the object's
/// hops, unless the sysctl net.ipv4.nexthop_compat_mode is 0; then they are not seen here.
pub(super) fn decode(body: &[u8], family: AddressFamily, routes: &mut Vec<DefaultRoute>) -> Result<(), DecodeError> {
    if !is_default(body)? {
        return Ok(());
    }
    let header = RouteHeader::parse(body)?;
    if header.address_family != family || header.kind != RouteType::Unicast {
        return Ok(());
    }
    let (mut gateway, mut link) = (None, None);
    for attribute in attributes(body, header.buffer_len()) {
        let attribute = attribute?;
        if !matches!(attribute.kind(), libc::RTA_GATEWAY | RTA_VIA | libc::RTA_OIF | libc::RTA_MULTIPATH) {
            continue;
        }
        // The encapsulation only matters to RTA_ENCAP, which is not looked at.
        let context = (header.address_family, header.kind, RouteLwEnCapType::None);
        let attribute = RouteAttribute::parse_with_param(&attribute, context)?;
        if let RouteAttribute::Oif(index) = attribute {
            link = Some(index);
        } else if let RouteAttribute::MultiPath(hops) = &attribute {
            routes.extend(hops.iter().map(|hop| DefaultRoute {
                gateway: hop.attributes.iter().find_map(gateway_of),
                link: hop.interface_index,
            }));
        } else {
            gateway = gateway_of(&attribute).or(gateway);
        }
    }
    routes.extend(link.map(|link| DefaultRoute { gateway, link }));
    Ok(())
}

/// Whether the body of an `RTM_NEWROUTE` or `RTM_DELROUTE` is of a route to everywhere. It is cheap: there may be a
/// million others.
pub(super) fn is_default(body: &[u8]) -> Result<bool, DecodeError> {
    Ok(RouteHeader::parse(body)?.destination_prefix_length == 0)
}

fn gateway_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    if let RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) = attribute {
        Some(IpAddr::from(*ip))
    } else if let RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) =
        attribute
    {
        Some(IpAddr::from(*ip))
    } else {
        None
    }
}
