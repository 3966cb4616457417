//! The binary interface between the XDP program and the daemon: what a map's key and value are, bit by bit.
//!
//! Both sides are built from this crate. Everything here is pinned under a directory named after [`VERSION`]: a change of
//! any layout, constant or meaning below needs a new version, so that two builds never read each other's maps wrongly.
//!
//! No dependencies, no `std`, no logic: a reader of the kernel side has to know this file alone.

#![no_std]
#![cfg_attr(
    feature = "user",
    expect(unsafe_code, reason = "Pod: only the assertions below see that the struct has no padding")
)]

/// The version of this interface, and so the directory below the configured bpffs directory: `v1`.
pub const VERSION: u32 = 1;

/// The key of `BANS_V4`: the address as it stands in the packet (network byte order), never a host integer.
pub type KeyV4 = [u8; 4];

/// The key of `BANS_V6`: the upper 64 bits of the address as they stand in the packet, that is a /64.
pub type KeyV6 = [u8; 8];

/// The key of `NETS_V4`, behind its prefix length: the address as it stands in the packet, and four bytes of zero.
///
/// A trie keeps a value directly behind its key (`trie_lookup_elem`, `kernel/bpf/lpm_trie.c`). A key whose length is no multiple of
/// eight would leave the counters unaligned, and an atomic add across two cache lines locks the bus for a microsecond, or
/// is fatal where the kernel forbids it.
pub type NetKeyV4 = [u8; 8];

/// The key of `NETS_V6`, behind its prefix length.
pub type NetKeyV6 = [u8; 16];

const _: () = {
    assert!(size_of::<NetKeyV4>().is_multiple_of(align_of::<Ban>()));
    assert!(size_of::<NetKeyV6>().is_multiple_of(align_of::<Ban>()));
};

/// The key of `NETS_V4` for this address.
#[must_use]
#[inline(always)]
pub const fn net_key_v4([a, b, c, d]: KeyV4) -> NetKeyV4 {
    [a, b, c, d, 0, 0, 0, 0]
}

/// A ban's deadline that never comes.
pub const PERMANENT: u64 = u64::MAX;

/// Set in [`Ban::flags`]: count the packet, but pass it.
pub const FLAG_OBSERVE: u32 = 1 << 0;
/// Set in [`Ban::flags`]: an operator banned by hand. Never makes room for another when the map is full.
pub const FLAG_MANUAL: u32 = 1 << 1;
/// Set in [`Ban::flags`]: a protected address inside a banned prefix. Its service mask is empty.
pub const FLAG_PROTECTED: u32 = 1 << 2;
/// Set in [`Ban::flags`]: a list has a part in it. An older daemon takes such an entry for a permanent ban of an earlier run.
pub const FLAG_LISTED: u32 = 1 << 3;

/// The value of `BANS_V4`, `BANS_V6`, `NETS_V4` and `NETS_V6`: one ban and what it has dropped.
///
/// 40 bytes, aligned to 8. What a verdict needs (deadline, services, flags) stands first, in one cache line. The three
/// counters are written by the kernel with atomic adds (a source's packets arrive on several queues), and by the daemon
/// only when it creates or replaces the entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ban {
    /// In jiffies64 (`include/linux/jiffies.h`): the ban holds while the kernel's counter is below it.
    pub deadline: u64,
    /// One bit a service; a bit that is also in `PORTS[destination port]` drops the packet.
    pub services: u16,
    /// Always zero.
    pub reserved: u16,
    /// `FLAG_*`.
    pub flags: u32,
    /// Packets dropped (or, observing, that would have been).
    pub packets: u64,
    /// Bytes of those packets, from the Ethernet header on.
    pub bytes: u64,
    /// When the last of them came, in jiffies64; 0 for never.
    pub last_seen: u64,
}

const _: () = {
    assert!(size_of::<Ban>() == 40);
    assert!(align_of::<Ban>() == 8);
    assert!(core::mem::offset_of!(Ban, services) == 8);
    assert!(core::mem::offset_of!(Ban, flags) == 12);
    assert!(core::mem::offset_of!(Ban, packets) == 16);
};

/// Why a packet was passed or dropped: the index into `STATS`, a per-CPU array of packet counts.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Dropped: banned source, guarded port, common shape.
    DroppedBan = 0,
    /// Dropped: banned source, guarded port, behind tags, options, extension headers or in a fragment.
    DroppedOdd = 1,
    /// Dropped: banned source, may carry TCP, and its port cannot be read.
    DroppedUnreadable = 2,
    /// Passed and counted: an observing ban would have dropped it.
    Observed = 3,
    /// Passed: guarded port, no ban.
    PassedClean = 4,
    /// Passed: a ban exists, but it has expired or is for other services.
    PassedBan = 5,
    /// Passed: an odd shape from a source without a ban.
    PassedOdd = 6,
    /// Passed: an IP packet of an odd shape from a banned source that cannot reach a guarded port.
    PassedUnguarded = 7,
}

impl Reason {
    /// Every reason, in the order of its index.
    pub const ALL: [Self; 8] = [
        Self::DroppedBan,
        Self::DroppedOdd,
        Self::DroppedUnreadable,
        Self::Observed,
        Self::PassedClean,
        Self::PassedBan,
        Self::PassedOdd,
        Self::PassedUnguarded,
    ];
}

/// The number of entries of `STATS`.
pub const REASONS: u32 = 8;

const _: () = assert!(Reason::ALL.len() == REASONS as usize);

/// The index in `NETS_PRESENT` that says whether `NETS_V4` holds anything; the program skips the lookup while it is 0.
pub const NETS_PRESENT_V4: u32 = 0;
/// The same for `NETS_V6`.
pub const NETS_PRESENT_V6: u32 = 1;

/// What the `clock` program writes over the first 16 bytes of its packet: the kernel's two clocks, read together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSample {
    /// jiffies64: what deadlines are written in.
    pub ticks: u64,
    /// `bpf_ktime_get_boot_ns`: nanoseconds since boot, suspend included.
    pub boot_ns: u64,
}

const _: () = assert!(size_of::<ClockSample>() == 16);

#[cfg(feature = "user")]
// SAFETY: repr(C), every field an integer, no padding (asserted above): any bytes are a valid value.
unsafe impl aya::Pod for Ban {}
