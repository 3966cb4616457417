//! Keeps the program attached to the interfaces that are configured, as they come and go.

mod attach;
mod replacement;

use std::fmt;

use self::attach::attach;
pub use self::replacement::LeavesNone;
use super::{
    explain::Explained,
    host::{self, Interfaces, Link, SelectError, Snapshot},
    kernel::{Attach, Kernel, KernelError, Mode},
};
use crate::event::Escaped;

/// The configured interfaces, and how each fares.
#[derive(Debug)]
pub struct Guard {
    interfaces: Interfaces,
    attach: Attach,
    guarded: Vec<Guarded>,
    /// What the operator should know of the interfaces beforehand: a bridge port, a default route that cannot be guarded.
    remarks: Vec<String>,
    /// Whether one came back since this was last asked.
    returned: bool,
}

/// One interface that is, or should be, guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// As the kernel or, where it has none of that name, the configuration names it.
    pub name: String,
    /// The kernel's index; None while there is no such interface.
    pub index: Option<u32>,
    /// How it fares.
    pub state: State,
    /// What the operator should know all the same: a slower mode, that it is missed, that it has another name now.
    pub notes: Vec<String>,
    /// The name in the configuration that led to it; None with `auto`.
    configured: Option<String>,
}

/// How an interface fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The program sees its packets.
    Attached(Mode),
    /// There is no such interface (any more). It is attached to as soon as it appears.
    Missing,
    /// `auto`, and no default route has led to any interface yet.
    NoRoute,
    /// The kernel refused; tried again when the interface changes.
    Failed(String),
}

/// Why nothing at all can be guarded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// What is configured does not fit the host.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The kernel refused an interface, or would have.
    #[error("cannot guard interface {interface}: {explained}")]
    Refused {
        /// Its name, escaped.
        interface: String,
        /// Why, and what to do.
        explained: Explained,
    },
    /// The kernel refused something else.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// With `auto`, interfaces that were guarded and are gone are remembered, since they may return; of more than this, those that
/// have been known longest are forgotten.
const MISSING_MAX: usize = 64;

/// A link that is to be guarded.
struct Wanted<'a> {
    link: &'a Link,
    /// The name in the configuration that led to it.
    configured: Option<String>,
}

impl Guard {
    /// Attaches to every configured interface that exists, taking over what an earlier run left, and leaves those that are no
    /// longer configured. One that does not exist is waited for by [`Guard::refresh`], and by nobody else.
    ///
    /// With `auto` and no default route, as at boot, those are guarded that were so last time: those in `last_known`, and those
    /// on which an earlier run has left the program.
    ///
    /// # Errors
    /// Where one that exists cannot be guarded: at start an operator should see that at once. The program stays on those where
    /// it is.
    pub fn start(
        interfaces: Interfaces,
        attach: Attach,
        kernel: &mut Kernel,
        network: &Snapshot,
        last_known: &[String],
    ) -> Result<Self, GuardError> {
        let mut guard = Self { interfaces, attach, guarded: Vec::new(), remarks: Vec::new(), returned: false };
        match guard.interfaces.clone() {
            Interfaces::Auto => match host::select(network, &Interfaces::Auto) {
                Ok(selection) => {
                    for link in &selection.links {
                        guard.guard_or_fail(&Wanted { link, configured: None }, kernel)?;
                    }
                }
                Err(error) => guard.start_without_route(error, kernel, network, last_known)?,
            },
            Interfaces::Named(names) if names.is_empty() => return Err(SelectError::NoneNamed.into()),
            Interfaces::Named(names) => {
                for name in &names {
                    guard.start_named(name, kernel, network)?;
                }
            }
        }
        guard.remarks = guard.look(network);
        for index in kernel.linked_interfaces()? {
            if !guard.guarded.iter().any(|guarded| guarded.index == Some(index)) {
                kernel.detach(index)?;
            }
        }
        Ok(guard)
    }

    fn start_named(&mut self, name: &str, kernel: &mut Kernel, network: &Snapshot) -> Result<(), GuardError> {
        match host::select(network, &Interfaces::Named(vec![name.to_owned()])) {
            Ok(selection) => {
                for link in &selection.links {
                    self.guard_or_fail(&Wanted { link, configured: Some(name.to_owned()) }, kernel)?;
                }
            }
            Err(missing @ SelectError::Missing { .. }) => {
                let notes = vec![format!("{missing}; it is guarded as soon as it appears")];
                let (name, configured) = (name.to_owned(), Some(name.to_owned()));
                self.guarded.push(Guarded { name, index: None, state: State::Missing, notes, configured });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn start_without_route(
        &mut self,
        error: SelectError,
        kernel: &mut Kernel,
        network: &Snapshot,
        last_known: &[String],
    ) -> Result<(), GuardError> {
        let pinned = kernel.linked_interfaces()?;
        let is_known = |link: &&Link| last_known.contains(&link.name) || pinned.contains(&link.index);
        for link in network.links.iter().filter(is_known).filter(|link| host::is_fit_for_auto(link)) {
            // That it was right last time does not mean that it has to be this time: nobody named it.
            let guarded = self.guard(&Wanted { link, configured: None }, kernel).unwrap_or_else(|error| Guarded {
                name: link.name.clone(),
                index: Some(link.index),
                state: State::Failed(error.to_string()),
                notes: Vec::new(),
                configured: None,
            });
            self.guarded.push(guarded);
        }
        if !self.guarded.is_empty() {
            return Ok(());
        }
        if !matches!(error, SelectError::NoDefaultRoute { .. }) {
            return Err(error.into());
        }
        let notes = vec![format!("{error}; without a name, the first interface that has one is waited for")];
        let (name, state) = ("auto".to_owned(), State::NoRoute);
        self.guarded.push(Guarded { name, index: None, state, notes, configured: None });
        Ok(())
    }

    /// Once each, by whatever names.
    fn guard_or_fail(&mut self, wanted: &Wanted<'_>, kernel: &mut Kernel) -> Result<(), GuardError> {
        if !self.guarded.iter().any(|guarded| guarded.index == Some(wanted.link.index)) {
            let guarded = self.guard(wanted, kernel)?;
            self.guarded.push(guarded);
        }
        Ok(())
    }

    /// Looks again, after the network has changed: attaches to what has appeared, and tells what has gone. What is guarded
    /// stays so while it exists, even where a default route has left it or it has another name: routes flap, and a guard costs
    /// nothing. Returns what an operator should be told.
    pub fn refresh(&mut self, kernel: &mut Kernel, network: &Snapshot) -> Vec<String> {
        let mut news = Vec::new();
        for guarded in &mut self.guarded {
            match guarded.index.map(|index| network.link(index)) {
                Some(Some(link)) => news.extend(guarded.follow_name(link)),
                Some(None) => news.extend(guarded.is_gone(kernel)),
                None => {}
            }
        }
        let program = kernel.program_id().ok();
        for wanted in self.wanted(network) {
            let link = wanted.link;
            let runs_ours = program.is_none_or(|program| link.xdp.iter().any(|attached| attached.program == program));
            let itself = self.guarded.iter().position(|guarded| guarded.index == Some(link.index));
            let known = itself.or_else(|| self.guarded.iter().position(|guarded| guarded.waits_for(&wanted)));
            let former = known.and_then(|known| self.guarded.get(known));
            if let Some(former @ Guarded { state: State::Attached(_), .. }) = former {
                if runs_ours {
                    continue;
                }
                news.push(format!("somebody took the program off interface {former}"));
            }
            let guarded = match self.guard(&wanted, kernel) {
                Ok(guarded) => {
                    news.push(format!("interface {guarded} is guarded"));
                    self.returned = true;
                    guarded
                }
                Err(error) => Guarded::new(&wanted, State::Failed(error.to_string()), Vec::new()),
            };
            let former = known.and_then(|known| self.guarded.get_mut(known));
            let is_new = former.as_ref().is_none_or(|former| former.state != guarded.state);
            if let (State::Failed(why), true) = (&guarded.state, is_new) {
                news.push(format!("interface {guarded} is not guarded: {why}"));
            }
            match former {
                Some(former) => *former = guarded,
                None => self.guarded.push(guarded),
            }
        }
        self.forget();
        let remarks = self.look(network);
        news.extend(remarks.iter().filter(|remark| !self.remarks.contains(remark)).cloned());
        self.remarks = remarks;
        news
    }

    /// Every interface that is or should be guarded.
    #[must_use]
    pub fn interfaces(&self) -> &[Guarded] {
        &self.guarded
    }

    /// The interfaces to hand to the next [`Guard::start`] as the last known: none where the configuration names them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let found =
            self.guarded.iter().filter(|guarded| guarded.configured.is_none() && guarded.state != State::NoRoute);
        found.map(|guarded| guarded.name.clone()).collect()
    }

    /// Whether an interface has been attached to anew since this was last asked.
    pub fn take_returned(&mut self) -> bool {
        std::mem::take(&mut self.returned)
    }

    /// What the operator should know of the interfaces, beside how each fares.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn look(&self, network: &Snapshot) -> Vec<String> {
        let selections = match &self.interfaces {
            Interfaces::Auto => vec![host::select(network, &Interfaces::Auto)],
            // One by one, as in `wanted`.
            Interfaces::Named(names) => {
                names.iter().map(|name| host::select(network, &Interfaces::Named(vec![name.clone()]))).collect()
            }
        };
        let is_any_there = self.guarded.iter().any(|guarded| guarded.index.is_some());
        let without_route = match selections.as_slice() {
            [Err(SelectError::NoDefaultRoute { .. })] if is_any_there => {
                Some("there is no default route at present: the interfaces that were guarded before stay so".to_owned())
            }
            [Err(error @ SelectError::NoneFit { .. })] if is_any_there => Some(error.to_string()),
            _ => None,
        };
        let notes = selections.iter().flatten().flat_map(|selection| &selection.notes).map(ToString::to_string);
        notes.chain(without_route).collect()
    }

    fn wanted<'a>(&self, network: &'a Snapshot) -> Vec<Wanted<'a>> {
        match &self.interfaces {
            Interfaces::Auto => {
                let found =
                    host::select(network, &Interfaces::Auto).map(|selection| selection.links).unwrap_or_default();
                let missing = self.guarded.iter().filter(|guarded| guarded.state == State::Missing);
                let returned = missing.filter_map(|guarded| network.link_named(&guarded.name));
                let indices: Vec<u32> =
                    found.iter().map(|link| link.index).chain(returned.map(|link| link.index)).collect();
                let wanted = network.links.iter().filter(|link| indices.contains(&link.index));
                wanted.map(|link| Wanted { link, configured: None }).collect()
            }
            Interfaces::Named(names) => {
                // One by one: that another one is missing must not keep this one unguarded.
                let fit = |name: &&String| host::select(network, &Interfaces::Named(vec![(*name).clone()])).is_ok();
                let wanted = |name: &String| {
                    network.link_named(name).map(|link| Wanted { link, configured: Some(name.clone()) })
                };
                names.iter().filter(fit).filter_map(wanted).collect()
            }
        }
    }

    fn guard(&self, wanted: &Wanted<'_>, kernel: &mut Kernel) -> Result<Guarded, GuardError> {
        let (mode, notes) = attach(self.attach, wanted.link, kernel)?;
        Ok(Guarded::new(wanted, State::Attached(mode), notes))
    }

    /// What has been waited for is there, under this or another index or name.
    fn forget(&mut self) {
        let there: Vec<(Option<String>, String)> = self
            .guarded
            .iter()
            .filter(|guarded| guarded.index.is_some())
            .map(|guarded| (guarded.configured.clone(), guarded.name.clone()))
            .collect();
        self.guarded.retain(|guarded| match guarded.state {
            State::Attached(_) | State::Failed(_) => true,
            State::NoRoute => there.is_empty(),
            State::Missing => !there.iter().any(|(configured, name)| match &guarded.configured {
                Some(wanted) => configured.as_ref() == Some(wanted),
                None => *name == guarded.name,
            }),
        });
        let is_missing = |guarded: &Guarded| guarded.configured.is_none() && guarded.state == State::Missing;
        let mut beyond = self.guarded.iter().filter(|guarded| is_missing(guarded)).count().saturating_sub(MISSING_MAX);
        self.guarded.retain(|guarded| {
            let goes = beyond > 0 && is_missing(guarded);
            beyond -= usize::from(goes);
            !goes
        });
    }
}

impl Guarded {
    fn new(wanted: &Wanted<'_>, state: State, notes: Vec<String>) -> Self {
        let (name, index) = (wanted.link.name.clone(), Some(wanted.link.index));
        Self { name, index, state, notes, configured: wanted.configured.clone() }
    }

    /// Whether this link is the one that is missed here.
    fn waits_for(&self, wanted: &Wanted<'_>) -> bool {
        self.state == State::Missing
            && match &self.configured {
                Some(configured) => Some(configured) == wanted.configured.as_ref(),
                None => self.name == wanted.link.name,
            }
    }

    /// Takes over the link's name. An interface keeps its program when it is renamed (the link is to its index).
    fn follow_name(&mut self, link: &Link) -> Option<String> {
        if self.name == link.name {
            return None;
        }
        let former = std::mem::replace(&mut self.name, link.name.clone());
        let note = |configured: &str| {
            format!(
                "the configuration names it {}, which it no longer answers to: it stays guarded until banner starts anew",
                shown(configured)
            )
        };
        let news = format!("interface {} is called {} now, and stays as it was", shown(&former), shown(&self.name));
        let Some(configured) = &self.configured else { return Some(news) };
        let note = note(configured);
        self.notes.retain(|known| *known != note);
        if link.answers_to(configured) {
            return Some(news);
        }
        let news = format!("{news}; {note}");
        self.notes.push(note);
        Some(news)
    }

    /// The interface has gone, to another namespace or for good. The kernel detaches the program with it in the latter case
    /// alone; in the former, what is pinned would go on in a namespace that is not ours.
    fn is_gone(&mut self, kernel: &Kernel) -> Vec<String> {
        let mut news = vec![format!("interface {self} is gone; it is guarded again as soon as it returns")];
        if let Some(index) = self.index.take()
            && let Err(error) = kernel.detach(index)
        {
            news.push(error.to_string());
        }
        if let Some(configured) = &self.configured {
            self.name.clone_from(configured);
        }
        self.state = State::Missing;
        self.notes = vec!["it is gone, and is guarded again as soon as it returns".to_owned()];
        news
    }
}

fn shown(name: &str) -> String {
    Escaped(name.as_bytes()).to_string()
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.name))?;
        match self.state {
            State::Attached(Mode::Native) => f.write_str(" (native)"),
            State::Attached(Mode::Generic) => f.write_str(" (generic)"),
            State::Missing | State::NoRoute | State::Failed(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
