//! A raw socket on one interface: sends frames as they are, and sees what comes back (packet(7)).

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    time::Instant,
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
            sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike as _},
    },
};

use crate::frame::Frame;

/// The longest frame that is received whole.
const FRAME_MAX: usize = 65_536;

/// An interface of the namespace in which it was opened.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Opens an interface of the namespace that the calling thread is in.
    ///
    /// # Errors
    /// Where it does not exist, and without the privilege for raw sockets.
    pub fn open(interface: &str) -> anyhow::Result<Self> {
        let address = getifaddrs()?
            .find(|entry| {
                entry.interface_name == interface && entry.address.is_some_and(|a| a.as_link_addr().is_some())
            })
            .and_then(|entry| entry.address)
            .with_context(|| format!("there is no interface {interface}"))?;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .context("opening a raw socket")?;
        bind(socket.as_raw_fd(), &address).with_context(|| format!("binding a raw socket to {interface}"))?;
        Ok(Self { socket })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The kernel's: a frame that is longer than the MTU allows is one.
    pub fn send(&self, frame: &Frame) -> anyhow::Result<()> {
        send(self.socket.as_raw_fd(), &frame.0, MsgFlags::empty()).context("sending a raw frame")?;
        Ok(())
    }

    /// The next frame that arrives; none where the deadline passes first.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self, deadline: Instant) -> anyhow::Result<Option<Frame>> {
        let mut buffer = vec![0; FRAME_MAX];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // A timeout of zero would wait for ever (socket(7)).
            let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
            setsockopt(&self.socket, ReceiveTimeout, &TimeVal::microseconds(micros))?;
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(Some(Frame(buffer)));
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("receiving a raw frame"),
            }
        }
    }
}
