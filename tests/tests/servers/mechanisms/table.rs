//! Who offers what, and what is known of who fails there.

use banner_tests::lab::client::{
    Mechanism::{self, Apop, CramMd5, DigestMd5, Login, Plain, Plaintext},
    Service::{self, Imap, Imaps, Pop3, Pop3s, Sieve, Smtp, SmtpAt, Submission, Submissions},
    Transport,
};

use super::door::Door;

/// Ports and mechanisms where the same is logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) at: At,
    /// What the line of a wrong password calls the user.
    pub(super) wrong: Called,
    /// And that of a user who does not exist.
    pub(super) unknown: Called,
    /// Whether a right password leaves a line of its own.
    pub(super) success: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Mail(&'static [Service], &'static [Mechanism]),
    /// DIGEST-MD5 where curl cannot do it.
    Digest(&'static [Service]),
    /// Basic authentication (RFC 7617) at these ports.
    Web(&'static [u16]),
}

/// How a line names a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Called {
    /// As the client said.
    AsSaid,
    /// With the realm of the server behind it.
    WithRealm,
    /// Not at all.
    Nothing,
}

use Called::{AsSaid, Nothing, WithRealm};

/// All that can be told from one another in the log; 2525 is behind postscreen, 2526 logs the client's port.
pub(super) const SERVICES: [Service; 10] =
    [Smtp, Submission, Submissions, SmtpAt(2525), SmtpAt(2526), Imap, Imaps, Pop3, Pop3s, Sieve];
const SMTP: &[Service] = &[Smtp, Submission, Submissions, SmtpAt(2525), SmtpAt(2526)];
const IMAP: &[Service] = &[Imap, Imaps];
const POP3: &[Service] = &[Pop3, Pop3s];
const SIEVE: &[Service] = &[Sieve];
const WEB: &[u16] = &[80, 443, 8008];

/// Postfix logs a success with the first message alone, and nobody here sends one.
const SILENT: bool = false;
const TOLD: bool = true;

const fn row(at: At, wrong: Called, unknown: Called, success: bool) -> Row {
    Row { at, wrong, unknown, success }
}

/// Postfix and Cyrus, and saslauthd for both. APOP is asked of sasldb all the same.
pub(super) const CYRUS: &[Row] = &[
    row(At::Mail(SMTP, &[Plain, Login]), AsSaid, AsSaid, SILENT),
    row(At::Mail(IMAP, &[Plaintext, Plain, Login]), AsSaid, AsSaid, TOLD),
    row(At::Mail(POP3, &[Plaintext, Plain, Login]), AsSaid, AsSaid, TOLD),
    // The line has the server's challenge where others have the name.
    row(At::Mail(POP3, &[Apop]), Nothing, Nothing, TOLD),
    // timsieved says the mechanism alone.
    row(At::Mail(SIEVE, &[Plain]), Nothing, Nothing, TOLD),
    row(At::Web(WEB), AsSaid, AsSaid, TOLD),
];

/// Postfix and Cyrus with the passwords at hand.
pub(super) const SASLDB: &[Row] = &[
    row(At::Mail(SMTP, &[Plain, Login, CramMd5, DigestMd5]), AsSaid, AsSaid, SILENT),
    row(At::Mail(IMAP, &[Plaintext]), AsSaid, AsSaid, TOLD),
    row(At::Mail(POP3, &[Plaintext]), AsSaid, AsSaid, TOLD),
    // Cyrus SASL has no name to tell before it has found the user: `-notset-`.
    row(At::Mail(IMAP, &[Plain, Login, CramMd5, DigestMd5]), AsSaid, Nothing, TOLD),
    row(At::Mail(POP3, &[Plain, Login, CramMd5, DigestMd5]), AsSaid, Nothing, TOLD),
    row(At::Mail(POP3, &[Apop]), Nothing, Nothing, TOLD),
    row(At::Mail(SIEVE, &[Plain]), Nothing, Nothing, TOLD),
    row(At::Web(WEB), AsSaid, AsSaid, TOLD),
];

/// Postfix and Dovecot, which has the passwords of both.
pub(super) const DOVECOT: &[Row] = &[
    row(At::Mail(SMTP, &[Plain, Login, CramMd5]), AsSaid, AsSaid, SILENT),
    row(At::Digest(SMTP), WithRealm, WithRealm, SILENT),
    row(At::Mail(IMAP, &[Plaintext, Plain, Login, CramMd5]), AsSaid, AsSaid, TOLD),
    row(At::Mail(POP3, &[Plaintext, Plain, Login, CramMd5]), AsSaid, AsSaid, TOLD),
    row(At::Digest(IMAP), WithRealm, WithRealm, TOLD),
    row(At::Digest(POP3), WithRealm, WithRealm, TOLD),
    row(At::Mail(SIEVE, &[Plain]), AsSaid, AsSaid, TOLD),
];

impl Row {
    /// Each of its ports with each transport that it has, with each mechanism.
    pub(super) fn doors(&self) -> impl Iterator<Item = Door> + use<> {
        let doors: Vec<_> = match self.at {
            At::Mail(services, mechanisms) => {
                let each = |(service, transport): (Service, Transport)| {
                    mechanisms.iter().map(move |mechanism| Door::Mail(service, transport, *mechanism))
                };
                protected(services).flat_map(each).collect()
            }
            At::Digest(services) => {
                protected(services).map(|(service, transport)| Door::Digest(service, transport)).collect()
            }
            At::Web(ports) => ports.iter().map(|port| Door::Web(*port)).collect(),
        };
        doors.into_iter()
    }
}

fn protected(services: &[Service]) -> impl Iterator<Item = (Service, Transport)> {
    services.iter().flat_map(|service| transports(*service).iter().map(|transport| (*service, *transport)))
}

/// How a connection to a port can be protected.
pub(super) fn transports(service: Service) -> &'static [Transport] {
    match service.usual_transport() {
        Transport::Tls => &[Transport::Tls],
        Transport::Plain | Transport::StartTls => &[Transport::Plain, Transport::StartTls],
    }
}
