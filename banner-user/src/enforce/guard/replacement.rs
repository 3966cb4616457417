//! Other interfaces than before, for a daemon that runs: what may not take the place of what is guarded, and what an operator
//! hears of it where it does.

use super::{Guard, Guarded, State, shown};
use crate::enforce::host::{self, Interfaces, SelectError, Snapshot};

/// No interface that is to be guarded exists, and one that is guarded does: with a slip in a name, everything would pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "none of the configured interfaces exists ({}){} {} guarded",
    list(.configured),
    .nearest.as_ref().map_or_else(|| ";".to_owned(), |nearest| format!("; did you mean {}?", shown(nearest))),
    stays(.guarded)
)]
pub struct LeavesNone {
    /// As the configuration names them.
    pub configured: Vec<String>,
    /// The existing name that is nearest to one of them.
    pub nearest: Option<String>,
    /// The interfaces that are guarded, and stay so.
    pub guarded: Vec<String>,
}

impl Guard {
    /// Whether these interfaces may be guarded in place of those that are. At a start, names that do not exist yet are waited
    /// for; here that would open what is closed.
    ///
    /// # Errors
    /// [`LeavesNone`]. With `auto` there is always something: without a default route, what was guarded last.
    pub fn check_replacement(&self, interfaces: &Interfaces, network: &Snapshot) -> Result<(), LeavesNone> {
        let attached = self.guarded.iter().filter(|guarded| matches!(guarded.state, State::Attached(_)));
        // One that has vanished since it was last looked at protects nothing.
        let there = attached.filter_map(|guarded| network.link(guarded.index?));
        let guarded: Vec<String> = there.map(|link| link.name.clone()).collect();
        let Interfaces::Named(configured) = interfaces else { return Ok(()) };
        if guarded.is_empty() || configured.iter().any(|name| network.link_named(name).is_some()) {
            return Ok(());
        }
        let nearest =
            configured.iter().find_map(|name| match host::select(network, &Interfaces::Named(vec![name.clone()])) {
                Err(SelectError::Missing { nearest, .. }) => nearest,
                Ok(_) | Err(_) => None,
            });
        Err(LeavesNone { configured: configured.clone(), nearest, guarded })
    }

    /// What an operator should be told of where this guard has taken the place of a former one: each interface that is no longer
    /// guarded, is now, or should be and is not.
    #[must_use]
    pub fn changes_from(&self, former: &Self) -> Vec<String> {
        let is_attached = |guarded: &&Guarded| matches!(guarded.state, State::Attached(_));
        let is_among = |guarded: &Guarded, others: &[Guarded]| {
            others.iter().filter(is_attached).any(|other| other.index == guarded.index)
        };
        let left = former.guarded.iter().filter(is_attached).filter(|guarded| !is_among(guarded, &self.guarded));
        let left = left.map(|guarded| format!("interface {} is no longer guarded", shown(&guarded.name)));
        let new = self.guarded.iter().filter(is_attached).filter(|guarded| !is_among(guarded, &former.guarded));
        let new = new.map(|guarded| format!("interface {guarded} is guarded"));
        let notes = self.guarded.iter().filter(|guarded| !former.guarded.contains(guarded));
        let notes =
            notes.flat_map(|guarded| guarded.notes.iter().map(move |note| format!("interface {guarded}: {note}")));
        let remarks = self.remarks.iter().filter(|remark| !former.remarks.contains(remark)).cloned();
        left.chain(new).chain(notes).chain(remarks).collect()
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}

fn stays(names: &[String]) -> String {
    format!("{} {}", list(names), if names.len() == 1 { "stays" } else { "stay" })
}

#[cfg(test)]
mod tests;
