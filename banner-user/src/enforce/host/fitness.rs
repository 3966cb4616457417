//! What XDP can do on a link, and what the operator should know of it beforehand.

use std::fmt;

use super::{Link, LinkLayer, Snapshot};
use crate::event::Escaped;

/// Why XDP cannot guard a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its frames have no Ethernet header. The kernel attaches a program there all the same, in generic mode, and the
    /// program would take the first 14 bytes of the IP header for an Ethernet header.
    NotEthernet(LinkLayer),
    /// A VRF: a routing domain that looks like a device. Packets reach it from its ports past generic XDP (vrf_ip_rcv
    /// in drivers/net/vrf.c), so a program there would see none.
    Vrf,
    /// Loopback, which nobody outside reaches. Only with [`Interfaces::Auto`](super::Interfaces::Auto).
    Loopback,
}

/// What the operator should know about a link that was selected, or that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The name of the link.
    pub interface: String,
    /// What there is to know.
    pub remark: Remark,
}

/// What there is to know about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A default route uses it, and it cannot be guarded. Only with [`Interfaces::Auto`](super::Interfaces::Auto).
    PassedOver(Unfit),
    /// Its driver cannot run XDP: only generic mode will work.
    GenericOnly {
        /// What it is: `bridge`, `vlan`, `loopback`.
        kind: String,
    },
    /// It is one of several ports whose packets the host gets.
    PortOfBond {
        /// The name of the bond or team.
        master: String,
    },
    /// It brings packets for others too.
    PortOfBridge {
        /// The name of the bridge.
        master: String,
    },
    /// It is down, so that nothing comes in there yet.
    Down,
}

pub(super) fn unfit(link: &Link) -> Option<Unfit> {
    match link.layer {
        LinkLayer::Other(_) => Some(Unfit::NotEthernet(link.layer)),
        LinkLayer::Ethernet if link.kind.as_deref() == Some("vrf") => Some(Unfit::Vrf),
        LinkLayer::Ethernet | LinkLayer::Loopback => None,
    }
}

pub(super) fn unfit_for_auto(link: &Link) -> Option<Unfit> {
    unfit(link).or((link.layer == LinkLayer::Loopback).then_some(Unfit::Loopback))
}

/// Whether `auto` may take a link without anybody having named it.
#[must_use]
pub fn is_fit_for_auto(link: &Link) -> bool {
    unfit_for_auto(link).is_none()
}

/// Virtual devices without ndo_bpf (Linux 6.18: drivers/net, net/8021q, net/bridge). A bond has it where all its ports
/// have it, so nothing can be said of it beforehand.
const GENERIC_ONLY: [&str; 7] = ["bridge", "ipvlan", "loopback", "macvlan", "team", "vlan", "vxlan"];

/// What there is to know about a link that is selected.
pub(super) fn notes(snapshot: &Snapshot, link: &Link) -> impl Iterator<Item = Note> {
    let kind = if link.layer == LinkLayer::Loopback { Some("loopback") } else { link.kind.as_deref() };
    let generic_only =
        kind.filter(|kind| GENERIC_ONLY.contains(kind)).map(|kind| Remark::GenericOnly { kind: kind.to_owned() });
    let master = link.master.and_then(|index| snapshot.link(index));
    let port = master.and_then(|master| match master.kind.as_deref() {
        Some("bond" | "team") => Some(Remark::PortOfBond { master: master.name.clone() }),
        Some("bridge") => Some(Remark::PortOfBridge { master: master.name.clone() }),
        _ => None,
    });
    let down = (!link.up).then_some(Remark::Down);
    [generic_only, port, down].into_iter().flatten().map(|remark| Note::new(link, remark))
}

impl Note {
    pub(super) fn new(link: &Link, remark: Remark) -> Self {
        Self { interface: link.name.clone(), remark }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = Escaped(self.interface.as_bytes());
        match &self.remark {
            Remark::PassedOver(reason) => write!(f, "{interface} has a default route and is not guarded: {reason}"),
            Remark::GenericOnly { kind } => {
                write!(f, "{interface} ({}) runs XDP in generic mode only", Escaped(kind.as_bytes()))
            }
            Remark::PortOfBond { master } => {
                let master = Escaped(master.as_bytes());
                write!(
                    f,
                    "{interface} is a port of {master}: what comes in by its other ports is not guarded; \
                     name {master} or all of its ports"
                )
            }
            Remark::PortOfBridge { master } => {
                let master = Escaped(master.as_bytes());
                write!(
                    f,
                    "{interface} is a port of bridge {master}: banned sources cannot send mail to the hosts behind \
                     {master} either"
                )
            }
            Remark::Down => write!(f, "{interface} is down"),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEthernet(layer) => write!(f, "its packets have no Ethernet header ({layer})"),
            Self::Vrf => f.write_str("it is a VRF and receives nothing itself; name its ports"),
            Self::Loopback => f.write_str("it is the loopback device"),
        }
    }
}
