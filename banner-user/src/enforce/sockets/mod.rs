//! Open connections of banned sources. Their packets are dropped from the ban on, and without this the server's process would wait
//! for the next one until its own timeout, minutes later; it reads ECONNABORTED instead, and the client is told by a reset.
//!
//! ```text
//! ban written ──> Banned ──filter──> dump ──> our port? still open? do the maps drop its packets? ──> SOCK_DESTROY
//! ```
//!
//! The last word have the maps of bans: a connection is destroyed if the program drops what comes in on it, and only then. So what
//! is protected inside a banned prefix, only observed, banned from other services or unbanned meanwhile is let alone by the same
//! rule as its packets are, and a connection that this host has opened to somebody else's mail server, whose local port is none of
//! ours, is as well.
//!
//! Only the network namespace of the thread that opens [`Sockets`] is reached: the kernel lists and destroys sockets by
//! namespace. Servers in containers with networks of their own keep their connections until they time out, as their packets are
//! dropped all the same if they come through a guarded interface.

mod filter;
mod netlink;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use netlink_packet_sock_diag::{
    TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_SYN_RECV,
    inet::{InetResponseHeader, StateFlags},
};
use nix::errno::Errno;

use self::{
    filter::Family,
    netlink::{Destroyed, Diagnosis, Dumped},
};
use super::{
    bans::{BanMapError, Verdicts},
    pins::Pins,
};
use crate::service::{ServiceMask, Services};

/// The prefixes that a dump is filtered by. Each costs 24 ns for every socket that it leaves out; to report one costs 900, and to
/// look it up as much again.
const PREFIXES_MAX: usize = 32;

/// Connections that are destroyed after one dump; the rest after the next.
const CONNECTIONS_MAX: usize = 1 << 16;

/// Dumps of one family for [`Sockets::destroy`], where one after the other turns out not to be complete.
const DUMPS_MAX: usize = 8;

/// The states of a connection. What waits in TIME_WAIT has ended, and who listens or is closed has no peer.
const STATES: StateFlags =
    StateFlags::all().difference(StateFlags::LISTEN.union(StateFlags::TIME_WAIT).union(StateFlags::CLOSE));

/// Destroys the connections of banned sources.
pub struct Sockets {
    verdicts: Verdicts,
    ports: BTreeMap<u16, ServiceMask>,
}

/// Whose connections are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// Sources in these prefixes, at most 32.
    In(BTreeSet<IpNet>),
    /// All that are banned.
    Everyone,
}

/// What became of the connections that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// They are no more.
    pub destroyed: usize,
    /// They are still open.
    pub failed: usize,
    /// Why, of the last of these.
    pub cause: Option<Errno>,
    /// Some may not have been found, in so many dumps.
    pub incomplete: bool,
}

/// Why connections of banned sources stay open.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The kernel does not tell of TCP sockets.
    #[error(
        "open connections of banned sources stay until they time out: this kernel does not list them; \
         `modprobe tcp_diag` (CONFIG_INET_TCP_DIAG), and start banner anew"
    )]
    NoDiagnosis,
    /// The kernel cannot destroy TCP sockets.
    #[error(
        "open connections of banned sources stay until they time out: this kernel does not destroy them; \
         it takes one with CONFIG_INET_DIAG_DESTROY=y"
    )]
    NoDestruction,
    /// The process may not.
    #[error(
        "open connections of banned sources stay until they time out: banner may not destroy them; \
         it needs CAP_NET_ADMIN while it runs"
    )]
    NotPermitted,
    /// No netlink socket.
    #[error(
        "cannot open a netlink socket for open connections: {cause}; under systemd, AF_NETLINK must be among the unit's \
         RestrictAddressFamilies="
    )]
    Open {
        /// From socket(2) or bind(2).
        cause: Errno,
    },
    /// The kernel refused or broke off.
    #[error("cannot list or destroy open connections over netlink: {cause}")]
    Transfer {
        /// From the socket or out of the kernel's answer.
        cause: Errno,
    },
    /// The kernel answered something else than expected.
    #[error(
        "cannot understand what netlink says of open connections: {detail}; please report this with the output of `uname -r`"
    )]
    Decode {
        /// What did not fit.
        detail: String,
    },
    /// The maps of bans do not say whose connections they are.
    #[error(transparent)]
    Maps(#[from] BanMapError),
}

impl SocketsError {
    /// Whether it will be so until the next start.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NoDiagnosis | Self::NoDestruction | Self::NotPermitted)
    }
}

impl Default for Banned {
    /// Nobody's.
    fn default() -> Self {
        Self::In(BTreeSet::new())
    }
}

impl Banned {
    /// Those in one more prefix.
    pub fn add(&mut self, prefix: IpNet) {
        if let Self::In(prefixes) = self {
            prefixes.insert(prefix);
            if prefixes.len() > PREFIXES_MAX {
                *self = Self::Everyone;
            }
        }
    }

    /// Those of others, too.
    pub fn add_all(&mut self, others: Self) {
        match others {
            Self::In(prefixes) => prefixes.into_iter().for_each(|prefix| self.add(prefix)),
            Self::Everyone => *self = Self::Everyone,
        }
    }

    /// Whether nobody's are looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::In(prefixes) if prefixes.is_empty())
    }
}

impl Sockets {
    /// Opens the pinned maps of bans, and tries whether this kernel can list and destroy sockets.
    ///
    /// # Errors
    /// Every [`SocketsError`] but [`SocketsError::NotPermitted`]: the kernel looks at that last, once it has found a socket.
    pub fn open(pins: &Pins, services: &Services) -> Result<Self, SocketsError> {
        let mut diagnosis = Diagnosis::open()?;
        diagnosis.dump(Family::V4, StateFlags::empty(), None, |_| Ok(()))?;
        let id = netlink::nowhere(Family::V4);
        // What `inet_diag_cmd_exact` says where tcp_diag has no such function, before it looks for the socket.
        if diagnosis.destroy(netlink_packet_sock_diag::AF_INET, id)? == Destroyed::Not(Errno::EOPNOTSUPP) {
            return Err(SocketsError::NoDestruction);
        }
        Ok(Self { verdicts: Verdicts::open(pins)?, ports: services.ports() })
    }

    /// Destroys the connections of banned sources among these to the services that they are banned from, as the maps stand now.
    /// With up to 32 prefixes it takes the kernel 0.2 to 1 µs for each of the host's sockets, with more (everyone) 1 µs, and as much
    /// again for each that is a service's.
    ///
    /// # Errors
    /// Where sockets cannot be listed or destroyed at all. Connections that could be destroyed before are.
    pub fn destroy(&self, banned: &Banned) -> Result<Outcome, SocketsError> {
        let mut outcome = Outcome::default();
        for family in [Family::V4, Family::V6] {
            let filter = match banned {
                Banned::Everyone => None,
                Banned::In(prefixes) => match filter::remote_in(prefixes, family) {
                    Some(program) => Some(program),
                    // No socket of this family can be of any of them.
                    None => continue,
                },
            };
            self.destroy_family(family, filter.as_deref(), &mut outcome)?;
        }
        Ok(outcome)
    }

    fn destroy_family(&self, family: Family, filter: Option<&[u8]>, outcome: &mut Outcome) -> Result<(), SocketsError> {
        let failed_before = outcome.failed;
        outcome.incomplete |= !until_complete(|| {
            outcome.failed = failed_before;
            self.destroy_once(family, filter, outcome)
        })?;
        Ok(())
    }

    fn destroy_once(
        &self,
        family: Family,
        filter: Option<&[u8]>,
        outcome: &mut Outcome,
    ) -> Result<Dumped, SocketsError> {
        let mut diagnosis = Diagnosis::open()?;
        let mut found = Vec::new();
        let mut dumped = diagnosis.dump(family, STATES, filter, |socket| {
            if self.is_to_go(&socket)? && found.len() <= CONNECTIONS_MAX {
                found.push(socket);
            }
            Ok(())
        })?;
        if found.len() > CONNECTIONS_MAX {
            dumped = Dumped::InPart;
        }
        for socket in found {
            match diagnosis.destroy(socket.family, socket.socket_id)? {
                Destroyed::Now => outcome.destroyed += 1,
                Destroyed::Before => {}
                // `sock_diag_destroy` in net/core/sock_diag.c.
                Destroyed::Not(Errno::EPERM) => return Err(SocketsError::NotPermitted),
                Destroyed::Not(cause) => {
                    outcome.failed += 1;
                    outcome.cause = Some(cause);
                }
            }
        }
        Ok(dumped)
    }

    fn is_to_go(&self, socket: &InetResponseHeader) -> Result<bool, SocketsError> {
        let Some(services) = self.ports.get(&socket.socket_id.source_port) else { return Ok(false) };
        Ok(is_somebodys(socket) && self.verdicts.drops(socket.socket_id.destination_address, *services)?)
    }
}

/// Does again what a dump has not told in full, some times. False where none has.
fn until_complete(mut dump: impl FnMut() -> Result<Dumped, SocketsError>) -> Result<bool, SocketsError> {
    for _ in 0..DUMPS_MAX {
        if dump()? == Dumped::All {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process has the connection, or is still to get it from its listening socket. Where the process has closed it, only
/// the kernel is busy with its end, and must be let alone: before Linux 6.11, to destroy such a socket takes its timer away and
/// keeps it for ever (`tcp_abort` in net/ipv4/tcp.c).
fn is_somebodys(socket: &InetResponseHeader) -> bool {
    socket.inode != 0 || matches!(socket.state, TCP_ESTABLISHED | TCP_SYN_RECV | TCP_CLOSE_WAIT)
}
