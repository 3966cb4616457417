//! Puts the program on one interface, and says why that is not possible.

use std::{thread, time::Duration};

use super::{GuardError, shown};
use crate::enforce::{
    explain::{Context, Operation, explain},
    host::{self, AttachedXdp, Foreign, Link, XdpMode},
    kernel::{Attach, Attached, Kernel, KernelError, Mode},
};

/// Attaches the program, or takes over the attachment of an earlier run. Returns the mode in which it runs, and what an
/// operator should know of that.
pub(super) fn attach(wanted: Attach, link: &Link, kernel: &mut Kernel) -> Result<(Mode, Vec<String>), GuardError> {
    let modes: &[Mode] = match wanted {
        Attach::Auto => &[Mode::Native, Mode::Generic],
        Attach::Native => &[Mode::Native],
        Attach::Generic => &[Mode::Generic],
    };
    let pinned = kernel.linked_program(link.index)?;
    let own = kernel.program_id()?;
    let ours: Vec<u32> = pinned.into_iter().chain([own]).collect();
    if let Some(foreign) = host::foreign(link, &ours) {
        // What the kernel would say, without the race: a netlink attachment would be replaced silently.
        return Err(refused(link, Mode::Native, Some(&foreign), libc::EBUSY));
    }
    let running = link.xdp.iter().find(|attached| Some(attached.program) == pinned).map(mode);
    // A pin that the interface does not bear out is of another network namespace or of an interface that is gone; and a link
    // cannot change its mode, so that an operator who asks for the other one has a moment without.
    let leaves = pinned.is_some() && !running.is_some_and(|mode| modes.contains(&mode));
    if leaves {
        kernel.detach(link.index)?;
    }
    // Without a pin, our own program is on its way off: the interface was gone for a moment, in another namespace.
    let is_leaving = leaves || pinned.is_none() && !link.xdp.is_empty();
    let mut attach = |mode| {
        let attached = kernel.attach(link.index, mode);
        if is_leaving { wait_for_the_former(attached, || kernel.attach(link.index, mode)) } else { attached }
    };
    let first = if wanted == Attach::Generic { Mode::Generic } else { Mode::Native };
    match attach(first) {
        Ok(Attached::New(mode)) => Ok((mode, Vec::new())),
        Ok(Attached::TakenOver) => {
            let mode = running.unwrap_or(first);
            let slower = mode == Mode::Generic && wanted == Attach::Auto;
            let note = "attached in generic mode by an earlier run; `banner detach` and a new start try native mode";
            Ok((mode, if slower { vec![note.to_owned()] } else { Vec::new() }))
        }
        Err(error) if wanted == Attach::Auto && is_for_lack_of_native(&error) => {
            attach(Mode::Generic).map_err(|error| explained(link, Mode::Generic, error))?;
            let note =
                format!("its driver does not run XDP natively ({error}); generic mode costs several times as much");
            Ok((Mode::Generic, vec![note]))
        }
        Err(error) => Err(explained(link, first, error)),
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
            reason = "only where an operator has asked for another mode, or an interface has come back at once; and bounded"
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
