//! What one attacker sends, and what he deserves for it.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream},
};

use anyhow::Context as _;
use banner_tests::network::Network;

/// What a wrong password counts.
pub(crate) const ONE: f64 = 1.0;
/// What counts where no password was tried.
pub(crate) const LOW: f64 = 0.25;
/// What breaks no rule.
pub(crate) const NOTHING: f64 = 0.0;

/// Cyrus' web server, at Debian's port.
pub(crate) const HTTP: u16 = 8008;
/// Postfix's postscreen, which wants to speak first.
pub(crate) const POSTSCREEN: u16 = 2525;

/// A conversation with a server.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// What is tried, for who reads that it worked.
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Each is said once the server has answered the one before.
    pub(crate) says: Vec<Vec<u8>>,
    /// How many failures it must count for its sender.
    pub(crate) counts: f64,
}

impl Attack {
    pub(crate) fn new(name: impl Into<String>, port: u16, counts: f64, says: Vec<Vec<u8>>) -> Self {
        Self { name: name.into(), port, says, counts }
    }

    /// Sends it, and waits for the answer.
    pub(crate) fn send(&self, network: &Network, from: IpAddr) -> anyhow::Result<()> {
        let mut stream = network.dial(from, self.port)?;
        self.converse(&mut stream).with_context(|| format!("{} from {from}", self.name))
    }

    fn converse(&self, stream: &mut TcpStream) -> anyhow::Result<()> {
        let Some((last, says)) = self.says.split_last() else { return Ok(()) };
        if ![HTTP, POSTSCREEN].contains(&self.port) && !hear(stream, true)? {
            return Ok(());
        }
        for words in says {
            if !say(stream, words)? || !hear(stream, false)? {
                return Ok(());
            }
        }
        if !say(stream, last)? {
            return Ok(());
        }
        if ![HTTP, POSTSCREEN].contains(&self.port) {
            hear(stream, false)?;
            return Ok(());
        }
        // Neither says where its answer ends.
        match stream.shutdown(Shutdown::Write) {
            Err(error) if !is_end(&error) => return Err(error.into()),
            _ => {}
        }
        while read(stream, &mut Vec::new())? {}
        Ok(())
    }
}

/// The address of an attacker: every second one has IPv6, and a /64 to himself.
pub(crate) fn sender(number: u16) -> IpAddr {
    let [high, low] = (number / 2).to_be_bytes();
    if number.is_multiple_of(2) {
        Ipv4Addr::new(198, 18, high, low).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xa77a, number, 0, 0, 0, 1).into()
    }
}

/// Whether the server still listens.
fn say(stream: &mut TcpStream, words: &[u8]) -> anyhow::Result<bool> {
    match stream.write_all(words) {
        Ok(()) => Ok(true),
        Err(error) if is_end(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Hears a reply, and tells whether the connection is still open.
fn hear(stream: &mut TcpStream, greets: bool) -> anyhow::Result<bool> {
    let mut heard = Vec::new();
    while !is_reply(&heard, greets) {
        if !read(stream, &mut heard)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a reply ends here: more lines follow a code with a hyphen (SMTP), untagged data (IMAP) and a string (ManageSieve).
fn is_reply(heard: &[u8], greets: bool) -> bool {
    let Some(lines) = heard.strip_suffix(b"\n") else { return false };
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_continued = last.starts_with(b"2") && last.get(3) == Some(&b'-') || last.starts_with(b"\"");
    !is_continued && (greets || !last.starts_with(b"* "))
}

fn read(stream: &mut TcpStream, heard: &mut Vec<u8>) -> anyhow::Result<bool> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            heard.extend(buffer.iter().take(length));
            Ok(true)
        }
        Err(error) if is_end(&error) => Ok(false),
        // The system does not go on by itself where a read has a time limit (signal(7)).
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error).with_context(|| format!("the server said {:?}", String::from_utf8_lossy(heard))),
    }
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}
