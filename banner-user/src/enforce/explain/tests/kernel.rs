//! The kernel is made to refuse, and the explanation is of the number that it gives.

use std::{fs, path::PathBuf, time::Duration};

use super::{
    super::*,
    bpf::{self, GENERIC, HASH, LPM_TRIE, NATIVE, NO_PREALLOC, XDP_HAS_FRAGS},
    root,
};
use crate::enforce::{
    host::{Host, LinkLayer, Snapshot, foreign},
    namespace::{VETH, in_namespace, ip},
};

async fn host() -> Snapshot {
    Host { resolv_conf: Vec::new() }.read().await.unwrap()
}

/// Attaches where the kernel refuses, and explains why from what is seen of the interface.
async fn refused(program: &std::os::fd::OwnedFd, interface: &str, flags: u32) -> (i32, String) {
    let host = host().await;
    let link = host.link_named(interface).unwrap();
    let errno = bpf::attach(program, link.index, flags).unwrap_err();
    let mode = if flags == NATIVE { XdpMode::Native } else { XdpMode::Generic };
    let foreign = foreign(link, &[]);
    (errno, explain(Operation::Attach { link, mode, foreign: foreign.as_ref() }, errno, &root()).cause)
}

#[test]
fn an_interface_takes_one_program_and_its_owner_is_named() {
    in_namespace(|| async {
        ip(VETH);
        let other = bpf::load(XDP_HAS_FRAGS).unwrap();
        let index = host().await.link_named("mail0").unwrap().index;
        for (held, mode, same, beside) in [(NATIVE, "native", NATIVE, GENERIC), (GENERIC, "generic", GENERIC, NATIVE)] {
            let held = bpf::attach(&other, index, held).unwrap();
            let program = host().await.link_named("mail0").unwrap().xdp[0].program;
            let cause = format!("mail0 runs XDP program {program} `other`, {mode} already, and has room for one");
            assert_eq!(refused(&other, "mail0", same).await, (libc::EBUSY, cause.clone()));
            assert_eq!(refused(&other, "mail0", beside).await, (libc::EEXIST, cause));
            drop(held);
            // A process that another test is starting has the descriptor too, until it has become `ip`.
            while !host().await.link_named("mail0").unwrap().xdp.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

#[test]
fn a_program_on_the_bridge_keeps_one_off_its_port() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            link add bridge0 type bridge
            link set mail0 master bridge0
        ");
        let program = bpf::load(XDP_HAS_FRAGS).unwrap();
        let bridge = host().await.link_named("bridge0").unwrap().index;
        let _held = bpf::attach(&program, bridge, GENERIC).unwrap();
        let cause = "a bond, bridge or VLAN over mail0 runs XDP, and the kernel does not allow both".to_owned();
        assert_eq!(refused(&program, "mail0", NATIVE).await, (libc::EEXIST, cause));
    });
}

#[test]
fn drivers_refuse_what_they_cannot() {
    in_namespace(|| async {
        ip(VETH);
        ip("
            link set peer0 mtu 9000
            link add bridge0 type bridge
        ");
        let plain = bpf::load(0).unwrap();
        let cause = "the MTU of mail0 (1500), or of its peer, is too large for XDP in its driver".to_owned();
        assert_eq!(refused(&plain, "mail0", NATIVE).await, (libc::ERANGE, cause));
        for interface in ["bridge0", "lo"] {
            let cause = format!("the driver of {interface} has no native XDP, or not with its present settings");
            assert_eq!(refused(&plain, interface, NATIVE).await, (libc::EOPNOTSUPP, cause));
        }
        assert_eq!(bpf::attach(&plain, 9999, GENERIC).unwrap_err(), libc::EINVAL, "no such interface");
    });
}

/// Why select() refuses such a device: the kernel does not.
#[test]
fn the_kernel_attaches_to_a_device_without_ethernet() {
    in_namespace(|| async {
        ip("tuntap add tun0 mode tun");
        let host = host().await;
        let tunnel = host.link_named("tun0").unwrap();
        assert_eq!(tunnel.layer, LinkLayer::Other(libc::ARPHRD_NONE));
        assert!(bpf::attach(&bpf::load(0).unwrap(), tunnel.index, GENERIC).is_ok());
    });
}

#[test]
fn loading_wants_capabilities_and_a_kernel_that_knows_the_flags() {
    in_namespace(|| async {
        let all = Privileges::read().unwrap().effective;
        let (bpf, net_admin, perfmon, sys_admin) = (1_u64 << 39, 1 << 12, 1 << 38, 1 << 21);
        for (dropped, lacks) in [
            (bpf | perfmon | sys_admin, "the process lacks CAP_BPF, CAP_PERFMON"),
            (net_admin | sys_admin, "the process lacks CAP_NET_ADMIN"),
        ] {
            let (errno, context) =
                bpf::with_only(all & !dropped, || (bpf::load(XDP_HAS_FRAGS).unwrap_err(), Context::read().unwrap()));
            assert_eq!(errno, libc::EPERM);
            assert_eq!(explain(Operation::Load, errno, &context).cause, lacks);
        }
        let enough = bpf::with_only(bpf | net_admin | perfmon, || bpf::load(XDP_HAS_FRAGS).is_ok());
        assert!(enough, "the capabilities that are asked for suffice");
        let unknown_flag = bpf::load(1 << 30).unwrap_err();
        assert_eq!(unknown_flag, libc::EINVAL, "as of 5.17 for the flag of fragments");
    });
}

#[test]
fn maps_have_an_end() {
    in_namespace(|| async {
        assert_eq!(bpf::create_map(HASH, 4, u32::MAX, 0).unwrap_err(), libc::E2BIG);
        assert_eq!(bpf::create_map(HASH, 4, 0, 0).unwrap_err(), libc::EINVAL);
        let full = |name: &str, errno| {
            assert_eq!(explain(Operation::UpdateMap { name }, errno, &root()).cause, format!("the map {name} is full"));
        };
        let hash = bpf::create_map(HASH, 4, 1, 0).unwrap();
        bpf::update(&hash, &[192_u8, 0, 2, 1]).unwrap();
        full("BANS_V4", bpf::update(&hash, &[192_u8, 0, 2, 2]).unwrap_err());
        let trie = bpf::create_map(LPM_TRIE, 8, 1, NO_PREALLOC).unwrap();
        bpf::update(&trie, &(32_u32, [192_u8, 0, 2, 1])).unwrap();
        full("NETS_V4", bpf::update(&trie, &(32_u32, [192_u8, 0, 2, 2])).unwrap_err());
    });
}

/// A directory on the BPF file system that goes with the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn pins_live_on_a_bpf_file_system_alone() {
    in_namespace(|| async {
        let directory = Directory(PathBuf::from(format!("/sys/fs/bpf/banner-explain-{}", std::process::id())));
        fs::create_dir(&directory.0).expect("a BPF file system at /sys/fs/bpf");
        let ordinary = tempfile::tempdir().unwrap();
        let map = bpf::create_map(HASH, 4, 1, 0).unwrap();
        bpf::pin(&map, &directory.0.join("map")).unwrap();
        for (path, errno, cause) in [
            (ordinary.path().join("map"), libc::EPERM, "is not on a BPF file system"),
            (directory.0.join("eth0.100"), libc::EPERM, "or has a dot in its name"),
            (directory.0.join("missing/map"), libc::ENOENT, "is not on a BPF file system"),
            (directory.0.join("map"), libc::EEXIST, "something is pinned at"),
        ] {
            assert_eq!(bpf::pin(&map, &path).unwrap_err(), errno, "{}", path.display());
            let said = explain(Operation::Pin { path: &path }, errno, &root()).cause;
            assert!(said.contains(cause), "{said}");
        }
    });
}
