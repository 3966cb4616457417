//! A cable (a veth pair) from a generator of packets to a host whose receiving has a thread of its own, so that what it costs
//! can be told from everything else.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    frame::{CLIENT_MAC, SERVER_MAC},
    namespace::Namespace,
    patience::until,
};
use nix::{
    mount::{MsFlags, mount},
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
    unistd::Pid,
};

use super::processor::{RECEIVER, reserve, used_by};

/// The receiver's address.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 25);

/// The port that its mail server listens on.
pub(super) const PORT: u16 = 25;

/// The generator's end.
const FAR_END: &str = "far0";

/// Both ends, until it is dropped.
pub(super) struct Cable {
    /// Where packets come from.
    pub(super) internet: Namespace,
    /// The number of the generator's end.
    pub(super) far_end: u32,
    /// Where filters are.
    pub(super) server: Namespace,
    /// The receiver's end. Its name is this process's own, as that of the receiving thread is made from it.
    pub(super) interface: String,
    receiver: Pid,
    _listener: TcpListener,
}

/// What the receiving end has done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Packets that arrived.
    pub(super) packets: u64,
    /// TCP segments that no filter took.
    pub(super) segments: u64,
    /// Of the receiving thread.
    pub(super) used: Duration,
}

impl Cable {
    pub(super) fn lay() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let interface = format!("n{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (internet, server) = (Namespace::new()?, Namespace::new()?);
        server.connect((&interface, SERVER_MAC), &internet, (FAR_END, CLIENT_MAC))?;
        for command in [
            format!("address add {SERVER}/24 dev {interface}"),
            // Answers end here: without a carrier, the queue of an interface drops everything at once.
            "link add name sink0 type veth peer name sink1".to_owned(),
            "link set dev sink0 arp off up".to_owned(),
            "route add default dev sink0".to_owned(),
        ] {
            server.ip(&command)?;
        }
        let inside = server.enter()?;
        for (setting, value) in [
            ("conf/all/rp_filter".to_owned(), "0"),
            (format!("conf/{interface}/rp_filter"), "0"),
            // A connection request costs the same whatever came before: no memory of it is kept.
            ("tcp_syncookies".to_owned(), "2"),
        ] {
            let path = format!("/proc/sys/net/ipv4/{setting}");
            fs::write(&path, value).with_context(|| format!("writing {path}"))?;
        }
        let listener = TcpListener::bind((SERVER, PORT))?;
        drop(inside);
        // Without it, a veth takes redirected frames only where a native program is attached (`veth_xdp_xmit`, drivers/net/veth.c).
        offload(&internet, FAR_END)?;
        offload(&server, &interface)?;
        receive_by_thread(&server, &interface)?;
        let receiver = until("the receiving thread is there", || receiver_of(&interface))?;
        reserve(receiver, RECEIVER)?;
        let inside = internet.enter()?;
        let far_end = if_nametoindex(FAR_END)?;
        drop(inside);
        Ok(Self { internet, far_end, server, interface, receiver, _listener: listener })
    }

    /// What was done until all has been done that was begun.
    pub(super) fn counted(&self) -> anyhow::Result<Counted> {
        let mut before = self.counted_now()?;
        until("the receiver is at rest", || {
            let now = self.counted_now()?;
            Ok((std::mem::replace(&mut before, now) == now).then_some(now))
        })
    }

    fn counted_now(&self) -> anyhow::Result<Counted> {
        let inside = self.server.enter()?;
        let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
        let protocols = fs::read_to_string("/proc/thread-self/net/snmp")?;
        drop(inside);
        let packets =
            devices.lines().find_map(|line| line.trim_start().strip_prefix(&self.interface)?.strip_prefix(':'));
        let packets =
            packets.and_then(|line| line.split_whitespace().nth(1)).context("/proc/net/dev has no packets")?;
        // A line of names, and a line of numbers.
        let mut tcp = protocols.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
        let (Some(names), Some(numbers)) = (tcp.next(), tcp.next()) else { bail!("/proc/net/snmp has no TCP") };
        let segments =
            names.zip(numbers).find(|(name, _)| *name == "InSegs").context("/proc/net/snmp has no InSegs")?;
        Ok(Counted { packets: packets.parse()?, segments: segments.1.parse()?, used: used_by(self.receiver)? })
    }
}

fn offload(namespace: &Namespace, interface: &str) -> anyhow::Result<()> {
    let inside = namespace.enter()?;
    let output =
        Command::new("ethtool").args(["--offload", interface, "gro", "on"]).output().context("running ethtool")?;
    drop(inside);
    ensure!(output.status.success(), "ethtool: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Takes the receiving of an interface out of the softirqs, into a kernel thread (`Documentation/networking/napi.rst`).
fn receive_by_thread(namespace: &Namespace, interface: &str) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| -> anyhow::Result<()> {
            let _inside = namespace.enter()?;
            // A mounted sysfs shows the interfaces of the namespace that it was mounted in.
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
            let path = format!("/sys/class/net/{interface}/threaded");
            fs::write(&path, "1").with_context(|| format!("writing {path} (Linux 5.12)"))
        });
        worker.join().map_err(|_| anyhow::anyhow!("the thread that mounts sysfs panicked"))?
    })
}

/// The thread `napi/INTERFACE-NUMBER` (`napi_kthread_create`, net/core/dev.c).
fn receiver_of(interface: &str) -> anyhow::Result<Option<Pid>> {
    let prefix = format!("napi/{interface}-");
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        // Processes end while they are looked at.
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        if let (true, Ok(number)) = (name.starts_with(&prefix), entry.file_name().to_string_lossy().parse()) {
            return Ok(Some(Pid::from_raw(number)));
        }
    }
    Ok(None)
}
