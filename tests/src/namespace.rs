//! Hosts that exist for a test: network namespaces, and a cable between two of them.
//!
//! A namespace here has no name: it lives by a descriptor and by the threads in it, and the kernel removes it, with its
//! interfaces and what is attached to them, when the last of these is gone. So nothing is left behind by a test that panics
//! or is killed.

use std::{
    fs::File,
    marker::PhantomData,
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
    thread,
};

use anyhow::{Context as _, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};

/// The namespace that the thread which opens this file is in.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace: a host with a loopback interface and nothing else.
#[derive(Debug)]
pub struct Namespace {
    descriptor: OwnedFd,
}

impl Namespace {
    /// Makes one. The calling thread stays where it is.
    ///
    /// # Errors
    /// Without root, and where the kernel has no network namespaces.
    pub fn new() -> anyhow::Result<Self> {
        let made = thread::spawn(|| -> anyhow::Result<Self> {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace (needs root)")?;
            Ok(Self { descriptor: File::open(OWN_NAMESPACE)?.into() })
        });
        let Ok(namespace) = made.join() else { bail!("the thread that makes a namespace panicked") };
        let namespace = namespace?;
        namespace.ip("link set dev lo up")?;
        Ok(namespace)
    }

    /// Moves the calling thread in, until the guard is dropped. Sockets, `/proc/thread-self/net` and processes that it starts
    /// meanwhile belong to the namespace and go on doing so afterwards.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter(&self) -> anyhow::Result<Inside> {
        let inside = Inside { before: File::open(OWN_NAMESPACE)?.into(), not_send: PhantomData };
        setns(&self.descriptor, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
        Ok(inside)
    }

    /// Runs `ip` (iproute2) inside, with arguments separated by spaces.
    ///
    /// # Errors
    /// Where there is no `ip`, and with what it says where it fails.
    pub fn ip(&self, arguments: &str) -> anyhow::Result<()> {
        let inside = self.enter()?;
        let output = Command::new("ip")
            .args(arguments.split_whitespace())
            .output()
            .context("running `ip`; install the package iproute2")?;
        drop(inside);
        ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Sends an interface to another namespace. It arrives down and without addresses.
    ///
    /// # Errors
    /// As [`Namespace::ip`].
    pub fn send(&self, name: &str, other: &Self) -> anyhow::Result<()> {
        self.ip(&format!("link set dev {name} netns {}", other.path()))
    }

    /// As `ip` and `nsenter` take it, while this process lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.descriptor.as_raw_fd())
    }

    /// Lays a cable (a veth pair) to another namespace: the name and the hardware address of both ends, which are then up.
    /// The ends give themselves no IPv6 addresses, so that nothing is on the cable but what the test sends.
    ///
    /// # Errors
    /// As [`Namespace::ip`].
    pub fn connect(&self, end: (&str, [u8; 6]), other: &Self, other_end: (&str, [u8; 6])) -> anyhow::Result<()> {
        let there = other.path();
        let ((name, address), (other_name, other_address)) = (end, other_end);
        self.ip(&format!(
            "link add name {name} address {} type veth peer name {other_name} address {} netns {there}",
            hexadecimal(address),
            hexadecimal(other_address),
        ))?;
        for (namespace, name) in [(self, name), (other, other_name)] {
            namespace.ip(&format!("link set dev {name} addrgenmode none up"))?;
        }
        Ok(())
    }
}

/// The calling thread is in a namespace; dropping this brings it back to where it was. It is about one thread, so it cannot
/// be sent to another.
#[derive(Debug)]
pub struct Inside {
    before: OwnedFd,
    not_send: PhantomData<*mut ()>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        if setns(&self.before, CloneFlags::CLONE_NEWNET).is_err() {
            // Everything after this would happen on the wrong host.
            std::process::abort();
        }
    }
}

/// A hardware address as `ip` reads it.
#[must_use]
pub fn hexadecimal(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
