//! Why the kernel does not enforce, and what an operator can do about it.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};

use super::MapSizes;
use crate::enforce::{
    bans::BanMapError,
    explain::{Context, Explained, Operation, explain},
    migration,
    pins::PinsError,
    ticks::TickError,
};

/// Why the kernel does not enforce.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Nothing can be pinned.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The object could not be loaded.
    #[error("the kernel did not take the maps and programs: {error}")]
    Load {
        /// Why.
        #[source]
        error: EbpfError,
        /// The sizes that were asked for.
        sizes: MapSizes,
    },
    /// The verifier or the loader refused a program.
    #[error("the kernel did not take the program `{name}`: {error}")]
    Program {
        /// Which.
        name: &'static str,
        /// Why.
        error: ProgramError,
    },
    /// A pinned map is not what this version pins.
    #[error("{} is not a map of banner's ({found}); something else was pinned there, remove it with `banner detach`", path.display())]
    ForeignMap {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The configured size has no room for what may not yield.
    #[error(
        "`limits.{key}` = {size} has no room for {needed} bans that are permanent, by hand or keep protected addresses out of others; raise it, or `banner unban` some with the old size"
    )]
    TooSmall {
        /// The configuration's name for the size.
        key: &'static str,
        /// As it is configured.
        size: u32,
        /// Entries of the map that do not yield.
        needed: usize,
    },
    /// A map operation failed.
    #[error("cannot {operation}: {error}")]
    Map {
        /// What was tried.
        operation: &'static str,
        /// Why.
        error: MapError,
    },
    /// The maps of bans.
    #[error(transparent)]
    Bans(#[from] BanMapError),
    /// The kernel lacks what the program needs.
    #[error("Linux {release} is too old: banner needs 5.18 or newer")]
    TooOld {
        /// As uname(2) says.
        release: String,
    },
    /// The clocks.
    #[error(transparent)]
    Ticks(#[from] TickError),
    /// The program could not be attached.
    #[error("cannot attach to interface {interface}: {error}")]
    Attach {
        /// The interface's index.
        interface: u32,
        /// Why.
        error: ProgramError,
    },
    /// The kernel only offers an attachment that cannot be pinned.
    #[error(
        "interface {interface} takes no XDP program through a link, only in a way that cannot be pinned: it would outlive the daemon without being kept up. The driver refused with EINVAL (no native XDP, LRO or too many queues?); `attach = \"generic\"` works on every Ethernet interface"
    )]
    Unpinnable {
        /// The interface's index.
        interface: u32,
    },
    /// The pinned link of an earlier run cannot be opened.
    #[error("cannot open the pinned attachment to interface {interface}: {error}; `banner detach` removes it")]
    Link {
        /// The interface's index.
        interface: u32,
        /// Why.
        error: LinkError,
    },
    /// The link could not be pinned.
    #[error("cannot pin the attachment at {}: {error}", path.display())]
    Pin {
        /// Where.
        path: PathBuf,
        /// Why.
        error: PinError,
    },
}

impl KernelError {
    /// Why the kernel refused, and what to do, where the number that it answered with tells. For an interface,
    /// [`Guard`](crate::enforce::guard::Guard) knows more.
    #[must_use]
    pub fn explained(&self) -> Option<Explained> {
        let operation = match self {
            Self::Load { error: EbpfError::MapError(MapError::CreateError { name, .. }), sizes } => {
                let entries = migration::geometry(*sizes)
                    .into_iter()
                    .find(|(known, ..)| known == name)
                    .map_or(1, |(.., entries)| entries);
                Operation::CreateMap { name, entries }
            }
            Self::Load { .. } | Self::Program { .. } => Operation::Load,
            Self::Pin { path, .. } => Operation::Pin { path },
            Self::Pins(_)
            | Self::ForeignMap { .. }
            | Self::TooSmall { .. }
            | Self::Map { .. }
            | Self::Bans(_)
            | Self::TooOld { .. }
            | Self::Ticks(_)
            | Self::Attach { .. }
            | Self::Unpinnable { .. }
            | Self::Link { .. } => return None,
        };
        Some(explain(operation, self.errno()?, &Context::read_or_unknown()))
    }

    /// The error number that the kernel answered with, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        let mut source: Option<&(dyn std::error::Error + 'static)> = match self {
            // io::Error is what carries the number; it stands at the end of the chain of each of these.
            Self::Attach { error, .. } | Self::Program { error, .. } => Some(error),
            Self::Load { error, .. } => Some(error),
            Self::Map { error, .. } => Some(error),
            Self::Pin { error, .. } => Some(error),
            Self::Link { error, .. } => Some(error),
            Self::Pins(_)
            | Self::ForeignMap { .. }
            | Self::TooSmall { .. }
            | Self::Bans(_)
            | Self::Ticks(_)
            | Self::TooOld { .. }
            | Self::Unpinnable { .. } => None,
        };
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return error.raw_os_error();
            }
            source = error.source();
        }
        None
    }
}
