//! TLS to a server, by openssl(1) out of the lab's root: bytes in here come out there.

use std::{
    net::{IpAddr, SocketAddr},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use socket2::Socket;

use super::{Clients, reply::Protocol};

/// The program, which ends with this.
#[derive(Debug)]
pub(super) struct Tls(Child);

impl Tls {
    /// Starts it, on a socket that takes and gives plain text. `starttls` is what must be spoken before TLS; the greeting and all
    /// else that comes before it are not passed on.
    pub(super) fn connect(
        clients: &Clients<'_>,
        from: IpAddr,
        to: SocketAddr,
        starttls: Option<Protocol>,
    ) -> anyhow::Result<(Socket, Self)> {
        let (ours, its) = UnixStream::pair()?;
        let (input, output) = (OwnedFd::from(its.try_clone()?), OwnedFd::from(its));
        let mut command = Command::new("chroot");
        command.arg(clients.root).args(["openssl", "s_client", "-bind", &SocketAddr::new(from, 0).to_string()]);
        // No words of its own, no letters that are commands to it, and the connection stays when our input ends.
        command.args(["-quiet", "-connect", &to.to_string()]);
        if let Some(protocol) = starttls {
            command.args(["-starttls", name(protocol)]);
        }
        command.current_dir("/").stdin(input).stdout(output).stderr(Stdio::null());
        let inside = clients.internet.enter()?;
        let child = command.spawn().context("running chroot")?;
        drop(inside);
        Ok((OwnedFd::from(ours).into(), Self(child)))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        // It may have ended by itself; then both say so, and nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As openssl's `-starttls` calls it.
fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "smtp",
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
        Protocol::Sieve => "sieve",
    }
}
