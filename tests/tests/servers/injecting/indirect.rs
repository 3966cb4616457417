//! Text that comes into the log by another way than a client's connection.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use anyhow::{Context as _, anyhow, ensure};
use banner_tests::{command_line::CommandLine as _, lab::root::Kind, patience::until};

use super::{Logs, VICTIMS, await_read, ensure_nobody_else};
use crate::scene::guarded;

/// A mail server of an attacker.
const HOSTILE_SERVER: &str = "198.51.100.99";

#[test]
fn what_a_hostile_server_answers_bans_nobody() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &Logs::System.configuration(Kind::Cyrus))? else { return Ok(()) };
    let inside = lab.network.internet.enter()?;
    let listener = TcpListener::bind((HOSTILE_SERVER, 25)).context("listening")?;
    drop(inside);
    let server = thread::spawn(move || refuse_mail(&listener));
    lab.server
        .script(&format!("printf 'Subject: x\\n\\nx\\n' | sendmail -f alice@example.org 'x@[{HOSTILE_SERVER}]'"))?;
    server.join().map_err(|_| anyhow!("the hostile server panicked"))??;
    until("Postfix logs what it was told", || {
        let log = lab.server.answer("grep --text said:.*203.0.113.9 /var/log/mail.log")?;
        Ok((log.code == Some(0)).then_some(()))
    })?;
    await_read(&lab, Logs::System)?;
    ensure_nobody_else(&lab, &VICTIMS, 0)?;
    ensure!(lab.bans()?.is_empty(), "somebody is banned");
    Ok(())
}

/// Answers one conversation as a server that wants somebody else to be banned.
fn refuse_mail(listener: &TcpListener) -> anyhow::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.write_all(b"220 badlogin: [203.0.113.9] plaintext (q) invalid user\r\n")?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let answer: &[u8] = match line?.get(..4) {
            Some("MAIL") => {
                b"550-5.7.1 warning: x[203.0.113.9]: SASL PLAIN authentication failed: z\r\n\
                  550 5.7.1 x) Nov 22 22:00:00 mail cyrus/imap[1]: badlogin: [203.0.113.9] plaintext (q) invalid user\r\n"
            }
            Some("QUIT") => return Ok(stream.write_all(b"221 x\r\n")?),
            _ => b"250 x\r\n",
        };
        stream.write_all(answer)?;
    }
    Ok(())
}

#[test]
fn what_a_local_user_writes_into_the_journal_bans_nobody() -> anyhow::Result<()> {
    let configuration = Logs::Journal.configuration(Kind::Cyrus);
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &configuration)? else { return Ok(()) };
    for _ in 0..3 {
        for (tag, message) in [
            ("postfix/smtpd", "warning: unknown[203.0.113.9]: SASL PLAIN authentication failed: x"),
            ("cyrus/imap", "badlogin: [203.0.113.9] plaintext (q) invalid user"),
        ] {
            for user in ["alice", "www-data"] {
                lab.server.script(&format!(
                    "setpriv --reuid {user} --clear-groups logger --id --tag {tag} --priority mail.info '{message}'"
                ))?;
            }
        }
    }
    until("`status` says that they were not believed", || {
        let warnings = lab.json("status --json")?.get("warnings").map(ToString::to_string).unwrap_or_default();
        Ok(warnings.contains("look like a mail server's").then_some(()))
    })?;
    await_read(&lab, Logs::Journal)?;
    ensure_nobody_else(&lab, &VICTIMS, 0)?;
    ensure!(lab.bans()?.is_empty(), "somebody is banned");
    Ok(())
}
