//! TLS to a server, by openssl(1) out of the lab's root: bytes in here come out there.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    net::{IpAddr, SocketAddr},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use nix::errno::Errno;
use socket2::Socket;

use super::{Clients, Lost, reply::Protocol};

/// The program, which ends with this.
#[derive(Debug)]
pub(super) struct Tls {
    program: Child,
    /// What it says about the connection.
    words: File,
}

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
        let words = tempfile::tempfile()?;
        command.current_dir("/").stdin(input).stdout(output).stderr(Stdio::from(words.try_clone()?));
        let inside = clients.internet.enter()?;
        let program = command.spawn().context("running chroot")?;
        drop(inside);
        Ok((OwnedFd::from(ours).into(), Self { program, words }))
    }

    /// Why nothing more comes from the program: it has ended. It names the error of a connection that fails or dies by its number
    /// (`connect:errno=111`, `read:errno=104`).
    pub(super) fn end(&mut self, heard: String) -> Lost {
        let status = match self.program.wait() {
            Ok(status) => status,
            Err(error) => return Lost::Failed(format!("waiting for openssl: {error}")),
        };
        let words = match self.words() {
            Ok(words) => words,
            Err(error) => return Lost::Failed(format!("reading what openssl says: {error}")),
        };
        let failed_with = |errno: Errno| words.lines().any(|line| line.ends_with(&format!(":errno={}", errno as i32)));
        if failed_with(Errno::ECONNRESET) || failed_with(Errno::EPIPE) || failed_with(Errno::ECONNREFUSED) {
            Lost::Reset
        } else if failed_with(Errno::ETIMEDOUT) {
            Lost::Silent { heard }
        } else if words.contains("connect:errno=") || !matches!(status.code(), Some(0 | 1)) {
            // Another reason not to connect; or chroot has not found the program.
            Lost::Failed(format!("openssl ({status}): {}", words.trim().escape_debug()))
        } else {
            Lost::Closed { heard }
        }
    }

    fn words(&mut self) -> io::Result<String> {
        let mut words = Vec::new();
        self.words.rewind()?;
        (&self.words).take(LONGEST_WORDS).read_to_end(&mut words)?;
        Ok(String::from_utf8_lossy(&words).into_owned())
    }
}

/// How much of what openssl says is read, in bytes.
const LONGEST_WORDS: u64 = 1 << 16;

impl Drop for Tls {
    fn drop(&mut self) {
        // It may have ended by itself; then both say so, and nothing is left to do.
        let _ = self.program.kill();
        let _ = self.program.wait();
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
