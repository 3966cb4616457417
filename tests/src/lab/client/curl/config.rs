//! The configuration (curl(1), `--config`) of some logins. So no password is in the arguments of a process, and any byte can be said.

use std::time::Duration;

use anyhow::ensure;

use super::super::{
    Login, Mechanism, Transport,
    reply::{Protocol, shown},
    server,
};

/// A folder that every root has, and that is ours for as long as curl runs.
pub(super) const MOUNT_POINT: &str = "/mnt";

/// What a line about a login begins with.
pub(super) const RESULT: &str = "login ";
/// The rest of it: exit code, seconds until the host answered (0 if it did not), seconds in all, what went wrong.
pub(super) const WRITE_OUT: &str = "%{exitcode} %{time_connect} %{time_total} %{errormsg}";

/// How the client calls itself to SMTP; curl would say the name of the machine that it runs on.
const HELO: &str = "client.example";

/// All logins, each a transfer, numbered from 0.
pub(super) fn all(logins: &[Login], patience: Duration) -> anyhow::Result<Vec<u8>> {
    let mut config = Vec::new();
    for (index, login) in logins.iter().enumerate() {
        config.extend(one(index, login, patience)?);
        config.extend(b"next\n");
    }
    // What follows a `next` must have a URL.
    config.truncate(config.len().saturating_sub(b"next\n".len()));
    Ok(config)
}

fn one(index: usize, login: &Login, patience: Duration) -> anyhow::Result<Vec<u8>> {
    let user = shown(&login.user);
    ensure!(!login.user.is_empty() && !login.user.contains(&b':'), "curl cannot be told the user name \"{user}\"");
    ensure!(!login.user.contains(&0) && !login.password.contains(&0), "curl cannot be told a NUL (user \"{user}\")");
    let mut config = Vec::new();
    let mut set = |option: &str, value: &[u8]| {
        config.extend(option.as_bytes());
        config.extend(b" = ");
        config.extend(quoted(value));
        config.push(b'\n');
    };
    set("url", url(index, login)?.as_bytes());
    set("connect-to", format!("::{}", server(login.from, login.service)).as_bytes());
    set("interface", login.from.to_string().as_bytes());
    set("user", &[&login.user[..], b":", &login.password].concat());
    set("login-options", format!("AUTH={}", mechanism(login)?).as_bytes());
    // The one thing to do is to leave. curl would keep the connection for others until all transfers are over, and the server a
    // process for each.
    set("request", farewell(login.service.protocol()));
    // One bound for all of it: `connect-timeout` would end a login that a server takes its time to refuse, and a second one would not
    // be told apart from it.
    set("max-time", format!("{:.3}", patience.as_secs_f64()).as_bytes());
    set("output", b"/dev/null");
    set("dump-header", format!("{MOUNT_POINT}/{index}").as_bytes());
    set("write-out", format!("%{{stderr}}{RESULT}{index} {WRITE_OUT}\n").as_bytes());
    // POP3's commands are all taken for ones that are answered with a list, unless it is not wanted.
    config.extend(b"insecure\nhead\n");
    if login.transport == Transport::StartTls {
        config.extend(b"ssl-reqd\n");
    }
    Ok(config)
}

/// The name of the host is another one for each login, so that none goes over the connection that another one left open
/// (`ConnectionExists`, lib/url.c).
fn url(index: usize, login: &Login) -> anyhow::Result<String> {
    let protocol = login.service.protocol();
    let (scheme, path) = match protocol {
        Protocol::Smtp => ("smtp", HELO),
        Protocol::Imap => ("imap", ""),
        Protocol::Pop3 => ("pop3", ""),
        Protocol::Sieve => anyhow::bail!("curl has no ManageSieve"),
    };
    let secure = if login.transport == Transport::Tls { "s" } else { "" };
    Ok(format!("{scheme}{secure}://login-{index}.invalid:{}/{path}", login.service.port()))
}

fn farewell(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Smtp | Protocol::Pop3 => b"QUIT",
        Protocol::Imap | Protocol::Sieve => b"LOGOUT",
    }
}

fn mechanism(login: &Login) -> anyhow::Result<&'static str> {
    Ok(match login.mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
        Mechanism::CramMd5 => "CRAM-MD5",
        Mechanism::DigestMd5 => "DIGEST-MD5",
        Mechanism::Apop if login.service.protocol() == Protocol::Pop3 => "+APOP",
        Mechanism::Apop => anyhow::bail!("APOP is POP3's"),
        Mechanism::Plaintext => anyhow::bail!("curl 7.88 cannot be told to use the plaintext commands"),
    })
}

/// A value in quotes, as curl reads it back (`unslashquote`, src/tool_parsecfg.c).
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in value {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_quotes_or_its_line() {
        for (value, config) in [
            (&b"alice"[..], &br#""alice""#[..]),
            (b"", br#""""#),
            (br#"a"b\"#, br#""a\"b\\""#),
            (b"x\r\nurl = y", br#""x\r\nurl = y""#),
            (b"\xff\x01\t#", b"\"\xff\x01\t#\""),
        ] {
            assert_eq!(quoted(value), config, "{}", shown(value));
        }
    }
}
