//! Reads a frame: where the source address stands, and whether and where a TCP packet says its destination port.
//!
//! Two readers. [`Common`] reads what nearly every packet is, straight from packet memory: IPv4 without options and IPv6
//! without extension headers, behind one VLAN tag at most. [`Odd`] reads every other shape that Linux hands to TCP, by copying a few
//! bytes at a time; it costs more, and only a banned source pays for most of it.

use aya_ebpf::{
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use banner_common::{KeyV4, KeyV6};

/// IP protocol numbers (IANA, "Assigned Internet Protocol Numbers").
mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const TCP: u8 = 6;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HOST_IDENTITY: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// Ethertypes as they stand in the frame (`include/uapi/linux/if_ether.h`). Only these two tags are untagged by the kernel
/// without a VLAN device (`eth_type_vlan`, `include/linux/if_vlan.h`).
mod ethertype {
    pub const IPV4: u16 = 0x0800_u16.to_be();
    pub const IPV6: u16 = 0x86dd_u16.to_be();
    pub const VLAN: u16 = 0x8100_u16.to_be();
    pub const SERVICE_VLAN: u16 = 0x88a8_u16.to_be();
}

/// Tags that are looked behind. Linux itself strips any number of priority tags (`__netif_receive_skb_core`), so this is as many
/// as a jumbo frame has room for.
const TAGS_MAX: u32 = 9216 / 4;

/// Extension headers that are walked. Linux walks any number; behind these the port counts as unreadable.
const EXTENSIONS_MAX: u32 = 16;

const ETHERNET_LEN: usize = 14;

/// What a tag puts in between: its own number and the ethertype of what follows.
const TAG_LEN: usize = 4;

/// A source address that stands in the frame.
#[derive(Clone, Copy)]
pub enum Source {
    /// IPv4, also where it is mapped into IPv6 (`::ffff:a.b.c.d`, RFC 4291) or translated (`64:ff9b::a.b.c.d`, RFC 6052).
    V4(*const KeyV4),
    /// IPv6.
    V6(*const [u8; 16]),
}

impl Source {
    /// The key of the /64 that the address is in.
    #[inline(always)]
    pub fn upper(address: *const [u8; 16]) -> *const KeyV6 {
        address.cast()
    }

    /// # Safety
    /// All 16 bytes are readable.
    #[inline(always)]
    unsafe fn v6(address: *const [u8; 16]) -> Self {
        let words = address.cast::<u32>();
        // SAFETY: readable (the caller), and aligned as the kernel aligns network headers: Ethernet's 14 bytes start at
        // NET_IP_ALIGN, so that the IP header falls on a multiple of four.
        let [first, second, third] = unsafe { [*words, *words.add(1), *words.add(2)] };
        let mapped = first == 0 && second == 0 && third == 0xffff_u32.to_be();
        let translated = first == 0x0064_ff9b_u32.to_be() && second == 0 && third == 0;
        if mapped || translated {
            // SAFETY: the last 4 of 16 bytes.
            Self::V4(unsafe { words.add(3).cast() })
        } else {
            Self::V6(address)
        }
    }
}

/// What the quick reader found.
pub enum Common {
    /// A TCP packet: from whom, and to which port. One variant a family, so that neither is told apart again later.
    TcpV4 { source: *const KeyV4, port: u16 },
    /// The same.
    TcpV6 { source: *const [u8; 16], port: u16 },
    /// Nothing that TCP could take.
    NotTcp,
    /// A shape for the thorough reader.
    Odd,
}

/// `struct iphdr`.
#[repr(C)]
struct Ipv4 {
    version_and_length: u8,
    type_of_service: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    time_to_live: u8,
    protocol: u8,
    checksum: u16,
    source: KeyV4,
    destination: KeyV4,
}

/// `struct ipv6hdr`.
#[repr(C)]
struct Ipv6 {
    version_and_flow: [u8; 4],
    payload_length: u16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

/// The first bytes of `struct tcphdr`.
#[repr(C)]
struct Ports {
    source: u16,
    destination: u16,
}

/// The 13 bits of IPv4's fragment offset.
const FRAGMENT_OFFSET: u16 = 0x1fff_u16.to_be();

impl Common {
    #[inline(always)]
    pub fn read(ctx: &XdpContext) -> Self {
        let (start, end) = (ctx.data(), ctx.data_end());
        let network = start + ETHERNET_LEN;
        if network > end {
            return Self::NotTcp;
        }
        // SAFETY: within the Ethernet header, checked above.
        match unsafe { *((start + 12) as *const u16) } {
            ethertype::IPV4 => Self::ipv4(network, end),
            ethertype::IPV6 => Self::ipv6(network, end),
            ethertype::VLAN | ethertype::SERVICE_VLAN => Self::tagged(network, end),
            _ => Self::NotTcp,
        }
    }

    /// A network card that does not strip tags hands on all frames of a trunk like this. The rest of the tag keeps what follows
    /// aligned.
    #[inline(always)]
    fn tagged(rest: usize, end: usize) -> Self {
        let network = rest + TAG_LEN;
        if network > end {
            return Self::NotTcp;
        }
        // SAFETY: the ethertype behind the tag, checked above.
        match unsafe { *((rest + 2) as *const u16) } {
            ethertype::IPV4 => Self::ipv4(network, end),
            ethertype::IPV6 => Self::ipv6(network, end),
            ethertype::VLAN | ethertype::SERVICE_VLAN => Self::Odd,
            _ => Self::NotTcp,
        }
    }

    #[inline(always)]
    fn ipv4(network: usize, end: usize) -> Self {
        let transport = network + size_of::<Ipv4>();
        if transport + size_of::<Ports>() > end {
            return Self::Odd;
        }
        let header = network as *const Ipv4;
        // SAFETY: header and ports lie before `end`.
        unsafe {
            if (*header).protocol != protocol::TCP {
                return Self::NotTcp;
            }
            if (*header).version_and_length != 0x45 || (*header).fragment & FRAGMENT_OFFSET != 0 {
                return Self::Odd;
            }
            let ports = transport as *const Ports;
            Self::TcpV4 { source: &raw const (*header).source, port: u16::from_be((*ports).destination) }
        }
    }

    #[inline(always)]
    fn ipv6(network: usize, end: usize) -> Self {
        let transport = network + size_of::<Ipv6>();
        if transport + size_of::<Ports>() > end {
            return Self::Odd;
        }
        let header = network as *const Ipv6;
        // SAFETY: header and ports lie before `end`.
        unsafe {
            if (*header).next_header != protocol::TCP {
                return if leads_on((*header).next_header) { Self::Odd } else { Self::NotTcp };
            }
            if (*header).version_and_flow[0] >> 4 != 6 {
                return Self::NotTcp;
            }
            let ports = transport as *const Ports;
            let port = u16::from_be((*ports).destination);
            match Source::v6(&raw const (*header).source) {
                Source::V4(source) => Self::TcpV4 { source, port },
                Source::V6(source) => Self::TcpV6 { source, port },
            }
        }
    }
}

/// The length of any frame, from the Ethernet header on. The kernel tells it by a call.
#[inline(always)]
pub fn length(ctx: &XdpContext) -> u64 {
    // SAFETY: the helper reads the packet's own description (Linux 5.18, `net/core/filter.c`, bpf_xdp_get_buff_len).
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
}

/// The same of a frame that [`Common`] has read, without that call, which costs as much as both counters of a ban, where there is no
/// tag.
///
/// Where all that the IP header claims lies in the first buffer, so does the frame; only a trailer, which no protocol looks at, could
/// lie in a second one, and is not counted then.
#[inline(always)]
pub fn common_length(ctx: &XdpContext) -> u64 {
    let (start, end) = (ctx.data(), ctx.data_end());
    let network = start + ETHERNET_LEN;
    if network + size_of::<Ipv4>() > end {
        return length(ctx);
    }
    // SAFETY: the Ethernet header and 20 bytes behind it, checked above; both lengths are among them.
    let claimed = unsafe {
        match *((start + 12) as *const u16) {
            ethertype::IPV4 => usize::from(u16::from_be((*(network as *const Ipv4)).total_length)),
            ethertype::IPV6 => {
                size_of::<Ipv6>() + usize::from(u16::from_be((*(network as *const Ipv6)).payload_length))
            }
            _ => return length(ctx),
        }
    };
    let first = end - start;
    if ETHERNET_LEN + claimed <= first { first as u64 } else { length(ctx) }
}

/// What a walk to the transport header found.
pub enum Transport {
    /// A TCP packet, or the fragment of one that has its ports.
    Tcp { port: u16 },
    /// May belong to a TCP packet, but its port cannot be read: a later fragment, or more headers than are walked.
    Unreadable,
    /// Another protocol.
    NotTcp,
}

/// The thorough reader: an IP header copied out of a frame, and where in the frame it stands.
///
/// Filled in place: the verifier does not follow a value that is moved about on the stack.
pub struct Odd {
    /// The header as it stands in the frame, in words so that the addresses in it are aligned. IPv4 fills half of it.
    header: [u32; 10],
    offset: u32,
    ipv6: bool,
}

impl Odd {
    pub const EMPTY: Self = Self { header: [0; 10], offset: 0, ipv6: false };

    /// Looks behind the VLAN tags. False where there is no whole IP header: TCP does not take such a frame either.
    #[inline(always)]
    pub fn read(&mut self, ctx: &XdpContext) -> bool {
        let mut offset = 12;
        let mut ethertype = 0;
        for _ in 0..=TAGS_MAX {
            if !load(ctx, offset, &mut ethertype) {
                return false;
            }
            if ethertype != ethertype::VLAN && ethertype != ethertype::SERVICE_VLAN {
                break;
            }
            offset += 4;
        }
        self.offset = offset + 2;
        match ethertype {
            ethertype::IPV4 => {
                let [first, ..] = self.header.as_chunks_mut::<5>().0 else { return false };
                load(ctx, self.offset, first) && self.byte(0) >> 4 == 4
            }
            ethertype::IPV6 => {
                self.ipv6 = true;
                load(ctx, self.offset, &mut self.header) && self.byte(0) >> 4 == 6
            }
            _ => false,
        }
    }

    #[inline(always)]
    pub fn source(&self) -> Source {
        // SAFETY: bytes 8..24 of IPv6's 40, bytes 12..16 of IPv4's 20.
        unsafe {
            if self.ipv6 {
                Source::v6(self.header.as_ptr().add(2).cast())
            } else {
                Source::V4(self.header.as_ptr().add(3).cast())
            }
        }
    }

    /// Walks to the transport header.
    #[inline(always)]
    pub fn transport(&self, ctx: &XdpContext) -> Transport {
        if self.ipv6 {
            return ipv6_transport(ctx, self.byte(6), self.offset + 40);
        }
        if self.byte(9) != protocol::TCP {
            return Transport::NotTcp;
        }
        if u16::from_ne_bytes([self.byte(6), self.byte(7)]) & FRAGMENT_OFFSET != 0 {
            return Transport::Unreadable;
        }
        tcp(ctx, self.offset + u32::from(self.byte(0) & 0x0f) * 4)
    }

    #[inline(always)]
    fn byte(&self, index: usize) -> u8 {
        let bytes: *const u8 = self.header.as_ptr().cast();
        // SAFETY: callers name a byte of the 40.
        unsafe { *bytes.add(index) }
    }
}

#[inline(always)]
fn ipv6_transport(ctx: &XdpContext, first: u8, start: u32) -> Transport {
    let mut next = first;
    let mut offset = start;
    let mut header = [0_u8; 4];
    for _ in 0..EXTENSIONS_MAX {
        if next == protocol::TCP {
            return tcp(ctx, offset);
        }
        if !leads_on(next) {
            return Transport::NotTcp;
        }
        // Every extension header has at least eight bytes (RFC 8200, 4).
        if !load(ctx, offset, &mut header) {
            return Transport::Unreadable;
        }
        let [following, length, high, low] = header;
        offset += match next {
            protocol::FRAGMENT => {
                // Always eight bytes; the second is reserved, and so whatever the sender likes (RFC 8200, 4.5).
                if u16::from_be_bytes([high, low]) & 0xfff8 != 0 {
                    let unreadable = following == protocol::TCP || leads_on(following);
                    return if unreadable { Transport::Unreadable } else { Transport::NotTcp };
                }
                8
            }
            protocol::AUTHENTICATION => (u32::from(length) + 2) * 4,
            _ => (u32::from(length) + 1) * 8,
        };
        next = following;
    }
    if next == protocol::TCP || leads_on(next) { Transport::Unreadable } else { Transport::NotTcp }
}

/// Whether another header follows this one.
#[inline(always)]
fn leads_on(next: u8) -> bool {
    matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HOST_IDENTITY
            | protocol::SHIM6
    )
}

#[inline(always)]
fn tcp(ctx: &XdpContext, offset: u32) -> Transport {
    let mut ports = Ports { source: 0, destination: 0 };
    if load(ctx, offset, &mut ports) {
        Transport::Tcp { port: u16::from_be(ports.destination) }
    } else {
        Transport::Unreadable
    }
}

/// Types that any bytes are a value of.
///
/// # Safety
/// Every bit pattern of this size is valid, and there is no padding.
unsafe trait Plain {}
// SAFETY: integers, and structs and arrays of them.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for [u8; 4] {}
// SAFETY: as above.
unsafe impl Plain for [u32; 5] {}
// SAFETY: as above.
unsafe impl Plain for [u32; 10] {}
// SAFETY: as above.
unsafe impl Plain for Ports {}

/// Copies bytes of the packet, wherever they lie: a packet of several buffers has only its first in reach of a pointer. False
/// where they lie beyond its end.
#[inline(always)]
fn load<T: Plain>(ctx: &XdpContext, offset: u32, into: &mut T) -> bool {
    let length = size_of::<T>() as u32;
    // SAFETY: the helper writes exactly `length` bytes or fails (Linux 5.18, `net/core/filter.c`, bpf_xdp_load_bytes).
    unsafe { bpf_xdp_load_bytes(ctx.ctx, offset, core::ptr::from_mut(into).cast(), length) == 0 }
}
