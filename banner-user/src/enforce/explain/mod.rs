//! What the kernel means by an error number, and what an operator can do about it.
//!
//! bpf(2) answers with a number alone: the sentence that the kernel has for many of these cases (an extended
//! acknowledgement) is only given to netlink. Each case below names the function that it was read from, of Linux 6.18,
//! and most are provoked by the tests.

mod privileges;
#[cfg(test)]
mod tests;

use std::{fmt, fs, io, path::Path};

pub use self::privileges::{Capability, Privileges};
use super::host::{Foreign, Link, XdpMode};
use crate::event::Escaped;

/// What was asked of the kernel.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// To take the program (`BPF_PROG_LOAD`).
    Load,
    /// To make a map (`BPF_MAP_CREATE`).
    CreateMap {
        /// Its name.
        name: &'a str,
        /// How many entries it is to hold.
        entries: u32,
    },
    /// To write an entry (`BPF_MAP_UPDATE_ELEM`).
    UpdateMap {
        /// The name of the map.
        name: &'a str,
    },
    /// To attach the program to an interface (`BPF_LINK_CREATE`).
    Attach {
        /// The interface.
        link: &'a Link,
        /// How.
        mode: XdpMode,
        /// Whose program was found on it.
        foreign: Option<&'a Foreign>,
    },
    /// To pin a map or a link, or to make a directory for them (`BPF_OBJ_PIN`, mkdir).
    Pin {
        /// Where.
        path: &'a Path,
    },
}

/// Who asked, and which kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// As `uname -r` prints it.
    pub release: String,
    /// What the process may do.
    pub privileges: Privileges,
}

/// An error number in words. Shown, it is one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Why the kernel refused.
    pub cause: String,
    /// What to do next.
    pub remedy: String,
}

/// The first kernel with XDP fragments (`BPF_F_XDP_HAS_FRAGS`), which the program is loaded with.
const OLDEST: (u32, u32) = (5, 18);

/// Its own ENOTSUPP (include/linux/errno.h), which some drivers let through to user space.
const ENOTSUPP: i32 = 524;

/// Explains why the kernel refused an operation with `errno`.
#[must_use]
pub fn explain(operation: Operation<'_>, errno: i32, context: &Context) -> Explained {
    match (operation, errno) {
        (_, libc::ENOSYS) => Explained::new(
            "this kernel has no bpf(2), or a sandbox hides it",
            "run banner on a kernel with CONFIG_BPF_SYSCALL=y, and not in a sandbox such as gVisor",
        ),
        // Map memory is charged to the control group of its maker, since 5.11 (kernel/bpf/memalloc.c,
        // bpf_map_save_memcg).
        (_, libc::ENOMEM) if !matches!(operation, Operation::Attach { mode: XdpMode::Native, .. }) => Explained::new(
            "the kernel has no memory for it, or banner's control group is at its limit, which bans count towards",
            "raise MemoryMax= of the unit, or lower the sizes under [limits] in the configuration",
        ),
        (Operation::Load, _) => load(errno, context),
        (Operation::CreateMap { name, entries }, _) => create_map(name, entries, errno, context),
        // alloc_htab_elem in kernel/bpf/hashtab.c; trie_update_elem in kernel/bpf/lpm_trie.c.
        (Operation::UpdateMap { name }, libc::E2BIG | libc::ENOSPC) => {
            Explained::new(format!("the map {name} is full"), "raise its size under [limits] in the configuration")
        }
        (Operation::UpdateMap { .. }, libc::EPERM) => privileges(context),
        (Operation::Attach { link, mode, foreign }, _) => attach(link, mode, foreign, errno, context),
        (Operation::Pin { path }, _) => pin(path, errno, context),
        (Operation::UpdateMap { .. }, _) => unknown(errno, context),
    }
}

/// bpf_prog_load in kernel/bpf/syscall.c, bpf_check in kernel/bpf/verifier.c.
fn load(errno: i32, context: &Context) -> Explained {
    match errno {
        libc::EPERM => privileges(context),
        // An older kernel does not know the flag, or an attribute behind the ones that it knows
        // (bpf_check_uarg_tail_zero).
        libc::EINVAL | libc::E2BIG if context.version().is_some_and(|version| version < OLDEST) => Explained::new(
            format!("Linux {} is too old: it has no XDP fragments", context.shown_release()),
            "banner needs Linux 5.18 or newer",
        ),
        libc::EACCES if context.privileges.missing().contains(&Capability::Perfmon) => Explained::new(
            "the verifier refused the program; it is stricter with a process that lacks CAP_PERFMON",
            "run banner as root, or give it CAP_PERFMON too",
        ),
        libc::EACCES => Explained::new(
            "the verifier refused the program, or a security module forbids it",
            "`ausearch -m avc` shows what SELinux forbade; otherwise please report this with `uname -r`",
        ),
        _ => unknown(errno, context),
    }
}

/// map_create in kernel/bpf/syscall.c, htab_map_alloc in kernel/bpf/hashtab.c, trie_alloc in kernel/bpf/lpm_trie.c.
fn create_map(name: &str, entries: u32, errno: i32, context: &Context) -> Explained {
    match errno {
        libc::EPERM => privileges(context),
        libc::E2BIG | libc::EINVAL => Explained::new(
            format!("the kernel makes no map of {entries} entries for {name}"),
            "lower its size under [limits] in the configuration",
        ),
        _ => unknown(errno, context),
    }
}

/// dev_xdp_attach and bpf_xdp_link_attach in net/core/dev.c, and the drivers' own checks.
fn attach(link: &Link, mode: XdpMode, foreign: Option<&Foreign>, errno: i32, context: &Context) -> Explained {
    let name = Escaped(link.name.as_bytes());
    match (errno, foreign) {
        // EBUSY: in the same mode. EEXIST: native beside generic.
        (libc::EBUSY | libc::EEXIST, Some(foreign)) => {
            let flag = match foreign.mode {
                XdpMode::Native => "xdpdrv",
                XdpMode::Generic => "xdpgeneric",
                XdpMode::Offload => "xdpoffload",
            };
            Explained::new(
                format!("{name} runs {foreign} already, and has room for one"),
                format!(
                    "stop what put it there, or take it off (`ip link set dev {name} {flag} off`, unless `bpftool link` \
                     shows that a link holds it), or guard another interface"
                ),
            )
        }
        // An upper device in the sense of netdev_for_each_upper_dev_rcu: the bond or bridge that this is a port of, a
        // VLAN on it.
        (libc::EEXIST, None) => Explained::new(
            format!("a bond, bridge or VLAN over {name} runs XDP, and the kernel does not allow both"),
            "guard that one instead, or take its program off (`bpftool net` lists them)",
        ),
        (libc::EBUSY, None) => Explained::new(
            format!("something else uses what XDP needs of {name}"),
            format!("look at `bpftool net show dev {name}` and `ip -details link show dev {name}`"),
        ),
        // veth_xdp_set in drivers/net/veth.c: its peer's MTU, without fragments a page less headroom.
        (libc::ERANGE, _) => Explained::new(
            format!("the MTU of {name} ({}), or of its peer, is too large for XDP in its driver", link.mtu),
            format!("lower it (`ip link set dev {name} mtu 1500`), or set `attach = \"generic\"`"),
        ),
        (libc::EOPNOTSUPP, _) if mode == XdpMode::Native => Explained::new(
            format!("the driver of {name} has no native XDP, or not with its present settings"),
            format!("set `attach = \"generic\"`, or see what `dmesg` says of {name}"),
        ),
        // Drivers differ in number and reason: ixgbe_xdp_setup (LRO: EINVAL; queues: ENOMEM), virtnet_xdp_set (MTU:
        // EINVAL), igb_xdp_setup (MTU: EINVAL), veth_xdp_set (queues: ENOSPC).
        (libc::EINVAL | libc::ENOMEM | libc::ENOSPC | ENOTSUPP, _) if mode == XdpMode::Native => Explained::new(
            format!(
                "the driver of {name} refuses native XDP as it is set up: LRO on, too many queues, or an MTU ({}) too large",
                link.mtu
            ),
            format!(
                "see what `dmesg` says of {name}; try `ethtool -K {name} lro off rx-gro-hw off`, fewer queues with \
                 `ethtool -L {name} combined N`, a smaller MTU, or set `attach = \"generic\"`"
            ),
        ),
        // bpf_xdp_link_attach answers EINVAL, netlink ENODEV, where there is no such index.
        (libc::ENODEV | libc::EINVAL, _) => {
            Explained::new(format!("{name} is gone, or in another network namespace"), "see `ip link`")
        }
        (libc::EPERM, _) => privileges(context),
        _ => unknown(errno, context),
    }
}

/// bpf_obj_do_pin and bpf_lookup in kernel/bpf/inode.c; below another file system's directory, that file system's
/// answer.
fn pin(path: &Path, errno: i32, context: &Context) -> Explained {
    let shown = Escaped(path.as_os_str().as_encoded_bytes());
    match errno {
        libc::EROFS => Explained::new(
            format!("{shown} is read-only for this process"),
            "under systemd, add ReadWritePaths=/sys/fs/bpf to the unit",
        ),
        libc::EPERM if !context.privileges.suffice() => privileges(context),
        libc::EPERM | libc::ENOENT | libc::ENOTDIR => Explained::new(
            format!("{shown} is not on a BPF file system (or has a dot in its name, which that does not take)"),
            "mount one with `mount -t bpf bpf /sys/fs/bpf`, and let `bpffs` in the configuration point below it",
        ),
        libc::EEXIST => {
            Explained::new(format!("something is pinned at {shown} already"), "remove it with `banner detach`")
        }
        libc::EACCES => Explained::new(
            format!("this process may not write to {shown}"),
            "run banner as root, the owner of the BPF file system",
        ),
        _ => unknown(errno, context),
    }
}

/// Why EPERM: bpf_prog_load and map_create want CAP_BPF, for XDP CAP_NET_ADMIN too, both in the initial user namespace.
/// Lockdown does not matter: it keeps programs from reading kernel memory, which this one does not.
fn privileges(context: &Context) -> Explained {
    if !context.privileges.initial_user_namespace {
        Explained::new(
            "this process is in a user namespace (an unprivileged container), where BPF needs more than its root",
            "run banner on the host, or in a privileged container with the host's network",
        )
    } else if context.privileges.suffice() {
        Explained::new(
            "the process has the capabilities, so a seccomp filter or a security module forbids bpf(2)",
            "under systemd, add SystemCallFilter=bpf to the unit; in a container, allow bpf in its seccomp profile; \
             `ausearch -m avc,seccomp` shows what was forbidden",
        )
    } else {
        let names: Vec<_> = context.privileges.missing().iter().map(ToString::to_string).collect();
        Explained::new(
            format!("the process lacks {}", names.join(", ")),
            "run banner as root; under systemd, let CapabilityBoundingSet= of the unit name them",
        )
    }
}

fn unknown(errno: i32, context: &Context) -> Explained {
    Explained::new(
        format!("the kernel says: {}", io::Error::from_raw_os_error(errno)),
        format!("see `dmesg`; please report this with the kernel's release, {}", context.shown_release()),
    )
}

impl Explained {
    fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl Context {
    /// Asks the kernel; without /proc, what an explanation needs of it is taken for unknown, and root's.
    #[must_use]
    pub fn read_or_unknown() -> Self {
        Self::read().unwrap_or_else(|_| Self { release: "unknown".to_owned(), privileges: Privileges::all() })
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn read() -> io::Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end().to_owned();
        Ok(Self { release, privileges: Privileges::read()? })
    }

    /// Major and minor number, where the release starts with them.
    fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.split(|character: char| !character.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    fn shown_release(&self) -> Escaped<'_> {
        Escaped(self.release.as_bytes())
    }
}
