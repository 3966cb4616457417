//! The XDP program: drops the guarded packets of banned sources, passes everything else.
//!
//! `packet` reads a frame, `verdict` decides about it, `maps` is what the daemon and the program share. This file only ties
//! them to the kernel's entry points.

#![no_std]
#![no_main]
#![expect(
    internal_features,
    reason = "atomic_xadd is the only way to an atomic add for this target; AtomicU64 has no fetch_add"
)]
#![feature(core_intrinsics)]

mod maps;
mod packet;
mod verdict;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns},
    macros::xdp,
    programs::XdpContext,
};
use banner_common::ClockSample;
use verdict::Verdict;

/// The filter. `frags` lets it attach to interfaces with jumbo frames: without it a driver refuses an MTU above one page.
#[xdp(frags)]
pub fn banner(ctx: XdpContext) -> u32 {
    let action = match verdict::decide(&ctx) {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    };
    #[cfg(feature = "trace")]
    aya_log_ebpf::info!(&ctx, "action {}", action);
    action
}

/// Reads the two clocks that deadlines are converted between. Never attached: the daemon runs it with BPF_PROG_TEST_RUN, once
/// at start and again to notice a suspend, on a packet of zeros that comes back as a [`ClockSample`].
#[xdp]
pub fn clock(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    if start + size_of::<ClockSample>() > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: both helpers take nothing and read a kernel clock.
    let (ticks, boot_ns) = unsafe { (bpf_jiffies64(), bpf_ktime_get_boot_ns()) };
    // SAFETY: the packet holds the whole sample (checked above).
    unsafe { (start as *mut ClockSample).write(ClockSample { ticks, boot_ns }) };
    aya_log_ebpf::debug!(&ctx, "clock: {} ticks at {} ns since boot", ticks, boot_ns);
    xdp_action::XDP_PASS
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic: the verifier would refuse a program that does not end.
    loop {}
}

/// Dual, because the helpers that read a clock are for GPL-compatible programs alone (`include/uapi/linux/bpf.h`).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
