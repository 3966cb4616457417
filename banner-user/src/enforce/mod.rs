//! Carries effects out in the kernel: the program, the interfaces it is attached to, and the maps that it looks bans up in.
//!
//! Everything is pinned below the configured bpffs directory, so that enforcement goes on when the daemon stops, dies or is
//! replaced:
//!
//! ```text
//! /sys/fs/bpf/banner/v1/          `v1` is the version of the ABI (banner-common)
//!     maps/BANS_V4 ...            the maps; a new program that is loaded finds its bans in them
//!     links/2                     the attachment to the interface with index 2
//! ```
//!
//! Links are named by interface index: an index is never given twice while the machine is up, and unlike a name it survives
//! a rename and has no characters that bpffs refuses.

pub mod bans;
pub mod explain;
pub mod guard;
pub mod host;
pub mod kernel;
pub mod migration;
#[cfg(test)]
mod namespace;
pub mod pins;
mod ports;
pub mod privileges;
#[cfg(test)]
pub(crate) mod scratch;
pub mod sockets;
pub mod ticks;
