//! A mail server and the internet: two network namespaces and the cable between them.
//!
//! The internet is every documentation address but those of the server's networks, so a test takes whom it wants as attacker,
//! neighbour or innocent. All of them come over the same cable, which keeps the order: once a later connection of an innocent
//! host has been answered, everything that was sent before it has been dealt with. So a test never waits for a packet that
//! must not come.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::{
    frame::{CLIENT_MAC, SERVER_MAC},
    namespace::{Namespace, hexadecimal},
    patience::{PATIENCE, until},
    privilege,
    wire::Wire,
};

/// The server's interface.
pub const INTERFACE: &str = "mail0";
/// The other end of its cable.
const INTERNET: &str = "net0";

/// The server's addresses.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 25);
/// The server's addresses.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x25, 0, 0, 0, 0, 0, 0x25);
/// The router that leads from the server to the internet.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x25, 0, 0, 0, 0, 0, 0xfe);

/// What a mail server offers: SMTP, submission (two), IMAP (two), POP3 (two), sieve.
pub const MAIL_PORTS: [u16; 8] = [25, 587, 465, 143, 993, 110, 995, 4190];
const SMTP_PORT: u16 = 25;
/// What this one offers beside it.
pub const WEB_PORT: u16 = 80;

/// The two namespaces, and the server's listening sockets.
#[derive(Debug)]
pub struct Network {
    /// The mail server; banner runs here.
    pub server: Namespace,
    /// Everybody else.
    pub internet: Namespace,
    listeners: BTreeMap<u16, TcpListener>,
}

impl Network {
    /// Makes them; None where this machine does not let a test do that, which is then said.
    ///
    /// # Errors
    /// As [`privilege::can_load_programs`], and the kernel's.
    pub fn new() -> anyhow::Result<Option<Self>> {
        if !privilege::can_load_programs("banner on a network")? {
            return Ok(None);
        }
        let mut network = Self::without_listeners()?;
        let inside = network.server.enter()?;
        for port in MAIL_PORTS.into_iter().chain([WEB_PORT]) {
            // Both families on one socket, as mail servers listen.
            let listener = TcpListener::bind(("::", port)).with_context(|| format!("listening on port {port}"))?;
            listener.set_nonblocking(true)?;
            network.listeners.insert(port, listener);
        }
        drop(inside);
        Ok(Some(network))
    }

    /// Makes them, with nothing that listens yet: real servers will.
    ///
    /// # Errors
    /// Without root, and the kernel's.
    pub fn without_listeners() -> anyhow::Result<Self> {
        let (server, internet) = (Namespace::new()?, Namespace::new()?);
        lay_cable(&server, &internet)?;
        for command in [
            // Every address of these networks is this host's own.
            "route add local 198.51.100.0/24 dev lo",
            "route add local 203.0.113.0/24 dev lo",
            "route add local 198.18.0.0/15 dev lo",
            "-6 route add local 2001:db8::/32 dev lo",
        ] {
            internet.ip(command)?;
        }
        let inside = internet.enter()?;
        // IPv6 binds to addresses of an interface alone otherwise (`__inet6_bind`, net/ipv6/af_inet6.c).
        std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").context("letting hosts have many addresses")?;
        drop(inside);
        Ok(Self { server, internet, listeners: BTreeMap::new() })
    }

    /// Takes the server's interface away, with its addresses, and what is attached to it.
    ///
    /// # Errors
    /// As [`Namespace::ip`].
    pub fn remove_cable(&self) -> anyhow::Result<()> {
        self.server.ip(&format!("link del dev {INTERFACE}"))
    }

    /// Makes the interface again, under its old name.
    ///
    /// # Errors
    /// As [`Namespace::ip`].
    pub fn replace_cable(&self) -> anyhow::Result<()> {
        lay_cable(&self.server, &self.internet)
    }

    /// The internet's end of the cable, for frames as they are.
    ///
    /// # Errors
    /// As [`Wire::open`].
    pub fn wire(&self) -> anyhow::Result<Wire> {
        let _inside = self.internet.enter()?;
        Wire::open(INTERNET)
    }

    /// Connects, and sees that both ends hear each other.
    ///
    /// # Errors
    /// They do not, within [`PATIENCE`].
    pub fn connect(&self, from: IpAddr, port: u16) -> anyhow::Result<Connection> {
        let client = self.dial(from, port)?;
        let server = self.accept(port, client.local_addr()?)?;
        let connection = Connection { client, server };
        connection.server.set_nonblocking(false)?;
        connection.server.set_nodelay(true)?;
        connection.server.set_read_timeout(Some(PATIENCE))?;
        connection.exchange().with_context(|| format!("{from} is connected to port {port}"))?;
        Ok(connection)
    }

    /// Connects to whatever listens there. Reading waits for [`PATIENCE`].
    ///
    /// # Errors
    /// Nothing answers within [`PATIENCE`].
    pub fn dial(&self, from: IpAddr, port: u16) -> anyhow::Result<TcpStream> {
        let knock = self.knock(from, port)?;
        until(&format!("{from} reaches port {port}"), || Ok(knock.is_open().then_some(())))?;
        let stream = TcpStream::from(knock.0);
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Which of these ports a source reaches: it asks for all of them, then `innocent` does and gets through, so that the
    /// source had its answers if there are any.
    ///
    /// # Errors
    /// `innocent` does not get through.
    pub fn reached(&self, from: IpAddr, ports: &[u16], innocent: IpAddr) -> anyhow::Result<Vec<u16>> {
        let knocks: Vec<_> =
            ports.iter().map(|port| Ok((*port, self.knock(from, *port)?))).collect::<anyhow::Result<_>>()?;
        for port in ports {
            self.dial(innocent, *port).context("the innocent host")?;
        }
        Ok(knocks.iter().filter(|(_, knock)| knock.is_open()).map(|(port, _)| *port).collect())
    }

    /// Begins a connection.
    fn knock(&self, from: IpAddr, port: u16) -> anyhow::Result<Knock> {
        let to = SocketAddr::new(if from.is_ipv4() { SERVER_V4.into() } else { SERVER_V6.into() }, port);
        let inside = self.internet.enter()?;
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        drop(inside);
        socket.bind(&SocketAddr::new(from, 0).into()).with_context(|| format!("taking the address {from}"))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                Err(error).with_context(|| format!("connecting from {from} to {to}"))
            }
            _ => Ok(Knock(socket)),
        }
    }

    /// The server's end of the connection that comes from this address and port.
    fn accept(&self, port: u16, from: SocketAddr) -> anyhow::Result<TcpStream> {
        let listener = self.listeners.get(&port).with_context(|| format!("nothing listens on port {port}"))?;
        until(&format!("the server takes the connection of {from}"), || match listener.accept() {
            Ok((stream, peer)) => {
                let is_it = peer.ip().to_canonical() == from.ip() && peer.port() == from.port();
                Ok(is_it.then_some(stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Delivers mail from the server to a host of the internet, with its SMTP port.
    ///
    /// # Errors
    /// As [`Network::connect`].
    pub fn deliver(&self, to: IpAddr) -> anyhow::Result<Connection> {
        let inside = self.internet.enter()?;
        let listener = TcpListener::bind((to, SMTP_PORT)).with_context(|| format!("listening at {to}"))?;
        drop(inside);
        let inside = self.server.enter()?;
        let client = TcpStream::connect((to, SMTP_PORT)).with_context(|| format!("delivering mail to {to}"))?;
        drop(inside);
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(PATIENCE))?;
        }
        Ok(Connection { client, server })
    }
}

fn lay_cable(server: &Namespace, internet: &Namespace) -> anyhow::Result<()> {
    server.connect((INTERFACE, SERVER_MAC), internet, (INTERNET, CLIENT_MAC))?;
    // Nobody asks for hardware addresses: what is on the cable is what the test sends.
    let (there, here) = (hexadecimal(CLIENT_MAC), hexadecimal(SERVER_MAC));
    for command in [
        format!("address add {SERVER_V4}/24 dev {INTERFACE}"),
        format!("address add {SERVER_V6}/64 dev {INTERFACE} nodad"),
        format!("neigh replace {GATEWAY_V4} lladdr {there} dev {INTERFACE}"),
        format!("neigh replace {GATEWAY_V6} lladdr {there} dev {INTERFACE}"),
        format!("route add default via {GATEWAY_V4} dev {INTERFACE}"),
        format!("-6 route add default via {GATEWAY_V6} dev {INTERFACE}"),
    ] {
        server.ip(&command)?;
    }
    for command in [
        format!("route add {SERVER_V4} dev {INTERNET}"),
        format!("-6 route add {SERVER_V6} dev {INTERNET}"),
        format!("neigh replace {SERVER_V4} lladdr {here} dev {INTERNET}"),
        format!("neigh replace {SERVER_V6} lladdr {here} dev {INTERNET}"),
    ] {
        internet.ip(&command)?;
    }
    Ok(())
}

/// A connection that was begun.
#[derive(Debug)]
struct Knock(Socket);

impl Knock {
    /// Whether it was answered.
    fn is_open(&self) -> bool {
        self.0.peer_addr().is_ok()
    }
}

/// A connection, with both of its ends.
#[derive(Debug)]
pub struct Connection {
    client: TcpStream,
    server: TcpStream,
}

/// What the ends say.
const WORD: &[u8] = b"hello\r\n";

impl Connection {
    /// The client says something, and the server answers it.
    ///
    /// # Errors
    /// One does not hear the other within [`PATIENCE`].
    pub fn exchange(&self) -> anyhow::Result<()> {
        for (mut from, mut to, who) in
            [(&self.client, &self.server, "the server"), (&self.server, &self.client, "the client")]
        {
            from.write_all(WORD)?;
            let mut heard = [0; WORD.len()];
            to.read_exact(&mut heard).with_context(|| format!("{who} hears nothing"))?;
            ensure!(heard == WORD, "{who} hears something else");
        }
        Ok(())
    }

    /// Whether the server hears what the client says, until `innocent` has been heard, who speaks after it.
    ///
    /// # Errors
    /// `innocent` is not heard.
    pub fn is_heard_before(&self, innocent: &Self) -> anyhow::Result<bool> {
        match (&self.client).write_all(WORD) {
            // The server's end was destroyed, and has said so.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            written => written?,
        }
        innocent.exchange().context("the innocent host's open connection")?;
        self.server.set_nonblocking(true)?;
        let heard = (&self.server).read(&mut [0; WORD.len()]);
        self.server.set_nonblocking(false)?;
        match heard {
            Ok(bytes) => Ok(bytes > 0),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// When the server's end was destroyed; None where it is still open after so long.
    ///
    /// # Errors
    /// It came to another end, or something was to be read from it.
    pub fn await_destruction(&self, length: Duration) -> anyhow::Result<Option<Instant>> {
        self.server.set_read_timeout(Some(length))?;
        let read = (&self.server).read(&mut [0; WORD.len()]);
        let at = Instant::now();
        self.server.set_read_timeout(Some(PATIENCE))?;
        match read {
            Ok(bytes) => bail!("{bytes} bytes were read instead"),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => Ok(Some(at)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
