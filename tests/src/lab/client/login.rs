//! A login, and what becomes of it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::reply::{Answer, Protocol};

/// One try of one client, on a connection of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// Where it comes from. It goes to the server's address of the same family.
    pub from: IpAddr,
    /// What it wants.
    pub service: Service,
    /// How the connection is protected.
    pub transport: Transport,
    /// How it proves who it is.
    pub mechanism: Mechanism,
    /// Any bytes but NUL; through curl not empty and without a colon.
    pub user: Vec<u8>,
    /// Any bytes but NUL.
    pub password: Vec<u8>,
}

/// A service of the mail server, by its port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are those of /etc/services")]
pub enum Service {
    Smtp,
    Submission,
    Submissions,
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Sieve,
    /// SMTP at another port: postscreen, a second Postfix.
    SmtpAt(u16),
}

impl Service {
    /// The TCP port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Submission => 587,
            Self::Submissions => 465,
            Self::Imap => 143,
            Self::Imaps => 993,
            Self::Pop3 => 110,
            Self::Pop3s => 995,
            Self::Sieve => 4190,
            Self::SmtpAt(port) => port,
        }
    }

    /// What is spoken there.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Smtp | Self::Submission | Self::Submissions | Self::SmtpAt(_) => Protocol::Smtp,
            Self::Imap | Self::Imaps => Protocol::Imap,
            Self::Pop3 | Self::Pop3s => Protocol::Pop3,
            Self::Sieve => Protocol::Sieve,
        }
    }

    /// What its users use: TLS from the first byte where the port is for that, and nothing elsewhere.
    #[must_use]
    pub fn usual_transport(self) -> Transport {
        match self {
            Self::Submissions | Self::Imaps | Self::Pop3s => Transport::Tls,
            Self::Smtp | Self::Submission | Self::Imap | Self::Pop3 | Self::Sieve | Self::SmtpAt(_) => Transport::Plain,
        }
    }
}

/// How a connection is protected. Nobody looks at the server's certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Not at all.
    Plain,
    /// By TLS, once the client has asked for it; it insists.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mechanism {
    /// The protocol's own command: `LOGIN` of IMAP, `USER` and `PASS` of POP3.
    Plaintext,
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// SASL LOGIN (never standardised; not at ManageSieve).
    Login,
    /// SASL CRAM-MD5 (RFC 2195; not at ManageSieve).
    CramMd5,
    /// SASL DIGEST-MD5 (RFC 2831; not at ManageSieve). curl 7.88 breaks it off at Dovecot, which puts the algorithm in quotes.
    DigestMd5,
    /// `APOP` of POP3 (RFC 1939).
    Apop,
}

/// What became of a login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The client was let in, used it, and left in order.
    Accepted,
    /// The server says that user or password is wrong. Cyrus' pop3d (after `PASS`) and timsieved say that of an outage too.
    Refused,
    /// The server says that it cannot tell now, or has no time.
    Unavailable,
    /// The server's host did not answer for as long as the client was patient. (Where openssl connects: nothing was heard.)
    NoAnswer,
    /// Anything else, as curl or the system calls it: no such port, a connection that died or fell silent, TLS or a mechanism that
    /// the server does not offer.
    Broken(String),
}

impl Outcome {
    /// By what the server said last; None where that decides nothing.
    pub(super) fn by(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Accepted => Some(Self::Accepted),
            Answer::Refused => Some(Self::Refused),
            Answer::Unavailable => Some(Self::Unavailable),
            Answer::Continue | Answer::Other => None,
        }
    }
}

/// A login that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What became of it.
    pub outcome: Outcome,
    /// The server's last line, its control bytes escaped; empty where there was none.
    pub said: String,
    /// How long the client was busy with it.
    pub lasted: Duration,
    /// When the outcome was known here: a moment after the client knew it.
    pub finished: Instant,
}
