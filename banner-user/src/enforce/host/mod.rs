//! What banner has to know of the host's network, read and never written: which links there are and what XDP they run,
//! which addresses must never be banned, where the default routes lead.
//!
//! ```text
//! rtnetlink dumps ──> Snapshot ──┬──> protected(): the host's own addresses, its gateways and resolvers
//! resolv.conf     ──>            ├──> select():    the links to attach to
//!                                └──> foreign():   whose XDP program is in the way
//! rtnetlink groups ─> Watch: read again
//! ```
//!
//! [`Host`] and [`Watch`] speak to the kernel; everything else is a pure function of a [`Snapshot`]. Only the network
//! namespace of the calling thread is seen.

mod address;
mod fitness;
mod foreign;
mod link;
mod netlink;
mod private;
mod protected;
mod resolvers;
mod route;
mod select;
#[cfg(test)]
pub(super) mod tests;
mod watch;

use std::{io, net::IpAddr, path::PathBuf};

use netlink_packet_route::AddressFamily;
use nix::errno::Errno;

use self::netlink::Connection;
pub use self::{
    address::Address,
    fitness::{Note, Remark, Unfit, is_fit_for_auto},
    foreign::{Foreign, foreign},
    link::{AttachedXdp, Link, LinkLayer, XdpMode},
    private::unignored_networks,
    protected::{Protected, Role, protected},
    route::DefaultRoute,
    select::{Interfaces, SelectError, Selection, select},
    watch::Watch,
};

/// Where the host's network is read from.
#[derive(Clone, Debug)]
pub struct Host {
    /// Files in the format of resolv.conf(5). One that does not exist names no resolver.
    pub resolv_conf: Vec<PathBuf>,
}

/// The host's network at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every link, in the kernel's order.
    pub links: Vec<Link>,
    /// Every address of every link, of both families.
    pub addresses: Vec<Address>,
    /// The next hops of the default routes of both families in all routing tables.
    pub default_routes: Vec<DefaultRoute>,
    /// The name servers that the host asks.
    pub resolvers: Vec<IpAddr>,
}

/// Why the host's network could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No netlink socket.
    #[error(
        "cannot open a netlink socket: {cause}; under systemd, AF_NETLINK must be among the unit's RestrictAddressFamilies="
    )]
    Open {
        /// From socket(2), setsockopt(2) or bind(2).
        cause: Errno,
    },
    /// The kernel refused or broke off.
    #[error("cannot read the host's {what} over netlink: {cause}")]
    Transfer {
        /// Which dump.
        what: &'static str,
        /// From the socket or out of the kernel's answer.
        cause: Errno,
    },
    /// The kernel answered something else than expected.
    #[error(
        "cannot understand what netlink says of the host's {what}: {detail}; please report this with the output of `uname -r`"
    )]
    Decode {
        /// Which dump.
        what: &'static str,
        /// What did not fit.
        detail: String,
    },
    /// They changed during every attempt to read them, so that none was complete.
    #[error("the host's network keeps changing while it is read; reading it again later will do")]
    Unsteady,
    /// More than is kept. Nothing is kept then: a list that ends somewhere would leave an address unprotected.
    #[error("the host has more than {limit} {what}, more than banner keeps")]
    TooMany {
        /// Which dump.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A file of name servers exists and cannot be read.
    #[error("cannot read the name servers in {path}: {cause}; they must be known, so that none of them is banned")]
    Resolvers {
        /// The file.
        path: PathBuf,
        /// From open(2) or read(2).
        cause: Errno,
    },
}

/// Far beyond real hosts; bounds what a runaway container engine can make us hold.
const LINKS_MAX: usize = 1 << 16;
const ADDRESSES_MAX: usize = 1 << 18;
const DEFAULT_ROUTES_MAX: usize = 1 << 12;

/// A dump takes milliseconds; changes that hit this many in a row mean that there is no quiet moment.
const ATTEMPTS: usize = 8;

impl Default for Host {
    /// The resolver's own file, and systemd-resolved's list of upstream servers: with its stub, the former says
    /// 127.0.0.53 alone.
    fn default() -> Self {
        Self { resolv_conf: vec!["/etc/resolv.conf".into(), "/run/systemd/resolve/resolv.conf".into()] }
    }
}

impl Host {
    /// Reads everything. On a usual host that takes a tenth of a millisecond. The kernel hands out all routes (it
    /// cannot filter by destination), half a microsecond each: with a full BGP table it takes half a second, in slices
    /// between which other tasks run.
    ///
    /// # Errors
    /// Every [`HostError`]. The caller keeps what it read before.
    pub async fn read(&self) -> Result<Snapshot, HostError> {
        let resolvers = resolvers::read(&self.resolv_conf)?;
        let mut connection = Connection::open(&[])?;
        for _ in 0..ATTEMPTS {
            match snapshot(&mut connection).await {
                Err(HostError::Unsteady) => {}
                Ok(network) => return Ok(Snapshot { resolvers, ..network }),
                Err(error) => return Err(error),
            }
        }
        Err(HostError::Unsteady)
    }
}

async fn snapshot(connection: &mut Connection) -> Result<Snapshot, HostError> {
    let links = connection.dump(link::request(), "links", LINKS_MAX, link::decode).await?;
    let addresses = connection.dump(address::request(), "addresses", ADDRESSES_MAX, address::decode).await?;
    let mut default_routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let decode = |body: &[u8], routes: &mut Vec<_>| route::decode(body, family, routes);
        default_routes.extend(connection.dump(route::request(family), "routes", DEFAULT_ROUTES_MAX, decode).await?);
    }
    Ok(Snapshot { links, addresses, default_routes, resolvers: Vec::new() })
}

impl Snapshot {
    /// The link with this index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The link with this name or alternative name.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.answers_to(name))
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}
