//! What a ban does to the connections that its source has open at real servers, and to nobody else's.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{
        Lab,
        client::{Conversation, End, Outcome, Service, Transport, reply::Answer, sasl},
        root::Kind,
    },
    network::WEB_PORT,
    patience::{PATIENCE, until},
};

use crate::scene::{QUICK, RIGHT, Source, WRONG, filters, guarded};

#[test]
fn a_ban_ends_what_its_source_has_open_at_postfix_and_cyrus_and_nothing_else() -> anyhow::Result<()> {
    what_is_open(Kind::Cyrus)
}

#[test]
fn a_ban_ends_what_its_source_has_open_at_postfix_and_dovecot_and_nothing_else() -> anyhow::Result<()> {
    what_is_open(Kind::Dovecot)
}

fn what_is_open(kind: Kind) -> anyhow::Result<()> {
    let configuration = format!("{QUICK}{}", filters(kind));
    let Some(lab) = guarded(kind, &["quick"], &configuration)? else { return Ok(()) };
    let web = web_server(&lab, kind)?;
    let attacker = Source::new(&lab, "198.51.100.7")?;
    let neighbour = Source::new(&lab, "198.51.100.8")?;
    let mut of_attacker = open(attacker)?;
    let mut of_neighbour = open(neighbour)?;
    let serving = serving(attacker)?;
    ensure!(serving.len() == of_attacker.len(), "{serving:?}");
    let mut browsing = browse(attacker, web.as_ref())?;

    attacker.earns_a_ban()?;
    for (service, conversation) in &mut of_attacker {
        let end = conversation.end_within(PATIENCE)?;
        // Between this end and a connection with TLS is a program that has it.
        let is_ended = if *service == Service::Imaps { end.is_some() } else { end == Some(End::Reset) };
        ensure!(is_ended, "{service:?} of the attacker: {end:?}");
    }
    for served in &serving {
        served.await_end(&lab)?;
    }
    attacker.reaches_none()?;

    // Somebody else of the same network goes on, and so does what the attacker has to do with the web server.
    for (service, conversation) in &mut of_neighbour {
        let answer = conversation.say_and_hear(nothing(*service)).with_context(|| format!("{service:?}"))?;
        ensure!(answer.answer() == Answer::Accepted, "{service:?} of the neighbour: {answer:?}");
    }
    neighbour.reaches_all()?;
    neighbour.tries(Service::Submission, RIGHT, &Outcome::Accepted)?;
    browsing.asks_again()?;
    browse(attacker, web.as_ref())?;
    Ok(())
}

/// Sessions in the middle: SMTP after EHLO, POP3 after USER, a mailbox that is read, one that waits for mail behind TLS.
fn open(source: Source<'_>) -> anyhow::Result<Vec<(Service, Conversation)>> {
    let plain = sasl::plain(b"alice", RIGHT.as_bytes());
    let sessions: [(Service, Transport, Vec<String>); 4] = [
        (Service::Smtp, Transport::Plain, vec!["EHLO client.example\r\n".into()]),
        (Service::Pop3, Transport::Plain, vec!["USER bob\r\n".into()]),
        (
            Service::Imap,
            Transport::Plain,
            vec![format!("a AUTHENTICATE PLAIN {plain}\r\n"), "b SELECT INBOX\r\n".into()],
        ),
        (Service::Imaps, Transport::Tls, vec![format!("a AUTHENTICATE PLAIN {plain}\r\n"), "b NOOP\r\n".into()]),
    ];
    sessions
        .into_iter()
        .map(|(service, transport, words)| {
            let mut conversation = source.lab.clients().connect(source.address, service, transport)?;
            conversation.hear().with_context(|| format!("the greeting of {service:?}"))?;
            for line in words {
                let reply = conversation.say_and_hear(line.as_bytes())?;
                ensure!(reply.answer() == Answer::Accepted, "{service:?} answers {line}: {reply:?}");
            }
            Ok((service, conversation))
        })
        .collect()
}

/// A command that does nothing where [`open`] has come to.
fn nothing(service: Service) -> &'static [u8] {
    match service {
        Service::Smtp => b"NOOP\r\n",
        // Of what POP3 lets one say before PASS.
        Service::Pop3 => b"CAPA\r\n",
        Service::Imap | Service::Imaps => b"c NOOP\r\n",
        Service::Submission | Service::Submissions | Service::Pop3s | Service::Sieve | Service::SmtpAt(_) => b"",
    }
}

/// A process of a server, and whom it serves.
#[derive(Clone, Debug)]
struct Serving {
    name: String,
    pid: u32,
    /// Of the connection, as `/proc/PID/fd` names it.
    socket: String,
}

/// Those that serve this client now.
fn serving(source: Source<'_>) -> anyhow::Result<Vec<Serving>> {
    let address = source.address;
    let address = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    let sockets = source.lab.server.run(&format!("ss --tcp --processes --extended --no-header dst {address}"))?;
    let serving = sockets.lines().map(|line| {
        let process = line.split_once("users:((\"").and_then(|(_, process)| process.split_once("\",pid="));
        let (name, rest) = process.with_context(|| format!("no process: {line}"))?;
        let pid = rest.split(',').next().unwrap_or_default().parse()?;
        let inode = line.split(" ino:").nth(1).and_then(|rest| rest.split(' ').next()).context("no inode")?;
        Ok(Serving { name: name.to_owned(), pid, socket: format!("socket:[{inode}]") })
    });
    serving.collect()
}

impl Serving {
    /// Waits until the process has ended, or let go of this connection and waits for the next one, as those of Postfix and Cyrus
    /// do.
    fn await_end(&self, lab: &Lab) -> anyhow::Result<()> {
        until(&format!("{} ({}) has done with its client", self.name, self.pid), || {
            // The process's number there; a link that is gone is the end.
            let look = format!("readlink /proc/{}/fd/* 2> /dev/null || true", self.pid);
            Ok((!lab.server.script(&look)?.lines().any(|link| link == self.socket)).then_some(()))
        })
    }
}

/// Cyrus has one; a host with Dovecot gets one that repeats what it hears.
fn web_server(lab: &Lab, kind: Kind) -> anyhow::Result<Option<TcpListener>> {
    if kind == Kind::Cyrus {
        return Ok(None);
    }
    let _inside = lab.network.server.enter()?;
    Ok(Some(TcpListener::bind(("::", WEB_PORT)).context("listening at the web's port")?))
}

/// A connection to the web server.
struct Browsing {
    client: TcpStream,
    /// The other end, where the test has it.
    server: Option<TcpStream>,
}

fn browse(source: Source<'_>, web: Option<&TcpListener>) -> anyhow::Result<Browsing> {
    let client = source.lab.network.dial(source.address, WEB_PORT)?;
    let server = web.map(TcpListener::accept).transpose()?.map(|(server, _)| server);
    let mut browsing = Browsing { client, server };
    browsing.asks_again()?;
    Ok(browsing)
}

impl Browsing {
    fn asks_again(&mut self) -> anyhow::Result<()> {
        self.client.write_all(b"OPTIONS / HTTP/1.1\r\nHost: mail.example.org\r\n\r\n")?;
        if let Some(server) = &mut self.server {
            let mut buffer = [0; 1024];
            let length = server.read(&mut buffer)?;
            server.write_all(buffer.get(..length).unwrap_or_default())?;
        }
        let mut heard = [0; 4096];
        let length = self.client.read(&mut heard).context("hearing the web server")?;
        if length == 0 {
            bail!("the web server has closed the connection");
        }
        Ok(())
    }
}

#[test]
fn a_ban_by_hand_ends_an_open_session_and_an_unban_lets_its_client_back() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    for (address, prefix) in [("198.51.100.7", "198.51.100.0/28"), ("2001:db8:1:2::7", "2001:db8:1:2::/64")] {
        let client = Source::new(&lab, address)?;
        let mut sessions = open(client)?;
        let serving = serving(client)?;
        ensure!(serving.len() == sessions.len(), "{serving:?}");
        lab.banner(&format!("ban {prefix} --for 1h"))?.expect(0)?;
        for (service, conversation) in &mut sessions {
            let end = conversation.end_within(PATIENCE)?;
            ensure!(end.is_some(), "{service:?}");
        }
        for served in serving {
            served.await_end(&lab)?;
        }
        client.reaches_none()?;
        lab.banner(&format!("unban {prefix}"))?.expect(0)?;
        client.reaches_all()?;
        client.tries(Service::Imap, RIGHT, &Outcome::Accepted)?;
    }
    Ok(())
}

#[test]
fn an_ipv4_client_of_a_socket_for_both_families_is_counted_banned_and_cut_off_as_ipv4() -> anyhow::Result<()> {
    let configuration = format!("{QUICK}{}", filters(Kind::Dovecot));
    let Some(lab) = guarded(Kind::Dovecot, &["quick", "dualstack"], &configuration)? else { return Ok(()) };
    let attacker = Source::new(&lab, "198.51.100.7")?;
    let neighbour = Source::new(&lab, "198.51.100.8")?;
    let client = |source: Source<'_>| -> anyhow::Result<Conversation> {
        let mut conversation = lab.clients().connect(source.address, Service::Imap, Transport::Plain)?;
        conversation.hear()?;
        Ok(conversation)
    };
    let (mut of_attacker, mut of_neighbour) = (client(attacker)?, client(neighbour)?);
    let serving = serving(attacker)?;
    // So the test is about what it says.
    let sockets = lab.server.run("ss --tcp --no-header dst 198.51.100.7")?;
    ensure!(serving.len() == 1 && sockets.contains("[::ffff:198.51.100.7]"), "{sockets}");

    for service in [Service::Imap, Service::Pop3, Service::Imap] {
        attacker.tries(service, WRONG, &Outcome::Refused)?;
    }
    lab.await_ban("198.51.100.7")?;
    let logged = lab.server.run("cat /var/log/mail.log")?;
    ensure!(logged.contains("rip=::ffff:198.51.100.7,"), "{logged}");
    ensure!(of_attacker.end_within(PATIENCE)? == Some(End::Reset), "the attacker's connection is open");
    for served in serving {
        served.await_end(&lab)?;
    }
    ensure!(attacker.reached(&[143, 110, 25])?.is_empty(), "the attacker gets through");
    ensure!(
        of_neighbour.say_and_hear(nothing(Service::Imap))?.answer() == Answer::Accepted,
        "the neighbour was cut off"
    );
    Ok(())
}
