//! The host's own addresses.

use std::net::IpAddr;

use netlink_packet_core::{DecodeError, Emitable, parse_ip};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressHeader, AddressMessage},
};

use super::netlink::attributes;

/// An address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// How much of it, in bits, its neighbours on the link share.
    pub prefix_len: u8,
    /// The index of the link that has it.
    pub link: u32,
}

/// Asks for all addresses of both families.
pub(super) fn request() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Decodes the body of an `RTM_NEWADDR`.
///
/// On a point-to-point link `IFA_ADDRESS` is the peer's address and `IFA_LOCAL` the host's; IPv6 leaves `IFA_LOCAL` out
/// where there is no peer (include/uapi/linux/if_addr.h).
pub(super) fn decode(body: &[u8], addresses: &mut Vec<Address>) -> Result<(), DecodeError> {
    let header = AddressHeader::parse(body)?;
    let (mut local, mut address) = (None, None);
    for attribute in attributes(body, header.buffer_len()) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::IFA_LOCAL => local = Some(parse_ip(attribute.value())?),
            libc::IFA_ADDRESS => address = Some(parse_ip(attribute.value())?),
            _ => {}
        }
    }
    addresses.extend(local.or(address).map(|ip| Address { ip, prefix_len: header.prefix_len, link: header.index }));
    Ok(())
}
