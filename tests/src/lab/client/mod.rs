//! The clients of the lab's mail servers: everyone on the internet.
//!
//! Well-behaved clients [log in](Clients::login): curl(1) out of the lab's root speaks SMTP, IMAP and POP3 with the mechanisms of SASL
//! and with APOP, one by one or in a [swarm](Clients::swarm). What curl 7.88 has no way to be told, a short client of our own does:
//! ManageSieve, and the plaintext commands of IMAP and POP3 at a server that offers mechanisms too (`AUTH=+LOGIN` came with a
//! later curl). Its TLS is openssl(1)'s. cyrus-clients' `sivtest` does not let its source address be chosen.
//!
//! Hostile ones [converse](Clients::connect): bytes out, replies in.

pub mod conversation;
mod curl;
mod direct;
mod login;
pub mod reply;
pub mod sasl;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

pub use conversation::{Conversation, End, Lost};
pub use login::{Attempt, Login, Mechanism, Outcome, Service, Transport};

use crate::{
    namespace::Namespace,
    network::{SERVER_V4, SERVER_V6},
    patience::PATIENCE,
};

/// Everyone on the internet who has business with the mail server.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'lab> {
    internet: &'lab Namespace,
    root: &'lab Path,
    patience: Duration,
}

impl<'lab> Clients<'lab> {
    /// Clients in this namespace, where every address that they come from is a local one, with curl(1) and openssl(1) out of this
    /// root, in which `/mnt` exists and nothing is written.
    #[must_use]
    pub fn new(internet: &'lab Namespace, root: &'lab Path) -> Self {
        Self { internet, root, patience: PATIENCE }
    }

    /// The same, who wait so long: for a whole login, for a connection, and for each reply. [`PATIENCE`] where nothing else is said,
    /// which is too long for who expects no answer. Cyrus takes three seconds for a refusal where it is not told otherwise.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Logs in, and out again.
    ///
    /// # Errors
    /// Where the client cannot try: the programs are missing, or there is no such login (APOP at IMAP). What the server makes of
    /// it is an [`Outcome`].
    pub fn login(&self, login: &Login) -> anyhow::Result<Attempt> {
        if direct::is_for(login) {
            return direct::login(self, login);
        }
        let mut attempts = curl::logins(self, std::slice::from_ref(login), 1)?;
        attempts.pop().ok_or_else(|| anyhow::anyhow!("curl tried nothing"))
    }

    /// Logs in many times, in this order, so many at once (300 at most: `MAX_PARALLEL` of curl's `tool_main.h`), all of it in one
    /// process. The attempts are those of the logins, in their order.
    ///
    /// More at once than a server takes before it accepts (its listen backlog: 100 for Postfix, 32 for Cyrus) can leave some of
    /// them [`Outcome::Broken`]: with SYN cookies the client is connected to a server that has forgotten it, and each waits for the
    /// other. Without them (`net.ipv4.tcp_syncookies` 0) these SYNs are sent again a second later.
    ///
    /// # Errors
    /// As [`Clients::login`], and for logins that curl cannot do: ManageSieve and the plaintext commands.
    pub fn swarm(&self, logins: &[Login], at_once: u16) -> anyhow::Result<Vec<Attempt>> {
        curl::logins(self, logins, at_once)
    }

    /// Connects. Nothing is heard yet, not even the greeting; after STARTTLS of anything but ManageSieve there is none.
    ///
    /// # Errors
    /// [`Lost::Silent`] where nothing answers, [`Lost::Reset`] where a port is closed. With TLS a connection that fails is seen at
    /// the first reply instead.
    pub fn connect(&self, from: IpAddr, service: Service, transport: Transport) -> Result<Conversation, Lost> {
        Conversation::open(self, from, service, transport)
    }
}

/// Where a service is, for a client of this address.
fn server(from: IpAddr, service: Service) -> SocketAddr {
    let address = if from.is_ipv4() { SERVER_V4.into() } else { SERVER_V6.into() };
    SocketAddr::new(address, service.port())
}
