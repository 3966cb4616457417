//! A conversation with a server, byte by byte.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{
    Clients, Service, Transport,
    reply::{Protocol, Reply, shown},
    server,
    tls::Tls,
};
use crate::namespace::Namespace;

/// What is read at most before a reply must be whole, in bytes.
const LONGEST: usize = 1 << 20;

/// An open connection. Dropping it closes it, without a word.
#[derive(Debug)]
pub struct Conversation {
    protocol: Protocol,
    /// To the server, or to the program that does the TLS.
    socket: Socket,
    tls: Option<Tls>,
    patience: Duration,
    unread: Vec<u8>,
    /// Whether a reply is the first one, which greets.
    greets: bool,
}

/// Why there is no reply.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lost {
    /// Patience ended.
    #[error("nothing more came in time, after \"{heard}\"")]
    Silent {
        /// What was heard of the reply.
        heard: String,
    },
    /// The server has closed the connection.
    #[error("the server closed the connection, after \"{heard}\"")]
    Closed {
        /// What was heard of the reply: the last words.
        heard: String,
    },
    /// The connection was reset: the server's end is no more, or nobody listens.
    #[error("the connection was reset")]
    Reset,
    /// The system does not let the client, or the reply is without end.
    #[error("{0}")]
    Failed(String),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
}

impl Conversation {
    pub(super) fn open(
        clients: &Clients<'_>,
        from: IpAddr,
        service: Service,
        transport: Transport,
    ) -> Result<Self, Lost> {
        let (protocol, to) = (service.protocol(), server(from, service));
        let (socket, tls) = match transport {
            Transport::Plain => (connect(clients.internet, from, to, clients.patience)?, None),
            Transport::StartTls | Transport::Tls => {
                let starttls = (transport == Transport::StartTls).then_some(protocol);
                let (socket, tls) = Tls::connect(clients, from, to, starttls)
                    .map_err(|error| Lost::Failed(format!("starting openssl: {error:#}")))?;
                (socket, Some(tls))
            }
        };
        let greets = transport != Transport::StartTls || protocol == Protocol::Sieve;
        Ok(Self { protocol, socket, tls, patience: clients.patience, unread: Vec::new(), greets })
    }

    /// Says these bytes, as they are: the end of the line is the caller's.
    ///
    /// # Errors
    /// [`Lost::Reset`] where the connection is known to be dead; that it died is often learned by the next words.
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.socket.set_write_timeout(Some(self.patience)).map_err(|error| Lost::Failed(error.to_string()))?;
        self.socket.write_all(bytes).map_err(|error| lost("sending", &error, &[]))
    }

    /// Hears one whole reply.
    ///
    /// # Errors
    /// There is none.
    pub fn hear(&mut self) -> Result<Reply, Lost> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(length) = self.protocol.reply_length(&self.unread, self.greets) {
                self.greets = false;
                return Ok(Reply::new(self.protocol, self.unread.drain(..length).collect()));
            }
            if self.unread.len() > LONGEST {
                return Err(Lost::Failed(format!("a reply of more than {LONGEST} bytes")));
            }
            self.read(deadline)?;
        }
    }

    /// As [`Conversation::say`] and [`Conversation::hear`].
    ///
    /// # Errors
    /// As these.
    pub fn say_and_hear(&mut self, bytes: &[u8]) -> Result<Reply, Lost> {
        self.say(bytes)?;
        self.hear()
    }

    /// Waits for the end, and drops what is said before it. None where the connection is open after so long, as far as this end
    /// knows: that the server's end was taken away without a word shows only to who speaks.
    ///
    /// # Errors
    /// [`Lost::Failed`].
    pub fn end_within(&mut self, length: Duration) -> Result<Option<End>, Lost> {
        let deadline = Instant::now() + length;
        loop {
            self.unread.clear();
            match self.read(deadline) {
                Ok(()) => {}
                Err(Lost::Silent { .. }) => return Ok(None),
                Err(Lost::Closed { .. }) => return Ok(Some(End::Closed)),
                Err(Lost::Reset) => return Ok(Some(End::Reset)),
                Err(failed @ Lost::Failed(_)) => return Err(failed),
            }
        }
    }

    /// Whether TLS is between this end and the server.
    pub(super) fn is_protected(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the server speaks first.
    pub(super) fn is_greeted(&self) -> bool {
        self.greets
    }

    /// Reads what is there, or waits for it.
    fn read(&mut self, deadline: Instant) -> Result<(), Lost> {
        let mut buffer = [0; 4096];
        let heard = shown(&self.unread);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lost::Silent { heard });
        }
        self.socket.set_read_timeout(Some(left)).map_err(|error| Lost::Failed(error.to_string()))?;
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(match &mut self.tls {
                Some(tls) => tls.end(heard),
                None => Lost::Closed { heard },
            }),
            Ok(length) => {
                self.unread.extend(buffer.iter().take(length));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(lost("receiving", &error, &self.unread)),
        }
    }
}

/// A literal as IMAP and ManageSieve take any bytes without asking first (RFC 7888, RFC 5804 1.2): `{3+}` CRLF and the bytes.
#[must_use]
pub fn literal(bytes: &[u8]) -> Vec<u8> {
    let mut literal = format!("{{{}+}}\r\n", bytes.len()).into_bytes();
    literal.extend(bytes);
    literal
}

fn connect(internet: &Namespace, from: IpAddr, to: SocketAddr, patience: Duration) -> Result<Socket, Lost> {
    let inside = internet.enter().map_err(|error| Lost::Failed(format!("{error:#}")))?;
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None);
    drop(inside);
    let connected = socket.and_then(|socket| {
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), patience)?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket)
    });
    connected.map_err(|error| lost(&format!("connecting from {from} to {to}"), &error, &[]))
}

fn lost(doing: &str, error: &io::Error, heard: &[u8]) -> Lost {
    let kind = error.kind();
    if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        Lost::Silent { heard: shown(heard) }
    } else if matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused) {
        Lost::Reset
    } else {
        Lost::Failed(format!("{doing}: {error}"))
    }
}
