//! A mail server as far as a demonstration needs one: it greets on ports 25 and 143, refuses every password, and writes about
//! it what Postfix and Cyrus write.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result};

use super::hosts::Hosts;

pub(super) const SMTP: u16 = 25;
pub(super) const IMAP: u16 = 143;

/// The longest line that a client may send, the end of it included (RFC 5321, 4.5.3.1.4).
const LINE_MAX: u64 = 512;

/// A line that the server has logged.
pub(super) struct Logged {
    pub(super) line: String,
    /// When it was in the file.
    pub(super) at: Instant,
}

/// Starts the server on the mail host; it writes to `log`, and ends with this process.
pub(super) fn start(hosts: &Hosts, log: &Path) -> Result<Receiver<Logged>> {
    let file = File::options().create(true).append(true).open(log);
    let file = Arc::new(file.with_context(|| format!("cannot open {}", log.display()))?);
    let (sender, receiver) = mpsc::channel();
    for port in [SMTP, IMAP] {
        let inside = hosts.mail.enter()?;
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).context("cannot listen")?;
        drop(inside);
        let (file, sender) = (Arc::clone(&file), sender.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (file, sender) = (Arc::clone(&file), sender.clone());
                // A client that goes away ends its thread and nothing else.
                thread::spawn(move || serve(&client, port, &file, &sender));
            }
        });
    }
    Ok(receiver)
}

fn serve(client: &TcpStream, port: u16, mut log: &File, logged: &Sender<Logged>) -> io::Result<()> {
    let source = client.peer_addr()?.ip().to_canonical();
    let mut answer = client;
    answer.write_all(if port == SMTP { b"220 mail ESMTP\r\n" } else { b"* OK mail IMAP4rev1\r\n" })?;
    let mut reader = BufReader::new(client);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(());
        }
        let (failure, reply) = match port {
            SMTP if line.starts_with(b"AUTH") => (Some(postfix(source)), "535 5.7.8 Error: authentication failed"),
            SMTP => (None, "250 2.0.0 Ok"),
            _ if line.windows(5).any(|word| word == b"LOGIN") => (Some(cyrus(source)), "a NO Login failed"),
            _ => (None, "a OK Completed"),
        };
        if let Some(failure) = failure {
            // One write, so that no reader sees half of it.
            log.write_all(format!("{failure}\n").as_bytes())?;
            let _ = logged.send(Logged { line: failure, at: Instant::now() });
        }
        answer.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

/// `src/smtpd/smtpd_sasl_glue.c`, `smtpd_sasl_auth_chunk`; with the stamp of rsyslog's RSYSLOG_FileFormat.
fn postfix(source: IpAddr) -> String {
    let stamp = stamp();
    format!(
        "{stamp} mail postfix/smtpd[4711]: warning: unknown[{source}]: SASL PLAIN authentication failed: \
         authentication failure, sasl_username=alice"
    )
}

/// `imap/imapd.c`, `cmd_login`.
fn cyrus(source: IpAddr) -> String {
    let stamp = stamp();
    format!(
        "{stamp} mail cyrus/imap[4712]: badlogin: [{source}] plaintext (alice) \
         [SASL(-13): authentication failure: checkpass failed]"
    )
}

fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}
