//! Gives away what root may do and banner does not need, as the unit of systemd does, for whoever starts it without.
//!
//! | capability | for | while |
//! | --- | --- | --- |
//! | CAP_BPF | loading the program, making maps; before Linux 5.19 every call of bpf(2) (`__sys_bpf`, kernel/bpf/syscall.c) | always |
//! | CAP_NET_ADMIN | loading an XDP program; destroying connections (`inet_diag_handler_cmd`, net/ipv4/inet_diag.c) | always |
//! | CAP_DAC_READ_SEARCH | reading the logs of others, those that a rotation makes too | always |
//! | CAP_PERFMON | loading: the verifier's full abilities | starting |
//!
//! Attaching takes a program that is loaded, and no capability.
//!
//! All other files that banner touches belong to root, and root it stays. Linux keeps capabilities for each thread: what is
//! given away here is missing in this thread and in those that it makes afterwards.

use std::io;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// What the daemon is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It will load the program.
    Starting,
    /// It has loaded the program; it still attaches it and changes maps.
    Running,
}

/// Why more is allowed than is needed.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// capset(2) or prctl(2) failed.
    #[error(
        "cannot give capabilities away that are not needed: {0}; does a system call filter forbid capset or prctl?"
    )]
    Capabilities(#[from] CapsError),
    /// prctl(2) failed.
    #[error("cannot do without new privileges: {0}; does a system call filter forbid prctl?")]
    NoNewPrivileges(io::Error),
}

impl Stage {
    fn needed(self) -> &'static [Capability] {
        use Capability::{CAP_BPF, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_PERFMON};
        match self {
            Self::Starting => &[CAP_BPF, CAP_NET_ADMIN, CAP_DAC_READ_SEARCH, CAP_PERFMON],
            Self::Running => &[CAP_BPF, CAP_NET_ADMIN, CAP_DAC_READ_SEARCH],
        }
    }
}

/// From now on this thread, those that it makes and the programs that they run have what this stage needs, and no way to more.
/// What was missing before is missing still.
///
/// # Errors
/// Where the kernel refuses; what was allowed before is then allowed still.
pub fn keep_for(stage: Stage) -> Result<(), PrivilegesError> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| PrivilegesError::NoNewPrivileges(errno.into()))?;
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept = kept(&permitted, stage);
    // Who may not change the bounding set was given it by whoever may, and cannot get beyond what is permitted either.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    // The effective ones first: they are a part of the permitted ones, always.
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

/// What is needed of what is permitted. CAP_SYS_ADMIN stands in for newer capabilities of BPF (capabilities(7)): where one of
/// them is missing, it stays.
fn kept(permitted: &CapsHashSet, stage: Stage) -> CapsHashSet {
    let mut kept: CapsHashSet = stage.needed().iter().copied().filter(|needed| permitted.contains(needed)).collect();
    let is_missing = |capability| stage.needed().contains(&capability) && !permitted.contains(&capability);
    let needs_stand_in = is_missing(Capability::CAP_BPF) || is_missing(Capability::CAP_PERFMON);
    if needs_stand_in && permitted.contains(&Capability::CAP_SYS_ADMIN) {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    kept
}

#[cfg(test)]
mod tests {
    use Capability::{CAP_BPF, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};

    use super::*;

    #[test]
    fn nothing_is_kept_but_what_the_stage_needs() {
        let all: Vec<Capability> = caps::all().into_iter().collect();
        let table: [(&[Capability], &[Capability], &[Capability]); 5] = [
            (
                &all,
                &[CAP_BPF, CAP_NET_ADMIN, CAP_DAC_READ_SEARCH, CAP_PERFMON],
                &[CAP_BPF, CAP_NET_ADMIN, CAP_DAC_READ_SEARCH],
            ),
            (&[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN], &[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN], &[CAP_BPF, CAP_NET_ADMIN]),
            (&[CAP_SYS_ADMIN, CAP_NET_ADMIN], &[CAP_SYS_ADMIN, CAP_NET_ADMIN], &[CAP_SYS_ADMIN, CAP_NET_ADMIN]),
            (&[CAP_SYS_ADMIN, CAP_BPF], &[CAP_SYS_ADMIN, CAP_BPF], &[CAP_BPF]),
            (&[], &[], &[]),
        ];
        for (permitted, starting, running) in table {
            let set = |capabilities: &[Capability]| capabilities.iter().copied().collect::<CapsHashSet>();
            assert_eq!(kept(&set(permitted), Stage::Starting), set(starting), "{permitted:?}");
            assert_eq!(kept(&set(permitted), Stage::Running), set(running), "{permitted:?}");
        }
    }

    /// In a thread of its own, as root or not.
    #[test]
    fn a_thread_that_gave_its_capabilities_away_cannot_take_them_back() {
        std::thread::spawn(|| {
            keep_for(Stage::Starting).unwrap();
            keep_for(Stage::Running).unwrap();
            let needed: CapsHashSet = Stage::Running.needed().iter().copied().collect();
            for set in [CapSet::Permitted, CapSet::Effective] {
                assert!(caps::read(None, set).unwrap().is_subset(&needed), "{set:?}");
            }
            assert!(nix::sys::prctl::get_no_new_privs().unwrap());
            assert!(caps::raise(None, CapSet::Permitted, CAP_PERFMON).is_err());
        })
        .join()
        .unwrap();
    }
}
