//! The conversation with the kernel about TCP sockets: sock_diag(7), `inet_diag_handler_cmd` in net/ipv4/inet_diag.c.
//!
//! The kernel answers a request while it takes it, and goes on with a dump while it hands over what it has
//! (`netlink_recvmsg` in net/netlink/af_netlink.c). So nothing is ever waited for: an answer that is not there is an error,
//! and the thread cannot hang.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable as _, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO,
    NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Parseable as _,
    parse_i32,
};
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_TCP, SOCK_DIAG_BY_FAMILY, SockDiagDestroy, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use nix::errno::Errno;

use super::{
    SocketsError,
    filter::{BYTECODE, Family},
};

/// The kernel fills at most 32 KiB in one go (`netlink_dump` in net/netlink/af_netlink.c).
const BUFFER: usize = 1 << 16;

/// A netlink socket for requests about sockets. One that has failed is of no more use: the rest of an answer may still come.
pub(super) struct Diagnosis {
    socket: Socket,
    buffer: Box<[u8]>,
}

/// How much a dump has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dumped {
    /// Everything.
    All,
    /// Some sockets may be missing.
    InPart,
}

/// What became of a socket that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destroyed {
    /// It is, by this request.
    Now,
    /// It was gone already.
    Before,
    /// The kernel refuses.
    Not(Errno),
}

impl Diagnosis {
    /// Opens a socket.
    ///
    /// # Errors
    /// [`SocketsError::Open`].
    pub(super) fn open() -> Result<Self, SocketsError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|error: io::Error| SocketsError::Open { cause: errno(&error) })?;
        Ok(Self { socket, buffer: vec![0; BUFFER].into() })
    }

    /// Hands each TCP socket in these states to `found`, as far as the program `filter` takes it.
    ///
    /// # Errors
    /// [`SocketsError::NoDiagnosis`], [`SocketsError::Transfer`], [`SocketsError::Decode`], and those of `found`.
    pub(super) fn dump(
        &mut self,
        family: Family,
        states: StateFlags,
        filter: Option<&[u8]>,
        mut found: impl FnMut(InetResponseHeader) -> Result<(), SocketsError>,
    ) -> Result<Dumped, SocketsError> {
        let request = Dump { request: request(family, states), filter };
        self.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut dumped = Dumped::All;
        while !read(self.receive()?, &mut dumped, &mut found)? {}
        Ok(dumped)
    }

    /// Destroys a socket that a dump has told of, and no other: its cookie is never given twice.
    ///
    /// # Errors
    /// [`SocketsError::Transfer`], [`SocketsError::Decode`].
    pub(super) fn destroy(&mut self, family: u8, socket_id: SocketId) -> Result<Destroyed, SocketsError> {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id,
        };
        self.send(SockDiagDestroy::new(SockDiagMessage::InetRequest(request)), NLM_F_REQUEST | NLM_F_ACK)?;
        let mut bytes = self.receive()?;
        match next_message(&mut bytes)? {
            Some(message) if message.message_type() == NLMSG_ERROR => Ok(match answer(message.payload())? {
                None => Destroyed::Now,
                // Nothing with this cookie (`inet_diag_find_one_icsk`), or closed since (`tcp_abort`, net/ipv4/tcp.c).
                Some(Errno::ENOENT | Errno::ESTALE) => Destroyed::Before,
                Some(cause) => Destroyed::Not(cause),
            }),
            Some(_) | None => Err(DecodeError::from("no acknowledgement").into()),
        }
    }

    fn send<T: NetlinkSerializable>(&self, request: T, flags: u16) -> Result<(), SocketsError>
    where
        NetlinkPayload<T>: From<T>,
    {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(|error| transfer(&error))?;
        Ok(())
    }

    /// The next messages; the last one is cut off where they did not fit.
    fn receive(&mut self) -> Result<&[u8], SocketsError> {
        loop {
            let mut free = &mut self.buffer[..];
            let (length, sender) =
                self.socket.recv_from(&mut free, libc::MSG_DONTWAIT).map_err(|error| transfer(&error))?;
            // Another process may send to this socket too, with CAP_NET_ADMIN; the kernel's port is 0.
            if sender.port_number() == 0 {
                return Ok(self.buffer.get(..length).unwrap_or_default());
            }
        }
    }
}

/// A socket that does not exist, and cannot: it has neither ports nor a cookie. To destroy it does nothing anywhere.
pub(super) fn nowhere(family: Family) -> SocketId {
    match family {
        Family::V4 => SocketId::new_v4(),
        Family::V6 => SocketId::new_v6(),
    }
}

/// A request for a dump with a filter, which the crate's own has no place for.
struct Dump<'a> {
    request: InetRequest,
    filter: Option<&'a [u8]>,
}

impl Dump<'_> {
    fn attribute(&self) -> Option<DefaultNla> {
        self.filter.map(|program| DefaultNla::new(BYTECODE, program.to_vec()))
    }
}

impl NetlinkSerializable for Dump<'_> {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        self.request.buffer_len() + self.attribute().map_or(0, |attribute| attribute.buffer_len())
    }

    fn serialize(&self, buffer: &mut [u8]) {
        if let Some((request, rest)) = buffer.split_at_mut_checked(self.request.buffer_len()) {
            self.request.emit(request);
            if let Some(attribute) = self.attribute() {
                attribute.emit(rest);
            }
        }
    }
}

impl<'a> From<Dump<'a>> for NetlinkPayload<Dump<'a>> {
    fn from(dump: Dump<'a>) -> Self {
        Self::InnerMessage(dump)
    }
}

fn request(family: Family, states: StateFlags) -> InetRequest {
    let (family, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    InetRequest { family, protocol: IPPROTO_TCP, extensions: ExtensionFlags::empty(), states, socket_id }
}

/// Reads messages of a dump. True where it is over.
pub(super) fn read(
    mut bytes: &[u8],
    dumped: &mut Dumped,
    found: &mut impl FnMut(InetResponseHeader) -> Result<(), SocketsError>,
) -> Result<bool, SocketsError> {
    while let Some(message) = next_message(&mut bytes)? {
        if message.flags() & NLM_F_DUMP_INTR != 0 {
            *dumped = Dumped::InPart;
        }
        match message.message_type() {
            NLMSG_DONE | NLMSG_ERROR => {
                return match answer(message.payload())? {
                    None => Ok(true),
                    // Without tcp_diag (`inet_diag_lock_handler`), or without inet_diag (`__sock_diag_cmd`, net/core/sock_diag.c).
                    Some(Errno::ENOENT) => Err(SocketsError::NoDiagnosis),
                    Some(cause) => Err(SocketsError::Transfer { cause }),
                };
            }
            _ => found(InetResponseHeader::parse(message.payload())?)?,
        }
    }
    Ok(false)
}

/// Takes the first message off `bytes`.
fn next_message<'a>(bytes: &mut &'a [u8]) -> Result<Option<NetlinkBuffer<&'a [u8]>>, SocketsError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let message = NetlinkBuffer::new_checked(*bytes)?;
    let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
    *bytes = bytes.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
    Ok(Some(message))
}

/// What a final message says: it starts with zero or a negative errno; an empty one means zero.
fn answer(payload: &[u8]) -> Result<Option<Errno>, SocketsError> {
    let code = payload.first_chunk().map_or(Ok(0), |code: &[u8; 4]| parse_i32(code))?;
    Ok((code != 0).then(|| Errno::from_raw(code.saturating_neg())))
}

impl From<DecodeError> for SocketsError {
    fn from(error: DecodeError) -> Self {
        Self::Decode { detail: error.to_string() }
    }
}

fn transfer(error: &io::Error) -> SocketsError {
    SocketsError::Transfer { cause: errno(error) }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}
