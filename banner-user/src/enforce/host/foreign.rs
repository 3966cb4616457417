//! Somebody else's XDP program on a link: a link has room for one, and the owner has to be told by name.

use std::fmt;

use aya::programs::loaded_programs;

use super::{AttachedXdp, Link, XdpMode};
use crate::event::Escaped;

/// An XDP program on a link that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Who runs it.
    pub mode: XdpMode,
    /// The kernel's number for it; `bpftool prog show id N` says more.
    pub program: u32,
    /// What its author called it, at most 15 bytes. Unknown without CAP_SYS_ADMIN, which the kernel wants from those
    /// who look up programs (bpf_prog_get_fd_by_id in kernel/bpf/syscall.c) and which the daemon has not, and for a program
    /// that has none.
    pub name: Option<Vec<u8>>,
}

/// The first program on a link that is not among `ours` (numbers of programs).
#[must_use]
pub fn foreign(link: &Link, ours: &[u32]) -> Option<Foreign> {
    let AttachedXdp { mode, program } = not_ours(link, ours)?;
    Some(Foreign { mode, program, name: program_name(program) })
}

fn not_ours(link: &Link, ours: &[u32]) -> Option<AttachedXdp> {
    link.xdp.iter().find(|attached| !ours.contains(&attached.program)).copied()
}

fn program_name(id: u32) -> Option<Vec<u8>> {
    loaded_programs()
        .map_while(Result::ok)
        .find(|program| program.id() == id)
        .map(|program| program.name().to_vec())
        .filter(|name| !name.is_empty())
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XDP program {}", self.program)?;
        match &self.name {
            Some(name) => write!(f, " `{}`", Escaped(name))?,
            None => write!(f, " (`bpftool prog show id {}` names it)", self.program)?,
        }
        write!(f, ", {}", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::host::tests::link;

    #[test]
    fn a_program_that_is_not_ours_is_found_beside_one_that_is() {
        let native = AttachedXdp { mode: XdpMode::Native, program: 7 };
        let offload = AttachedXdp { mode: XdpMode::Offload, program: 8 };
        let table: &[(&[AttachedXdp], &[u32], Option<AttachedXdp>)] = &[
            (&[], &[], None),
            (&[], &[7], None),
            (&[native], &[7], None),
            (&[native], &[], Some(native)),
            (&[native], &[8], Some(native)),
            (&[native, offload], &[7], Some(offload)),
            (&[native, offload], &[8, 7], None),
        ];
        for (attached, ours, expected) in table {
            assert_eq!(not_ours(&Link { xdp: attached.to_vec(), ..link(2, "eth0") }, ours), *expected);
        }
    }

    #[test]
    fn its_name_is_escaped() {
        let mut foreign = Foreign { mode: XdpMode::Generic, program: 42, name: Some(b"xdp\x1b_pass".to_vec()) };
        assert_eq!(foreign.to_string(), "XDP program 42 `xdp\\u{1b}_pass`, generic");
        foreign.name = None;
        assert_eq!(foreign.to_string(), "XDP program 42 (`bpftool prog show id 42` names it), generic");
    }
}
