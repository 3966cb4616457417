//! Speaks HTTP to the control socket, as curl does.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use anyhow::Context as _;
use banner_tests::{installation::Installation, patience::PATIENCE};
use serde_json::Value;

/// Sends a request, and returns the status code and the body.
pub(crate) fn request(installation: &Installation<'_>, request: &str, body: &str) -> anyhow::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(installation.socket()).context("connecting to the control socket")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The headers of curl 7.88 with `-d`.
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: banner\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // A body that is too long is not read to its end; what was answered comes before the reset.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read?),
    }
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
    let code = head.split(' ').nth(1).with_context(|| format!("no status: {head}"))?.parse()?;
    let body = serde_json::from_str(body).with_context(|| format!("{request}: {answer}"))?;
    Ok((code, body))
}
