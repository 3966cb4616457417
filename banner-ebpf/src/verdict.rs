//! Decides about a packet.
//!
//! The common shape asks for the port first, because most packets are not for a guarded one, then for the source. Every other
//! shape asks for the source first, and only a banned one has its headers walked; what may carry TCP to an unknown port is
//! then dropped for it, and passed for everyone else. The clock is read once a ban is found, never before.

use aya_ebpf::{helpers::generated::bpf_jiffies64, programs::XdpContext};
use banner_common::{Ban, FLAG_OBSERVE, KeyV4, NetKeyV6, Reason};

use crate::{
    maps,
    packet::{self, Common, Odd, Source, Transport},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Drop,
}

/// Any service: for a packet whose port is unknown.
const ANY_SERVICE: u16 = u16::MAX;

#[inline(always)]
pub fn decide(ctx: &XdpContext) -> Verdict {
    match Common::read(ctx) {
        Common::TcpV4 { source, port } => common(ctx, port, |services| find_v4(source, services)),
        Common::TcpV6 { source, port } => common(ctx, port, |services| find_v6(source, services)),
        Common::NotTcp => Verdict::Pass,
        Common::Odd => odd(ctx),
    }
}

#[inline(always)]
fn common(ctx: &XdpContext, port: u16, find: impl FnOnce(u16) -> Found) -> Verdict {
    let services = maps::services(port);
    if services == 0 {
        return Verdict::Pass;
    }
    carry_out(&find(services), Reason::DroppedBan, Reason::PassedClean, || packet::common_length(ctx))
}

#[inline(always)]
fn odd(ctx: &XdpContext) -> Verdict {
    let mut packet = Odd::EMPTY;
    if !packet.read(ctx) {
        return Verdict::Pass;
    }
    let source = packet.source();
    let Found::Ban { .. } = find(source, ANY_SERVICE) else {
        maps::count(Reason::PassedOdd);
        return Verdict::Pass;
    };
    let (services, reason) = match packet.transport(ctx) {
        Transport::Tcp { port } => (maps::services(port), Reason::DroppedOdd),
        Transport::Unreadable => (ANY_SERVICE, Reason::DroppedUnreadable),
        Transport::NotTcp => (0, Reason::DroppedOdd),
    };
    if services == 0 {
        maps::count(Reason::PassedUnguarded);
        return Verdict::Pass;
    }
    carry_out(&find(source, services), reason, Reason::PassedUnguarded, || packet::length(ctx))
}

/// What the maps say about a source.
enum Found {
    /// No entry.
    Nothing,
    /// An entry that has expired or is for other services.
    Inapplicable,
    /// A ban in force.
    Ban { ban: *mut Ban, now: u64, observe: bool },
}

/// The ban in force for one of these services.
#[inline(always)]
fn find(source: Source, services: u16) -> Found {
    match source {
        Source::V4(address) => find_v4(address, services),
        Source::V6(address) => find_v6(address, services),
    }
}

#[inline(always)]
fn find_v4(address: *const KeyV4, services: u16) -> Found {
    decisive(maps::ban_v4(address), || maps::net_v4(address), services)
}

#[inline(always)]
fn find_v6(address: *const NetKeyV6, services: u16) -> Found {
    decisive(maps::ban_v6(Source::upper(address)), || maps::net_v6(address), services)
}

/// An exact entry that does not apply, or only observes, leaves the word to the prefixes; a prefix that only observes does not take
/// it from an exact entry.
#[inline(always)]
fn decisive(exact: Option<*mut Ban>, prefix: impl FnOnce() -> Option<*mut Ban>, services: u16) -> Found {
    let exact = applies(exact, services);
    if let Found::Ban { observe: false, .. } = exact {
        return exact;
    }
    let prefix = applies(prefix(), services);
    match (&exact, &prefix) {
        (Found::Nothing, _) | (_, Found::Ban { observe: false, .. }) => prefix,
        (Found::Inapplicable, Found::Ban { .. }) => prefix,
        _ => exact,
    }
}

#[inline(always)]
fn applies(ban: Option<*mut Ban>, services: u16) -> Found {
    let Some(ban) = ban else { return Found::Nothing };
    // SAFETY: a map value; the map never frees the memory of one (HASH is preallocated, LPM frees after a grace period).
    let (deadline, guarded, flags) = unsafe { ((*ban).deadline, (*ban).services, (*ban).flags) };
    if guarded & services == 0 {
        return Found::Inapplicable;
    }
    // SAFETY: reads a kernel clock; the verifier makes it one load (since Linux 5.6).
    let now = unsafe { bpf_jiffies64() };
    if now >= deadline {
        return Found::Inapplicable;
    }
    Found::Ban { ban, now, observe: flags & FLAG_OBSERVE != 0 }
}

/// Counts the packet, on the ban and by reason.
#[inline(always)]
fn carry_out(found: &Found, dropped: Reason, clean: Reason, length: impl FnOnce() -> u64) -> Verdict {
    match *found {
        Found::Nothing => {
            maps::count(clean);
            Verdict::Pass
        }
        Found::Inapplicable => {
            maps::count(Reason::PassedBan);
            Verdict::Pass
        }
        Found::Ban { ban, now, observe } => {
            // SAFETY: as in `applies`; atomic, because this source's packets arrive on several CPUs.
            unsafe {
                add(&raw mut (*ban).packets, 1);
                add(&raw mut (*ban).bytes, length());
                (&raw mut (*ban).last_seen).write_volatile(now);
            }
            if observe {
                maps::count(Reason::Observed);
                Verdict::Pass
            } else {
                maps::count(dropped);
                Verdict::Drop
            }
        }
    }
}

/// `lock *(u64 *) += r`.
///
/// # Safety
/// `counter` points to a map value.
#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller's.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(counter, amount)
    };
}
