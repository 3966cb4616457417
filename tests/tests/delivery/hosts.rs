//! Two hosts with a cable between them: a client that sends any frame, and a server with the program on its end of the cable.

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use banner_tests::{
    frame::{CLIENT_MAC, Frame, ICMP_ECHO_REPLY, ICMPV6_ECHO_REPLY, Ipv4, SERVER_MAC, ethertype, protocol},
    namespace::{Namespace, hexadecimal},
    object::Program,
    segments::Segments,
    wire::Wire,
};

pub(crate) const GUARDED_PORT: u16 = 25;
pub(crate) const OTHER_PORT: u16 = 80;
pub(crate) const DATAGRAM_PORT: u16 = 5353;
/// The service behind the guarded port.
pub(crate) const SMTP: u16 = 1;

pub(crate) const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
pub(crate) const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Who pings after each shape: what it sent before has then been dealt with.
const INNOCENT: [u8; 4] = [198, 51, 100, 67];

/// How long to wait for what must come. What must not come is never waited for: what was sent after it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server made of some frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Segments that its TCP got (`InSegs` in `/proc/net/snmp`, counted first of all in `tcp_v4_rcv` and `tcp_v6_rcv`).
    pub(crate) segments: u64,
    /// Whether the client saw a SYN-ACK.
    pub(crate) answered: bool,
    /// Datagrams that a socket got.
    pub(crate) datagrams: usize,
    /// Whether the client saw an echo reply.
    pub(crate) echoed: bool,
}

pub(crate) struct Hosts {
    pub(crate) program: Program,
    wire: Wire,
    segments: Segments,
    datagrams: UdpSocket,
    _listeners: [TcpListener; 2],
    _client: Namespace,
    _server: Namespace,
}

impl Hosts {
    /// The server listens on a guarded port and another, and answers through the client, whatever the address.
    pub(crate) fn new(object: &Path) -> anyhow::Result<Self> {
        let (client, server) = (Namespace::new()?, Namespace::new()?);
        client.connect(("client", CLIENT_MAC), &server, ("server", SERVER_MAC))?;
        let gateway = hexadecimal(CLIENT_MAC);
        for command in [
            "address add 192.0.2.1/24 dev server",
            &format!("neighbour add 192.0.2.254 lladdr {gateway} dev server"),
            "route add default via 192.0.2.254",
            "address add 2001:db8:1::1/64 dev server nodad",
            &format!("neighbour add 2001:db8:1::fe lladdr {gateway} dev server"),
            "-6 route add default via 2001:db8:1::fe",
        ] {
            server.ip(command)?;
        }

        let mut program = Program::load(object)?;
        program.guard(GUARDED_PORT, SMTP)?;

        let inside = server.enter()?;
        program.attach("server")?;
        // Both families on one socket, as mail servers listen.
        let listeners = [TcpListener::bind(("::", GUARDED_PORT))?, TcpListener::bind(("::", OTHER_PORT))?];
        let datagrams = UdpSocket::bind(("::", DATAGRAM_PORT))?;
        datagrams.set_nonblocking(true)?;
        drop(inside);

        let segments = Segments::of(&server)?;
        let inside = client.enter()?;
        let wire = Wire::open("client")?;
        drop(inside);
        Ok(Self { program, wire, segments, datagrams, _listeners: listeners, _client: client, _server: server })
    }

    /// Sends frames from a port, and says what the server made of them. Waits for as much as is expected.
    pub(crate) fn deliver(&mut self, frames: &[Frame], port: u16, expected: Delivered) -> anyhow::Result<Delivered> {
        let before = self.segments.count()?;
        for frame in frames {
            self.wire.send(frame)?;
        }
        // A cable keeps the order: once this is answered, the frames before it have been dealt with.
        let ping = port + 30_000;
        self.wire.send(&Ipv4::new(INNOCENT, SERVER_V4).source_port(ping).echo())?;

        let deadline = Instant::now() + PATIENCE;
        let (mut answered, mut echoed, mut done) = (false, false, false);
        while !(done && answered >= expected.answered && echoed >= expected.echoed) {
            let Some(frame) = self.wire.receive(deadline)? else { break };
            match Reply::read(&frame.0) {
                Some(Reply::SynAck(to)) => answered |= to == port,
                Some(Reply::Echo(identifier)) if identifier == ping => done = true,
                Some(Reply::Echo(identifier)) => echoed |= identifier == port,
                None => {}
            }
        }
        anyhow::ensure!(done, "the ping of an innocent source was not answered within {PATIENCE:?}");
        Ok(Delivered { segments: self.segments.count()? - before, answered, datagrams: self.take_datagrams(), echoed })
    }

    fn take_datagrams(&self) -> usize {
        let mut buffer = [0; 256];
        std::iter::from_fn(|| self.datagrams.recv(&mut buffer).ok()).count()
    }
}

/// What the server sent back.
enum Reply {
    /// A SYN-ACK to a port.
    SynAck(u16),
    /// The reply to an echo request with an identifier.
    Echo(u16),
}

impl Reply {
    /// None for anything else, neighbour solicitations for example.
    fn read(frame: &[u8]) -> Option<Self> {
        let word = |offset: usize| Some(u16::from_be_bytes([*frame.get(offset)?, *frame.get(offset + 1)?]));
        if frame.get(6..12)? != SERVER_MAC {
            return None;
        }
        let (number, start) = match word(12)? {
            ethertype::IPV4 => (*frame.get(23)?, 14 + usize::from(frame.get(14)? & 0x0f) * 4),
            ethertype::IPV6 => (*frame.get(20)?, 54),
            _ => return None,
        };
        match number {
            protocol::TCP if *frame.get(start + 13)? == 0x12 => Some(Self::SynAck(word(start + 2)?)),
            protocol::ICMP if *frame.get(start)? == ICMP_ECHO_REPLY => Some(Self::Echo(word(start + 4)?)),
            protocol::ICMPV6 if *frame.get(start)? == ICMPV6_ECHO_REPLY => Some(Self::Echo(word(start + 4)?)),
            _ => None,
        }
    }
}
