//! Which links to attach to: those that the operator named, or those that the default routes use.

use std::fmt;

use super::{Link, LinkLayer, Snapshot};
use crate::event::Escaped;

/// What the operator wants guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// The links of the default routes of both families in all tables, as they change.
    Auto,
    /// These, by name or alternative name.
    Named(Vec<String>),
}

/// The links to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// At least one; each once.
    pub links: Vec<Link>,
    /// What the operator should know about them.
    pub notes: Vec<Note>,
}

/// What the operator should know about a link that was selected, or that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A default route uses it, and it cannot be guarded. Only with [`Interfaces::Auto`].
    PassedOver {
        /// Its name.
        interface: String,
        /// Why not.
        reason: Unfit,
    },
    /// Its driver cannot run XDP: only generic mode will work.
    GenericOnly {
        /// Its name.
        interface: String,
        /// What it is: `bridge`, `vlan`, `loopback`.
        kind: String,
    },
    /// It is one of several ports whose packets the mail server gets.
    PortOfBond {
        /// Its name.
        interface: String,
        /// The name of the bond or team.
        master: String,
    },
    /// It brings packets for others too.
    PortOfBridge {
        /// Its name.
        interface: String,
        /// The name of the bridge.
        master: String,
    },
    /// It is down, so that nothing comes in there yet.
    Down {
        /// Its name.
        interface: String,
    },
}

/// Why XDP cannot guard a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its frames have no Ethernet header. The kernel attaches a program there all the same, in generic mode, and the program would
    /// take the first 14 bytes of the IP header for an Ethernet header.
    NotEthernet(LinkLayer),
    /// A VRF: a routing domain that looks like a device. Packets reach it from its ports past generic XDP (vrf_ip_rcv in
    /// drivers/net/vrf.c), so a program there would see none.
    Vrf,
    /// Loopback, which nobody outside reaches. Only with [`Interfaces::Auto`].
    Loopback,
}

/// Why there is nothing to attach to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// `auto`, and no default route.
    #[error(
        "no default route, so that `interface = \"auto\"` finds nothing to guard; name the interface: {}",
        Names(existing)
    )]
    NoDefaultRoute {
        /// The interfaces that exist and could be guarded.
        existing: Vec<String>,
    },
    /// `auto`, and no link of a default route can be guarded.
    #[error(
        "no interface with a default route can be guarded ({}); name another one: {}",
        Reasons(passed_over),
        Names(existing)
    )]
    NoneFit {
        /// Each a [`Note::PassedOver`].
        passed_over: Vec<Note>,
        /// The interfaces that exist and could be guarded.
        existing: Vec<String>,
    },
    /// An empty list of names.
    #[error("the list of interfaces is empty; name at least one, or write `interface = \"auto\"`")]
    NoneNamed,
    /// A name that no link has.
    #[error("no interface `{}`{}; there are: {}", Escaped(name.as_bytes()), Suggestion(nearest.as_deref()), Names(existing))]
    Missing {
        /// As it was written.
        name: String,
        /// The existing name that is nearest to it.
        nearest: Option<String>,
        /// The interfaces that exist and could be guarded.
        existing: Vec<String>,
    },
    /// A link that was named and cannot be guarded.
    #[error("interface `{}` cannot be guarded: {reason}", Escaped(interface.as_bytes()))]
    Unfit {
        /// Its name.
        interface: String,
        /// Why not.
        reason: Unfit,
    },
}

/// Finds the links to attach to. Loopback is Ethernet-framed and taken where it is named, never by itself.
///
/// # Errors
/// Every [`SelectError`]: nothing to attach to, or not everything that was named.
pub fn select(snapshot: &Snapshot, interfaces: &Interfaces) -> Result<Selection, SelectError> {
    let mut selection = match interfaces {
        Interfaces::Auto => of_default_routes(snapshot)?,
        Interfaces::Named(names) => Selection { links: named(snapshot, names)?, notes: Vec::new() },
    };
    selection.notes.extend(selection.links.iter().flat_map(|link| notes(snapshot, link)));
    Ok(selection)
}

fn of_default_routes(snapshot: &Snapshot) -> Result<Selection, SelectError> {
    let mut links: Vec<&Link> = snapshot.default_routes.iter().filter_map(|route| snapshot.link(route.link)).collect();
    links.sort_by_key(|link| link.index);
    links.dedup();
    if links.is_empty() {
        return Err(SelectError::NoDefaultRoute { existing: existing(snapshot) });
    }
    let (mut fit, mut passed_over) = (Vec::new(), Vec::new());
    for link in links {
        match unfit_for_auto(link) {
            None => fit.push(link.clone()),
            Some(reason) => passed_over.push(Note::PassedOver { interface: link.name.clone(), reason }),
        }
    }
    if fit.is_empty() {
        return Err(SelectError::NoneFit { passed_over, existing: existing(snapshot) });
    }
    Ok(Selection { links: fit, notes: passed_over })
}

/// A name is only compared with the kernel's own and goes no further, so it may hold anything.
fn named(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Link>, SelectError> {
    let mut links = Vec::<Link>::new();
    for name in names {
        let Some(link) = snapshot.link_named(name) else {
            let existing = existing(snapshot);
            return Err(SelectError::Missing { name: name.clone(), nearest: nearest(name, &existing), existing });
        };
        if let Some(reason) = unfit(link) {
            return Err(SelectError::Unfit { interface: link.name.clone(), reason });
        }
        if !links.contains(link) {
            links.push(link.clone());
        }
    }
    if links.is_empty() { Err(SelectError::NoneNamed) } else { Ok(links) }
}

fn unfit(link: &Link) -> Option<Unfit> {
    match link.layer {
        LinkLayer::Other(_) => Some(Unfit::NotEthernet(link.layer)),
        LinkLayer::Ethernet if link.kind.as_deref() == Some("vrf") => Some(Unfit::Vrf),
        LinkLayer::Ethernet | LinkLayer::Loopback => None,
    }
}

fn unfit_for_auto(link: &Link) -> Option<Unfit> {
    unfit(link).or((link.layer == LinkLayer::Loopback).then_some(Unfit::Loopback))
}

/// Virtual devices without ndo_bpf (Linux 6.18, drivers/net, net/8021q, net/bridge). A bond has it where all its ports have it, so
/// nothing can be said of it beforehand.
const GENERIC_ONLY: [&str; 7] = ["bridge", "ipvlan", "loopback", "macvlan", "team", "vlan", "vxlan"];

fn notes(snapshot: &Snapshot, link: &Link) -> Vec<Note> {
    let interface = || link.name.clone();
    let kind = if link.layer == LinkLayer::Loopback { Some("loopback") } else { link.kind.as_deref() };
    let generic_only = kind
        .filter(|kind| GENERIC_ONLY.contains(kind))
        .map(|kind| Note::GenericOnly { interface: interface(), kind: kind.to_owned() });
    let master = link.master.and_then(|index| snapshot.link(index));
    let port = master.and_then(|master| match master.kind.as_deref() {
        Some("bond" | "team") => Some(Note::PortOfBond { interface: interface(), master: master.name.clone() }),
        Some("bridge") => Some(Note::PortOfBridge { interface: interface(), master: master.name.clone() }),
        _ => None,
    });
    let down = (!link.up).then(|| Note::Down { interface: interface() });
    [generic_only, port, down].into_iter().flatten().collect()
}

/// What to offer instead.
fn existing(snapshot: &Snapshot) -> Vec<String> {
    snapshot.links.iter().filter(|link| unfit_for_auto(link).is_none()).map(|link| link.name.clone()).collect()
}

fn nearest(name: &str, existing: &[String]) -> Option<String> {
    existing
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.clone())
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |name: &str| Escaped(name.as_bytes()).to_string();
        match self {
            Self::PassedOver { interface, reason } => {
                write!(f, "{} has a default route and is not guarded: {reason}", escaped(interface))
            }
            Self::GenericOnly { interface, kind } => {
                write!(f, "{} ({}) runs XDP in generic mode only", escaped(interface), escaped(kind))
            }
            Self::PortOfBond { interface, master } => write!(
                f,
                "{} is a port of {1}: what comes in by its other ports is not guarded; name {1} or all of its ports",
                escaped(interface),
                escaped(master)
            ),
            Self::PortOfBridge { interface, master } => write!(
                f,
                "{} is a port of bridge {1}: mail that {1} forwards to other hosts is dropped from banned sources too",
                escaped(interface),
                escaped(master)
            ),
            Self::Down { interface } => write!(f, "{} is down", escaped(interface)),
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

/// How many names an error lists.
const NAMES_SHOWN: usize = 16;

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(no Ethernet interface)");
        }
        for (index, name) in self.0.iter().take(NAMES_SHOWN).enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, Escaped(name.as_bytes()))?;
        }
        match self.0.len().saturating_sub(NAMES_SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

struct Reasons<'a>(&'a [Note]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, note) in self.0.iter().take(NAMES_SHOWN).enumerate() {
            write!(f, "{}{note}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

struct Suggestion<'a>(Option<&'a str>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, "; did you mean `{}`?", Escaped(nearest.as_bytes())))
    }
}
