//! Links: the kernel's network devices, and the XDP programs on them.

use std::fmt;

use netlink_packet_core::{DecodeError, Emitable, NlasIterator, Parseable, parse_u32};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkLayerType, LinkMessage, LinkXdp},
};

use super::netlink::attributes;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface index, unique in its network namespace and never zero.
    pub index: u32,
    /// At most 15 bytes. The kernel allows any byte but `/`, `:`, NUL and white space (dev_valid_name in
    /// net/core/dev.c), so it is escaped where it is shown; what is not UTF-8 is replaced, so that such a link can be
    /// shown, but not named.
    pub name: String,
    /// Other names that it answers to (`ip link property add altname`), up to 127 bytes each.
    pub alternative_names: Vec<String>,
    /// The driver's word for what it is, for a virtual device: `vlan`, `bridge`, `veth`. Network cards have none.
    pub kind: Option<String>,
    /// What stands in front of the IP header.
    pub layer: LinkLayer,
    /// Whether it is up administratively.
    pub up: bool,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    /// The index of the bridge, bond, team or VRF that it is a port of.
    pub master: Option<u32>,
    /// The XDP programs on it, at most one a mode.
    pub xdp: Vec<AttachedXdp>,
}

impl Link {
    /// Whether this is its name or an alternative one.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.alternative_names.iter().any(|other| other == name)
    }
}

/// How the frames of a link start (`ARPHRD_*` in include/uapi/linux/if_arp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// The loopback device. Its frames have an Ethernet header too (drivers/net/loopback.c).
    Loopback,
    /// Anything else: the number.
    Other(u16),
}

/// An XDP program on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// Who runs it.
    pub mode: XdpMode,
    /// The kernel's number for the program.
    pub program: u32,
}

/// Who runs an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// The driver, before the kernel has made a socket buffer.
    Native,
    /// The kernel's core, on a socket buffer: on every driver, and slower.
    Generic,
    /// The network card.
    Offload,
}

/// Asks for all links, without their statistics.
pub(super) fn request() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

/// Decodes the body of an `RTM_NEWLINK`.
pub(super) fn decode(body: &[u8], links: &mut Vec<Link>) -> Result<(), DecodeError> {
    let header = LinkHeader::parse(body)?;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        alternative_names: Vec::new(),
        kind: None,
        layer: LinkLayer::from(header.link_layer_type),
        up: header.flags.contains(LinkFlags::Up),
        mtu: 0,
        master: None,
        xdp: Vec::new(),
    };
    for attribute in attributes(body, header.buffer_len()) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_PROP_LIST => {
                for property in NlasIterator::new(value) {
                    let property = property?;
                    if property.kind() == libc::IFLA_ALT_IFNAME {
                        link.alternative_names.push(text(property.value()));
                    }
                }
            }
            libc::IFLA_LINKINFO => {
                for information in NlasIterator::new(value) {
                    let information = information?;
                    if information.kind() == libc::IFLA_INFO_KIND {
                        link.kind = Some(text(information.value()));
                    }
                }
            }
            libc::IFLA_MTU => link.mtu = parse_u32(value)?,
            libc::IFLA_MASTER => link.master = Some(parse_u32(value)?),
            libc::IFLA_XDP => {
                for xdp in NlasIterator::new(value) {
                    link.xdp.extend(attached(&LinkXdp::parse(&xdp?)?));
                }
            }
            _ => {}
        }
    }
    links.push(link);
    Ok(())
}

/// rtnl_xdp_fill in net/core/rtnetlink.c reports each mode's program by itself (Linux 4.19), and once more by
/// `IFLA_XDP_PROG_ID` where it is the only one.
fn attached(attribute: &LinkXdp) -> Option<AttachedXdp> {
    let (mode, program) = if let LinkXdp::DrvProgId(program) = attribute {
        (XdpMode::Native, *program)
    } else if let LinkXdp::SkbProgId(program) = attribute {
        (XdpMode::Generic, *program)
    } else if let LinkXdp::HwProgId(program) = attribute {
        (XdpMode::Offload, *program)
    } else {
        return None;
    };
    (program != 0).then_some(AttachedXdp { mode, program })
}

/// A string attribute: up to its NUL.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

impl From<LinkLayerType> for LinkLayer {
    fn from(kind: LinkLayerType) -> Self {
        match u16::from(kind) {
            libc::ARPHRD_ETHER => Self::Ethernet,
            libc::ARPHRD_LOOPBACK => Self::Loopback,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for LinkLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ethernet => f.write_str("Ethernet"),
            Self::Loopback => f.write_str("loopback"),
            Self::Other(libc::ARPHRD_NONE) => f.write_str("bare IP, as of tun or WireGuard"),
            Self::Other(libc::ARPHRD_PPP) => f.write_str("PPP"),
            Self::Other(libc::ARPHRD_INFINIBAND) => f.write_str("InfiniBand"),
            Self::Other(libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 | libc::ARPHRD_SIT | libc::ARPHRD_IPGRE) => {
                f.write_str("an IP tunnel")
            }
            Self::Other(number) => write!(f, "ARPHRD type {number}"),
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offload => "offload",
        })
    }
}
