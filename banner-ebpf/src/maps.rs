//! The maps that the program and the daemon share. The daemon pins all of them when it loads the object, so that bans outlive
//! it, and sets the sizes from its configuration.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
};
use banner_common::{Ban, KeyV4, KeyV6, NetKeyV4, NetKeyV6, REASONS, Reason, net_key_v4};

/// Bans of single IPv4 addresses.
#[map]
static BANS_V4: HashMap<KeyV4, Ban> = HashMap::with_max_entries(262_144, 0);

/// Bans of IPv6 /64s.
#[map]
static BANS_V6: HashMap<KeyV6, Ban> = HashMap::with_max_entries(131_072, 0);

/// Bans of every other IPv4 prefix, and the protected addresses inside them.
#[map]
static NETS_V4: LpmTrie<NetKeyV4, Ban> = LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Bans of every other IPv6 prefix, of single addresses too, and the protected addresses inside them.
#[map]
static NETS_V6: LpmTrie<NetKeyV6, Ban> = LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Whether a trie holds anything. An array and not a constant: .rodata is frozen once the program is loaded.
#[map]
static NETS_PRESENT: Array<u32> = Array::with_max_entries(2, 0);

/// The services behind each TCP port, as a mask; 0 is a port that is not guarded.
#[map]
static PORTS: Array<u16> = Array::with_max_entries(65_536, 0);

/// Packets by [`Reason`].
#[map]
static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(REASONS, 0);

/// The services behind a port (in host order); 0 where it is not guarded.
#[inline(always)]
pub fn services(port: u16) -> u16 {
    PORTS.get(u32::from(port)).copied().unwrap_or(0)
}

/// The ban of exactly this IPv4 address.
#[inline(always)]
pub fn ban_v4(address: *const KeyV4) -> Option<*mut Ban> {
    // SAFETY: callers pass a pointer into the packet (bounds checked) or to their stack.
    BANS_V4.get_ptr_mut(unsafe { &*address })
}

/// The ban of exactly this /64.
#[inline(always)]
pub fn ban_v6(upper: *const KeyV6) -> Option<*mut Ban> {
    // SAFETY: as in `ban_v4`.
    BANS_V6.get_ptr_mut(unsafe { &*upper })
}

/// The entry of the longest prefix that holds this IPv4 address.
#[inline(always)]
pub fn net_v4(address: *const KeyV4) -> Option<*mut Ban> {
    if !present(banner_common::NETS_PRESENT_V4) {
        return None;
    }
    // SAFETY: as in `ban_v4`.
    NETS_V4.get(Key::new(32, net_key_v4(unsafe { *address }))).map(value)
}

/// The entry of the longest prefix that holds this IPv6 address.
#[inline(always)]
pub fn net_v6(address: *const NetKeyV6) -> Option<*mut Ban> {
    if !present(banner_common::NETS_PRESENT_V6) {
        return None;
    }
    // SAFETY: as in `ban_v4`.
    NETS_V6.get(Key::new(128, unsafe { *address })).map(value)
}

/// `LpmTrie` only hands out a shared reference; the counters behind it are written with atomic adds, as the hashes' are.
#[inline(always)]
fn value(ban: &Ban) -> *mut Ban {
    core::ptr::from_ref(ban).cast_mut()
}

#[inline(always)]
fn present(index: u32) -> bool {
    NETS_PRESENT.get(index).is_some_and(|present| *present != 0)
}

/// Counts a packet by reason.
#[inline(always)]
pub fn count(reason: Reason) {
    if let Some(counter) = STATS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own slot, and XDP is not interrupted by itself.
        unsafe { *counter += 1 };
    }
}
