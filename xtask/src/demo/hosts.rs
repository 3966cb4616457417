//! The hosts of the demonstration: a mail server, and the internet with an attacker and a customer in it. Both are network
//! namespaces without names, joined by one cable; what is attached to the cable goes with them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};
use banner_tests::namespace::Namespace;
use socket2::{Domain, Socket, Type};

/// The interface of the mail server.
pub(super) const INTERFACE: &str = "mail0";

/// A host, by its two addresses.
#[derive(Clone, Copy)]
pub(super) struct Host {
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
}

pub(super) const MAIL: Host = host(25, 0x25);
pub(super) const ATTACKER: Host = host(66, 0x66);
/// The attacker once more: another address of the same /64.
pub(super) const ATTACKER_AGAIN: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x66, 0, 0xdead, 0xbeef, 0, 1));
pub(super) const CUSTOMER: Host = host(10, 0x10);

const fn host(v4: u8, v6: u16) -> Host {
    Host {
        v4: IpAddr::V4(Ipv4Addr::new(198, 51, 100, v4)),
        v6: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, v6)),
    }
}

/// The two namespaces, with their addresses.
pub(super) struct Hosts {
    pub(super) mail: Namespace,
    internet: Namespace,
}

impl Hosts {
    /// Makes them.
    pub(super) fn new() -> Result<Self> {
        let (mail, internet) = (Namespace::new()?, Namespace::new()?);
        mail.connect((INTERFACE, [2, 0, 0, 0, 0, 25]), &internet, ("net0", [2, 0, 0, 0, 0, 1]))?;
        for (namespace, interface, addresses) in [
            (&mail, INTERFACE, vec![MAIL.v4, MAIL.v6]),
            (&internet, "net0", vec![ATTACKER.v4, ATTACKER.v6, ATTACKER_AGAIN, CUSTOMER.v4, CUSTOMER.v6]),
        ] {
            for address in addresses {
                let length = if address.is_ipv4() { 24 } else { 64 };
                // Nobody else is there who could have the address.
                let detection = if address.is_ipv4() { "" } else { "nodad" };
                namespace.ip(&format!("address add {address}/{length} dev {interface} {detection}"))?;
            }
            namespace.ip(&format!("route add 2001:db8::/32 dev {interface}"))?;
        }
        Ok(Self { mail, internet })
    }

    /// Opens a connection to the mail server and hears its greeting.
    ///
    /// # Errors
    /// It is not accepted, or greets with nothing, while the patience lasts.
    pub(super) fn connect(&self, from: IpAddr, port: u16, patience: Duration) -> Result<Connection> {
        let to = SocketAddr::new(if from.is_ipv4() { MAIL.v4 } else { MAIL.v6 }, port);
        let inside = self.internet.enter()?;
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        drop(inside);
        socket.bind(&SocketAddr::new(from, 0).into()).context("cannot bind")?;
        socket.connect_timeout(&to.into(), patience).with_context(|| format!("{from} does not reach {to}"))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(patience))?;
        let mut connection = Connection(BufReader::new(stream));
        connection.hear()?;
        Ok(connection)
    }
}

/// A connection of a client.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a line and hears the answer.
    ///
    /// # Errors
    /// There is none while the patience lasts.
    pub(super) fn say(&mut self, line: &str) -> Result<String> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).context("cannot send")?;
        self.hear()
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).context("no answer")?;
        anyhow::ensure!(line.ends_with('\n'), "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}
