//! What somebody on the internet does to a mail server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use banner_tests::lab::{
    Lab,
    client::{Login, Mechanism, Outcome, Service},
};

/// One thing, on a connection of its own.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Logs in, with this outcome.
    LogsIn { service: Service, mechanism: Mechanism, user: Vec<u8>, password: &'static str, outcome: Outcome },
    /// Says these lines, each after a line of the server, and reads one more.
    Says { port: u16, lines: Vec<Vec<u8>> },
    /// Says this before it has heard anything, and hears a line.
    BlurtsOut { port: u16, words: &'static [u8] },
    /// A user of the mail server itself writes to its log.
    Logs { tag: &'static str, message: String },
}

/// A password that is not the user's.
const WRONG: &str = "guess";

/// The password of alice, bob and carol.
const RIGHT: &str = "secret";

/// alice's name with a wrong password.
pub(crate) fn guesses(service: Service, mechanism: Mechanism) -> Deed {
    guesses_for("alice", service, mechanism)
}

/// Any name with a wrong password.
pub(crate) fn guesses_for(user: impl Into<Vec<u8>>, service: Service, mechanism: Mechanism) -> Deed {
    Deed::LogsIn { service, mechanism, user: user.into(), password: WRONG, outcome: Outcome::Refused }
}

/// carol herself.
pub(crate) fn enters(service: Service, mechanism: Mechanism) -> Deed {
    Deed::LogsIn { service, mechanism, user: b"carol".to_vec(), password: RIGHT, outcome: Outcome::Accepted }
}

/// carol, who is not let in.
pub(crate) fn fails(service: Service, mechanism: Mechanism, outcome: Outcome) -> Deed {
    Deed::LogsIn { service, mechanism, user: b"carol".to_vec(), password: RIGHT, outcome }
}

/// These lines, CRLF after each.
pub(crate) fn says(port: u16, lines: &[&str]) -> Deed {
    Deed::Says { port, lines: lines.iter().map(|line| format!("{line}\r\n").into_bytes()).collect() }
}

/// So often.
pub(crate) fn times(count: usize, deed: &Deed) -> Vec<Deed> {
    vec![deed.clone(); count]
}

impl Deed {
    /// Does it.
    ///
    /// # Errors
    /// It went otherwise than it should.
    pub(crate) fn perform(&self, lab: &Lab, from: IpAddr) -> anyhow::Result<()> {
        match self {
            Self::LogsIn { service, mechanism, user, password, outcome } => {
                let login = Login {
                    from,
                    service: *service,
                    transport: service.usual_transport(),
                    mechanism: *mechanism,
                    user: user.clone(),
                    password: password.as_bytes().to_vec(),
                };
                let attempt = lab.clients().login(&login)?;
                ensure!(attempt.outcome == *outcome, "{login:?} should be {outcome:?}, and was {attempt:?}");
                Ok(())
            }
            Self::Says { port, lines } => says_lines(lab, from, *port, lines),
            Self::BlurtsOut { port, words } => {
                let mut stream = lab.network.dial(from, *port)?;
                stream.write_all(words)?;
                // A reset is an answer too.
                let _ = BufReader::new(stream).read_until(b'\n', &mut Vec::new());
                Ok(())
            }
            Self::Logs { tag, message } => {
                let mut command = lab.server.command("setpriv");
                command.args(["--reuid=alice", "--regid=alice", "--clear-groups", "logger", "-p", "mail.warning"]);
                let status = command.args(["-t", tag, "--", message]).status()?;
                ensure!(status.success(), "logger: {status}");
                Ok(())
            }
        }
    }
}

fn says_lines(lab: &Lab, from: IpAddr, port: u16, lines: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut stream = BufReader::new(lab.network.dial(from, port)?);
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut said = Vec::new();
    for line in lines {
        stream.read_until(b'\n', &mut said).with_context(|| format!("before {}", line.escape_ascii()))?;
        stream.get_mut().write_all(line)?;
    }
    stream.read_until(b'\n', &mut said).with_context(|| format!("after {}", said.escape_ascii()))?;
    Ok(())
}
