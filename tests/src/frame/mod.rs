//! Builds Ethernet frames byte by byte: valid ones, and those that an attacker would send.
//!
//! A frame is a value. [`Ipv4`] and [`Ipv6`] build what is inside, [`Frame`]'s own methods change what is around it or damage
//! the whole. Checksums are right unless bytes are changed afterwards, so that the kernel takes the frames.

/// The payloads that a header of either family carries, for its `impl`: methods of its own, so that a table of frames needs no
/// trait in scope.
macro_rules! payloads {
    ($echo:expr) => {
        /// A connection request.
        #[must_use]
        pub fn tcp(&self, port: u16) -> Frame {
            self.tcp_with(port, &[])
        }

        /// A connection request with a payload.
        #[must_use]
        pub fn tcp_with(&self, port: u16, payload: &[u8]) -> Frame {
            self.carry(protocol::TCP, &transport::tcp(self.addresses(), self.source_port, port, payload))
        }

        /// The first bytes of a connection request, and nothing after them.
        #[must_use]
        pub fn tcp_start(&self, port: u16, bytes: usize) -> Frame {
            let mut segment = transport::tcp(self.addresses(), self.source_port, port, &[]);
            segment.truncate(bytes);
            self.carry(protocol::TCP, &segment)
        }

        /// The bytes of a connection request under another protocol's number.
        #[must_use]
        pub fn tcp_as(&self, number: u8, port: u16) -> Frame {
            self.carry(number, &transport::tcp(self.addresses(), self.source_port, port, &[]))
        }

        /// A datagram.
        #[must_use]
        pub fn udp(&self, port: u16) -> Frame {
            self.carry(protocol::UDP, &transport::udp(self.addresses(), self.source_port, port, b"datagram"))
        }

        /// An echo request.
        #[must_use]
        pub fn echo(&self) -> Frame {
            self.carry($echo, &transport::icmp(self.addresses(), self.source_port, b"echo"))
        }
    };
}

mod ipv4;
mod ipv6;
mod transport;

pub use ipv4::{Ipv4, fragment_field};
pub use ipv6::{Extension, Ipv6};
pub use transport::{Addresses, ICMP_ECHO, ICMP_ECHO_REPLY, ICMPV6_ECHO, ICMPV6_ECHO_REPLY, icmp, tcp, udp};

/// Ethertypes (`include/uapi/linux/if_ether.h`), in host order.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// A tag as 802.1Q has it.
    pub const VLAN: u16 = 0x8100;
    /// An outer tag as 802.1ad has it.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// Protocol numbers (IANA), which are also IPv6's next headers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// Encapsulating security payload: what follows is encrypted.
    pub const ESP: u8 = 50;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// Options for the destination.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// The hardware address that frames come from.
pub const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
/// The hardware address that frames go to.
pub const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0b];

/// Where the ethertype or the first tag stands.
const AFTER_ADDRESSES: usize = 12;

/// An Ethernet frame, without its check sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    /// A frame from the client to the server.
    #[must_use]
    pub fn new(ethertype: u16, payload: &[u8]) -> Self {
        Self([&SERVER_MAC[..], &CLIENT_MAC, &ethertype.to_be_bytes(), payload].concat())
    }

    /// The packet inside (of a frame without tags).
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.0.get(AFTER_ADDRESSES + 2..).unwrap_or_default()
    }

    /// Puts a tag in front of what is there: its ethertype, and its 16 bits of priority and VLAN number.
    #[must_use]
    pub fn tagged(self, ethertype: u16, control: u16) -> Self {
        let tag = (u32::from(ethertype) << 16 | u32::from(control)).to_be_bytes();
        let mut bytes = self.0;
        bytes.splice(AFTER_ADDRESSES..AFTER_ADDRESSES, tag);
        Self(bytes)
    }

    /// The same tag so many times.
    #[must_use]
    pub fn tagged_times(self, count: usize, ethertype: u16, control: u16) -> Self {
        (0..count).fold(self, |frame, _| frame.tagged(ethertype, control))
    }

    /// The first bytes alone.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.0.truncate(length);
        self
    }

    /// Zeros up to a length, as a card pads short frames.
    #[must_use]
    pub fn padded(mut self, length: usize) -> Self {
        self.0.resize(self.0.len().max(length), 0);
        self
    }

    /// Bytes behind the packet, which its own length does not count.
    #[must_use]
    pub fn trailed(mut self, trailer: &[u8]) -> Self {
        self.0.extend_from_slice(trailer);
        self
    }

    /// Another ethertype (of a frame without tags).
    #[must_use]
    pub fn typed(self, ethertype: u16) -> Self {
        self.overwritten(AFTER_ADDRESSES, &ethertype.to_be_bytes())
    }

    /// Other bytes from an offset on.
    #[must_use]
    pub fn overwritten(mut self, offset: usize, bytes: &[u8]) -> Self {
        for (target, byte) in self.0.iter_mut().skip(offset).zip(bytes) {
            *target = *byte;
        }
        self
    }
}
