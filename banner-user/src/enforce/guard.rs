//! Keeps the program attached to the interfaces that are configured, as they come and go.

use std::{fmt, thread, time::Duration};

use super::{
    explain::{Context, Explained, Operation, explain},
    host::{self, AttachedXdp, Foreign, Interfaces, Link, SelectError, Selection, Snapshot, XdpMode},
    kernel::{Attach, Attached, Kernel, KernelError, Mode},
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
    /// What the operator should know all the same: a slower mode.
    pub notes: Vec<String>,
}

/// How an interface fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The program sees its packets.
    Attached(Mode),
    /// There is no such interface (any more). It is attached to as soon as it appears.
    Missing,
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

impl Guard {
    /// Attaches to every configured interface, taking over what an earlier run left, and leaves those that are no longer
    /// configured.
    ///
    /// # Errors
    /// Where one of them cannot be guarded: at start an operator should see that at once. The program stays on those where
    /// it is.
    pub fn start(
        interfaces: Interfaces,
        attach: Attach,
        kernel: &mut Kernel,
        network: &Snapshot,
    ) -> Result<Self, GuardError> {
        let Selection { links, notes } = host::select(network, &interfaces)?;
        let remarks = notes.iter().map(ToString::to_string).collect();
        let mut guard = Self { interfaces, attach, guarded: Vec::new(), remarks };
        for link in &links {
            let guarded = guard.attach(link, kernel)?;
            guard.guarded.push(guarded);
        }
        for index in kernel.linked_interfaces()? {
            if !links.iter().any(|link| link.index == index) {
                kernel.detach(index)?;
            }
        }
        Ok(guard)
    }

    /// Looks again, after the network has changed: attaches to what has appeared, and tells what has gone. What is guarded
    /// stays so while it exists, even where a default route has left it: routes flap, and a guard costs nothing.
    /// Returns what an operator should be told.
    pub fn refresh(&mut self, kernel: &mut Kernel, network: &Snapshot) -> Vec<String> {
        let remarks = self.look(network);
        let mut news: Vec<String> = remarks.iter().filter(|remark| !self.remarks.contains(remark)).cloned().collect();
        self.remarks = remarks;
        for guarded in &mut self.guarded {
            let is_there = guarded.index.is_some_and(|index| network.link(index).is_some());
            if !is_there && guarded.state != State::Missing {
                news.push(format!("interface {guarded} is gone; it is guarded again as soon as it returns"));
                // The kernel detached the program with the interface; the pin would only keep an empty link.
                if let Some(index) = guarded.index.take()
                    && let Err(error) = kernel.detach(index)
                {
                    news.push(error.to_string());
                }
                guarded.state = State::Missing;
            }
        }
        let program = kernel.program_id().ok();
        for link in self.wanted(network) {
            let runs_ours = program.is_none_or(|program| link.xdp.iter().any(|attached| attached.program == program));
            let known =
                self.guarded.iter().position(|guarded| guarded.index == Some(link.index) || guarded.name == link.name);
            let former = known.and_then(|known| self.guarded.get(known));
            if let Some(former @ Guarded { state: State::Attached(_), .. }) = former {
                if runs_ours {
                    continue;
                }
                news.push(format!("somebody took the program off interface {former}"));
            }
            let guarded = match self.attach(link, kernel) {
                Ok(guarded) => {
                    news.push(format!("interface {guarded} is guarded"));
                    guarded
                }
                Err(error) => {
                    let state = State::Failed(error.to_string());
                    Guarded { name: link.name.clone(), index: Some(link.index), state, notes: Vec::new() }
                }
            };
            match known.and_then(|known| self.guarded.get_mut(known)) {
                Some(former) => {
                    if let (State::Failed(why), false) = (&guarded.state, former.state == guarded.state) {
                        news.push(format!("interface {guarded} is not guarded: {why}"));
                    }
                    *former = guarded;
                }
                None => self.guarded.push(guarded),
            }
        }
        news
    }

    /// Every interface that is or should be guarded.
    #[must_use]
    pub fn interfaces(&self) -> &[Guarded] {
        &self.guarded
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
        selections.iter().flatten().flat_map(|selection| &selection.notes).map(ToString::to_string).collect()
    }

    fn wanted<'a>(&self, network: &'a Snapshot) -> Vec<&'a Link> {
        let names: &[String] = match &self.interfaces {
            Interfaces::Auto => {
                let found =
                    host::select(network, &Interfaces::Auto).map(|selection| selection.links).unwrap_or_default();
                let missing = self.guarded.iter().filter(|guarded| guarded.state == State::Missing);
                let returned = missing.filter_map(|guarded| network.link_named(&guarded.name));
                let indices: Vec<u32> =
                    found.iter().map(|link| link.index).chain(returned.map(|link| link.index)).collect();
                return network.links.iter().filter(|link| indices.contains(&link.index)).collect();
            }
            Interfaces::Named(names) => names,
        };
        // One by one: that another one is missing must not keep this one unguarded.
        let fit = |name: &String| host::select(network, &Interfaces::Named(vec![name.clone()])).is_ok();
        names.iter().filter(|name| fit(name)).filter_map(|name| network.link_named(name)).collect()
    }

    fn attach(&self, link: &Link, kernel: &mut Kernel) -> Result<Guarded, GuardError> {
        let modes: &[Mode] = match self.attach {
            Attach::Auto => &[Mode::Native, Mode::Generic],
            Attach::Native => &[Mode::Native],
            Attach::Generic => &[Mode::Generic],
        };
        let pinned = kernel.linked_program(link.index)?;
        let ours = link.xdp.iter().find(|attached| Some(attached.program) == pinned).map(mode);
        if let Some(foreign) = host::foreign(link, pinned.as_slice()) {
            // What the kernel would say, without the race: a netlink attachment would be replaced silently.
            return Err(refused(link, Mode::Native, Some(&foreign), libc::EBUSY));
        }
        // A pin that the interface does not bear out is of another network namespace or of an interface that is gone; and a
        // link cannot change its mode, so that an operator who asks for the other one has a moment without.
        let leaves = pinned.is_some() && !ours.is_some_and(|mode| modes.contains(&mode));
        if leaves {
            kernel.detach(link.index)?;
        }
        let mut attach = |mode| {
            let attached = kernel.attach(link.index, mode);
            if leaves { wait_for_the_former(attached, || kernel.attach(link.index, mode)) } else { attached }
        };
        let guarded = |mode, notes| Guarded {
            name: link.name.clone(),
            index: Some(link.index),
            state: State::Attached(mode),
            notes,
        };
        let first = if self.attach == Attach::Generic { Mode::Generic } else { Mode::Native };
        match attach(first) {
            Ok(Attached::New(mode)) => Ok(guarded(mode, Vec::new())),
            Ok(Attached::TakenOver) => {
                let mode = ours.unwrap_or(first);
                let slower = mode == Mode::Generic && self.attach == Attach::Auto;
                let note =
                    "attached in generic mode by an earlier run; `banner detach` and a new start try native mode";
                Ok(guarded(mode, if slower { vec![note.to_owned()] } else { Vec::new() }))
            }
            Err(error) if self.attach == Attach::Auto && is_for_lack_of_native(&error) => {
                attach(Mode::Generic).map_err(|error| explained(link, Mode::Generic, error))?;
                let note =
                    format!("its driver does not run XDP natively ({error}); generic mode costs several times as much");
                Ok(guarded(Mode::Generic, vec![note]))
            }
            Err(error) => Err(explained(link, first, error)),
        }
    }
}

/// Tries again while the interface is still taken. The kernel takes a program off some time after its link's last reference
/// is gone, from a work queue (`bpf_link_put`, kernel/bpf/syscall.c): usually within a millisecond.
fn wait_for_the_former(
    mut attached: Result<Attached, KernelError>,
    mut again: impl FnMut() -> Result<Attached, KernelError>,
) -> Result<Attached, KernelError> {
    const STEP: Duration = Duration::from_millis(2);
    const STEPS: u32 = 100;
    for _ in 0..STEPS {
        match &attached {
            Err(error) if matches!(error.errno(), Some(libc::EBUSY | libc::EEXIST)) => {}
            _ => break,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "only where an operator has asked for another mode, and bounded"
        )]
        thread::sleep(STEP);
        attached = again();
    }
    attached
}

fn explained(link: &Link, mode: Mode, error: KernelError) -> GuardError {
    match (&error, error.errno()) {
        (KernelError::Attach { .. }, Some(errno)) => refused(link, mode, None, errno),
        _ => error.into(),
    }
}

fn refused(link: &Link, mode: Mode, foreign: Option<&Foreign>, errno: i32) -> GuardError {
    let mode = match mode {
        Mode::Native => XdpMode::Native,
        Mode::Generic => XdpMode::Generic,
    };
    let explained = explain(Operation::Attach { link, mode, foreign }, errno, &Context::read_or_unknown());
    GuardError::Refused { interface: shown(&link.name), explained }
}

/// What drivers answer that cannot, or cannot as they are set up now (MTU, queues, LRO), run XDP themselves.
fn is_for_lack_of_native(error: &KernelError) -> bool {
    matches!(error, KernelError::Unpinnable { .. })
        || matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ERANGE | libc::E2BIG | libc::ENOSPC))
}

fn mode(attached: &AttachedXdp) -> Mode {
    match attached.mode {
        XdpMode::Native | XdpMode::Offload => Mode::Native,
        XdpMode::Generic => Mode::Generic,
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
            State::Missing | State::Failed(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
