//! Every case in words, as an operator reads it.

use std::path::Path;

use super::{super::*, root};
use crate::enforce::host::tests::link;

fn eth0() -> Link {
    Link { mtu: 9000, ..link(2, "eth0") }
}

fn with(effective: u64) -> Context {
    Context { privileges: Privileges { effective, initial_user_namespace: true }, ..root() }
}

fn on(release: &str) -> Context {
    Context { release: release.to_owned(), ..root() }
}

const BPF_AND_NET_ADMIN: u64 = 1 << 39 | 1 << 12;

/// Each expected text is the start of the sentence: cause, then remedy.
#[track_caller]
fn assert_says(operation: Operation<'_>, errno: i32, context: &Context, start: &str) {
    let said = explain(operation, errno, context).to_string();
    assert!(said.starts_with(start), "{operation:?}, errno {errno}:\n  {said}\ndoes not start with\n  {start}");
}

#[test]
fn attaching() {
    let link = eth0();
    let foreign = Foreign { mode: XdpMode::Native, program: 42, name: Some(b"xdp_dispatcher".to_vec()) };
    let generic = Foreign { mode: XdpMode::Generic, program: 42, name: None };
    let native = |foreign| Operation::Attach { link: &link, mode: XdpMode::Native, foreign };
    let table = [
        (
            native(Some(&foreign)),
            libc::EBUSY,
            "eth0 runs XDP program 42 `xdp_dispatcher`, native already, and has room for one; stop what put it there, or take \
             it off (`ip link set dev eth0 xdpdrv off`,",
        ),
        (
            native(Some(&generic)),
            libc::EEXIST,
            "eth0 runs XDP program 42 (`bpftool prog show id 42` names it), generic already, and has room for one; \
             stop what put it there, or take it off (`ip link set dev eth0 xdpgeneric off`,",
        ),
        (native(None), libc::EEXIST, "a bond, bridge or VLAN over eth0 runs XDP"),
        (native(None), libc::EBUSY, "something else uses what XDP needs of eth0; look at `bpftool net show dev eth0`"),
        (
            native(None),
            libc::ERANGE,
            "the MTU of eth0 (9000), or of its peer, is too large for XDP in its driver; lower it",
        ),
        (native(None), libc::EOPNOTSUPP, "the driver of eth0 has no native XDP, or not with its present settings; set"),
        (
            native(None),
            libc::EINVAL,
            "the driver of eth0 refuses native XDP as it is set up: LRO on, too many queues, or",
        ),
        (native(None), libc::ENOMEM, "the driver of eth0 refuses native XDP as it is set up"),
        (native(None), libc::ENOSPC, "the driver of eth0 refuses native XDP as it is set up"),
        (native(None), 524, "the driver of eth0 refuses native XDP as it is set up"),
        (native(None), libc::ENODEV, "eth0 is gone, or in another network namespace; see `ip link`"),
        (
            native(None),
            libc::ENOTCONN,
            "the kernel says: Transport endpoint is not connected (os error 107); see `dmesg`",
        ),
    ];
    for (operation, errno, start) in table {
        assert_says(operation, errno, &root(), start);
    }
    let generic = Operation::Attach { link: &link, mode: XdpMode::Generic, foreign: None };
    assert_says(generic, libc::EINVAL, &root(), "eth0 is gone");
    assert_says(generic, libc::ENOMEM, &root(), "the kernel has no memory for it");
    assert_says(
        generic,
        libc::EPERM,
        &with(0),
        "the process lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; run banner as root",
    );
}

#[test]
fn loading() {
    let table = [
        (libc::EPERM, with(0), "the process lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; run banner as root"),
        (libc::EPERM, with(1 << 39 | 1 << 38), "the process lacks CAP_NET_ADMIN; run banner as root"),
        (
            libc::EPERM,
            with(BPF_AND_NET_ADMIN),
            "the process has the capabilities, so a seccomp filter or a security module",
        ),
        (
            libc::EPERM,
            root(),
            "the process has the capabilities, so a seccomp filter or a security module forbids bpf(2); under",
        ),
        (
            libc::EINVAL,
            on("5.10.0-30-amd64"),
            "Linux 5.10.0-30-amd64 is too old: it has no XDP fragments; banner needs Linux 5.18",
        ),
        (libc::E2BIG, on("5.17.9"), "Linux 5.17.9 is too old"),
        (libc::EINVAL, on("5.18.0"), "the kernel says: Invalid argument (os error 22); see `dmesg`; please report"),
        (libc::EINVAL, on("6.1.0"), "the kernel says: Invalid argument"),
        (libc::EINVAL, on("next"), "the kernel says: Invalid argument"),
        (
            libc::EACCES,
            with(BPF_AND_NET_ADMIN),
            "the verifier refused the program; it is stricter with a process that lacks",
        ),
        (libc::EACCES, root(), "the verifier refused the program, or a security module forbids it; `ausearch"),
        (libc::ENOMEM, root(), "the kernel has no memory for it, or banner's control group is at its limit"),
        (libc::ENOSYS, root(), "this kernel has no bpf(2), or a sandbox hides it"),
    ];
    for (errno, context, start) in table {
        assert_says(Operation::Load, errno, &context, start);
    }
    let contained = Context { privileges: Privileges { effective: u64::MAX, initial_user_namespace: false }, ..root() };
    assert_says(
        Operation::Load,
        libc::EPERM,
        &contained,
        "this process is in a user namespace (an unprivileged container)",
    );
}

#[test]
fn maps() {
    let create = Operation::CreateMap { name: "BANS_V4", entries: 4_000_000_000 };
    let update = Operation::UpdateMap { name: "NETS_V6" };
    let table = [
        (
            create,
            libc::E2BIG,
            "the kernel makes no map of 4000000000 entries for BANS_V4; lower its size under [limits]",
        ),
        (create, libc::EINVAL, "the kernel makes no map of 4000000000 entries for BANS_V4"),
        (
            create,
            libc::ENOMEM,
            "the kernel has no memory for it, or banner's control group is at its limit, which bans count \
                                towards; raise MemoryMax=",
        ),
        (create, libc::EPERM, "the process has the capabilities"),
        (create, libc::EBUSY, "the kernel says: Device or resource busy"),
        (update, libc::E2BIG, "the map NETS_V6 is full; raise its size under [limits]"),
        (update, libc::ENOSPC, "the map NETS_V6 is full"),
        (update, libc::ENOMEM, "the kernel has no memory for it"),
        (update, libc::EPERM, "the process has the capabilities"),
        (update, libc::EBUSY, "the kernel says: Device or resource busy"),
    ];
    for (operation, errno, start) in table {
        assert_says(operation, errno, &root(), start);
    }
}

#[test]
fn pinning() {
    let table = [
        (
            libc::EROFS,
            "/sys/fs/bpf/banner is read-only for this process; under systemd, add ReadWritePaths=/sys/fs/bpf",
        ),
        (
            libc::EPERM,
            "/sys/fs/bpf/banner is not on a BPF file system (or has a dot in its name, which that does not take); \
                       mount one with `mount -t bpf bpf /sys/fs/bpf`",
        ),
        (libc::ENOENT, "/sys/fs/bpf/banner is not on a BPF file system"),
        (libc::ENOTDIR, "/sys/fs/bpf/banner is not on a BPF file system"),
        (libc::EEXIST, "something is pinned at /sys/fs/bpf/banner already; remove it with `banner detach`"),
        (libc::EACCES, "this process may not write to /sys/fs/bpf/banner; run banner as root"),
        (libc::EIO, "the kernel says: Input/output error"),
    ];
    let operation = Operation::Pin { path: Path::new("/sys/fs/bpf/banner") };
    for (errno, start) in table {
        assert_says(operation, errno, &root(), start);
    }
    assert_says(operation, libc::EPERM, &with(0), "the process lacks CAP_BPF");
}

#[test]
fn names_from_outside_are_escaped() {
    let link = Link { name: "e\u{1b}0".to_owned(), ..eth0() };
    let operation = Operation::Attach { link: &link, mode: XdpMode::Native, foreign: None };
    assert_says(operation, libc::ENODEV, &root(), "e\\u{1b}0 is gone");
    assert_says(Operation::Pin { path: Path::new("/\u{1b}") }, libc::EROFS, &root(), "/\\u{1b} is read-only");
    assert_says(Operation::Load, libc::EINVAL, &on("5.1\u{1b}"), "Linux 5.1\\u{1b} is too old");
}
