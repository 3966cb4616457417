//! Which links to attach to: those that the operator named, or those that the default routes use.

use std::fmt;

use super::{
    Link, Note, Remark, Snapshot, Unfit,
    fitness::{is_fit_for_auto, notes, unfit, unfit_for_auto},
};
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
        /// Each a [`Remark::PassedOver`].
        passed_over: Vec<Note>,
        /// The interfaces that exist and could be guarded.
        existing: Vec<String>,
    },
    /// An empty list of names.
    #[error("the list of interfaces is empty; name at least one, or write `interface = \"auto\"`")]
    NoneNamed,
    /// A name that no link has.
    #[error("no interface `{}`{} there are: {}", Escaped(name.as_bytes()), Suggestion(nearest.as_deref()), Names(existing))]
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
            Some(reason) => passed_over.push(Note::new(link, Remark::PassedOver(reason))),
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

/// What to offer instead.
fn existing(snapshot: &Snapshot) -> Vec<String> {
    snapshot.links.iter().filter(|link| is_fit_for_auto(link)).map(|link| link.name.clone()).collect()
}

fn nearest(name: &str, existing: &[String]) -> Option<String> {
    existing
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.clone())
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
        match self.0 {
            Some(nearest) => write!(f, ", did you mean `{}`?", Escaped(nearest.as_bytes())),
            None => f.write_str(";"),
        }
    }
}

#[cfg(test)]
mod tests;
