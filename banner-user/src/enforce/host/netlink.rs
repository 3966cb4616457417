//! A netlink socket of the route family (rtnetlink(7)): dumps that are complete or fail, and the notifications of
//! groups.

use std::{future::poll_fn, io};

use netlink_packet_core::{
    DecodeError, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkMessage, NlaBuffer, NlasIterator, parse_i32,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;

use super::{HostError, errno};

/// The kernel fills at most 32 KiB in one go (netlink_dump in net/netlink/af_netlink.c); a single link may take more.
const BUFFER: usize = 1 << 16;

/// A bound, non-blocking socket.
pub(super) struct Connection {
    pub(super) socket: TokioSocket,
    buffer: Box<[u8]>,
}

/// What the kernel sent.
pub(super) enum Received<'a> {
    /// Messages; the last one is cut off where they did not fit.
    Messages(&'a [u8]),
    /// Nothing: the socket's queue was full, and notifications were dropped.
    Lost,
}

/// A netlink message without its header.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    flags: u16,
    pub(super) body: &'a [u8],
}

impl Connection {
    /// Opens a socket that hears of `groups` (`RTNLGRP_*`, at most 31).
    pub(super) fn open(groups: &[u32]) -> Result<Self, HostError> {
        let open = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            // With it the kernel honours the filters of a dump request (Linux 4.20) and refuses what it does not know.
            socket.socket_ref().set_netlink_get_strict_chk(true)?;
            let mask = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
            socket.socket_mut().bind(&SocketAddr::new(0, mask))?;
            Ok(socket)
        };
        let socket = open().map_err(|error: io::Error| HostError::Open { cause: errno(&error) })?;
        Ok(Self { socket, buffer: vec![0; BUFFER].into() })
    }

    /// Asks for all objects of a kind and lets `decode` add what it finds in each message's body.
    ///
    /// One at a time: an answer that was not read to its end, because the future was dropped or the transfer failed, is
    /// still to come.
    ///
    /// # Errors
    /// [`HostError::Unsteady`] where objects changed meanwhile, so that some may be missing; [`HostError::TooMany`]
    /// beyond `limit`; [`HostError::Transfer`] and [`HostError::Decode`].
    pub(super) async fn dump<T>(
        &mut self,
        request: RouteNetlinkMessage,
        what: &'static str,
        limit: usize,
        decode: impl Fn(&[u8], &mut Vec<T>) -> Result<(), DecodeError>,
    ) -> Result<Vec<T>, HostError> {
        let transfer = |error: &io::Error| HostError::Transfer { what, cause: errno(error) };
        let malformed = |error: DecodeError| HostError::Decode { what, detail: error.to_string() };
        self.socket.socket_ref().send(&dump_request(request), 0).map_err(|error| transfer(&error))?;

        let mut found = Vec::new();
        let mut outcome = Ok(());
        loop {
            let Received::Messages(mut bytes) = self.receive().await.map_err(|error| transfer(&error))? else {
                return Err(HostError::Transfer { what, cause: Errno::ENOBUFS });
            };
            while let Some(message) = next_message(&mut bytes).map_err(malformed)? {
                if message.flags & NLM_F_DUMP_INTR != 0 {
                    outcome = outcome.and(Err(HostError::Unsteady));
                }
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        // Both start with zero or a negative errno; an empty NLMSG_DONE means zero.
                        let code = message.body.first_chunk().map_or(Ok(0), |code: &[u8; 4]| parse_i32(code));
                        return match code.map_err(malformed)? {
                            0 => outcome.map(|()| found),
                            code => Err(HostError::Transfer { what, cause: Errno::from_raw(code.saturating_neg()) }),
                        };
                    }
                    _ if outcome.is_ok() => {
                        outcome = decode(message.body, &mut found).map_err(malformed);
                        if found.len() > limit {
                            found.clear();
                            outcome = Err(HostError::TooMany { what, limit });
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Waits for the kernel. Nothing is lost where the future is dropped.
    pub(super) async fn receive(&mut self) -> io::Result<Received<'_>> {
        loop {
            let mut free = &mut self.buffer[..];
            match poll_fn(|context| self.socket.poll_recv_from(context, &mut free)).await {
                // Another process may send to this socket too, with CAP_NET_ADMIN; the kernel's port is 0.
                Ok(sender) if sender.port_number() != 0 => {}
                Ok(_) => {
                    let length = BUFFER - free.len();
                    return Ok(Received::Messages(self.buffer.get(..length).unwrap_or_default()));
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Received::Lost),
                Err(error) => return Err(error),
            }
        }
    }
}

fn dump_request(request: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Takes the first message off `bytes`.
pub(super) fn next_message<'a>(bytes: &mut &'a [u8]) -> Result<Option<Message<'a>>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let message = NetlinkBuffer::new_checked(*bytes)?;
    let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
    let taken = Message { kind: message.message_type(), flags: message.flags(), body: message.payload() };
    *bytes = bytes.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
    Ok(Some(taken))
}

/// The attributes that follow a message's fixed header of `header` bytes.
///
/// The decoders look at the attributes that they use and at no other: a kernel newer than the decoding crate may lay
/// out one of the rest in a way that it refuses, and that must not keep the daemon from starting.
pub(super) fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, DecodeError>> {
    NlasIterator::new(body.get(header..).unwrap_or_default())
}
