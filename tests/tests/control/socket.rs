//! The control socket: who may open it, and that it speaks HTTP as curl does.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::{INTERFACE, Network},
    patience::until,
};

use crate::http::request;

#[test]
fn only_the_owner_may_open_the_socket() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let mode = fs::metadata(installation.socket())?.permissions().mode() & 0o7777;
    ensure!(mode == 0o600, "{mode:o}");
    Ok(())
}

#[test]
fn http_over_the_socket_answers_what_the_command_line_shows() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;

    let (code, status) = request(&installation, "GET /v1/status", "")?;
    ensure!(code == 200 && status["daemon"]["pid"] == daemon.pid(), "{code} {status}");
    ensure!(status["interfaces"][0]["name"] == INTERFACE, "{status}");

    let (code, banned) = request(&installation, "POST /v1/ban", r#"{"prefix":"198.51.100.66","bantime":600}"#)?;
    ensure!(code == 200 && banned["prefix"] == "198.51.100.66", "{code} {banned}");
    let (code, page) = request(&installation, "GET /v1/bans?limit=10", "")?;
    let shown = installation.ban("198.51.100.66")?.context("the ban that was asked for")?;
    ensure!(code == 200 && page["bans"][0]["services"] == shown["services"] && page["next"].is_null(), "{code} {page}");
    let (code, why) = request(&installation, "GET /v1/why/198.51.100.66", "")?;
    ensure!(code == 200 && why["bans"][0]["origin"] == "hand", "{code} {why}");
    let (code, unbanned) = request(&installation, "POST /v1/unban", r#"{"prefix":"198.51.100.66"}"#)?;
    ensure!(code == 200 && unbanned["lifted"] == 1, "{code} {unbanned}");
    Ok(())
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_what_is_wrong() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let long = format!("{{\"prefix\":\"{}\"}}", "1".repeat(70_000));
    #[rustfmt::skip]
    let rows = [
        ("GET /v2/status",       "",                                     404, "not_found"),
        ("GET /v1/ban",          "",                                     405, "method_not_allowed"),
        ("POST /v1/ban",         "prefix=192.0.2.1",                     400, "invalid"),
        ("POST /v1/ban",         r#"{"prefix":"mail.example.com"}"#,     400, "invalid"),
        ("POST /v1/ban",         r#"{"prefix":"203.0.113.1","x":1}"#,    400, "invalid"),
        ("POST /v1/ban",         &long,                                  413, "too_large"),
        ("POST /v1/ban",         r#"{"prefix":"127.0.0.1"}"#,            409, "refused"),
        ("POST /v1/unban",       r#"{"prefix":"203.0.113.1"}"#,          404, "not_banned"),
        ("GET /v1/bans?limit=0", "",                                     400, "invalid"),
        ("GET /v1/why/nobody",   "",                                     400, "invalid"),
    ];
    for (line, body, code, kind) in rows {
        let (answered, error) = request(&installation, line, body)?;
        ensure!(answered == code && error["kind"] == kind, "{line} {body:.60}: {answered} {error}");
        ensure!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    // It goes on.
    ensure!(request(&installation, "GET /v1/status", "")?.0 == 200);
    Ok(())
}

#[test]
fn a_socket_that_somebody_removes_comes_back() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    let lock = installation.path("banner.sock.lock");
    for (round, removed) in [vec![installation.socket()], vec![installation.socket(), lock]].into_iter().enumerate() {
        for path in &removed {
            fs::remove_file(path)?;
        }
        until("the daemon can be asked again", || Ok((installation.banner("status")?.code == Some(0)).then_some(())))?;
        let mode = fs::metadata(installation.socket())?.permissions().mode() & 0o7777;
        ensure!(mode == 0o600, "{mode:o}");
        let told = daemon.output().matches("somebody removed or replaced the control socket").count();
        ensure!(told == round + 1, "told {told} times: {}", daemon.output());
        ensure!(installation.ban("198.51.100.66")?.is_some(), "the ban is lost");
        // The path is still this daemon's.
        let second = installation.banner("run")?.expect(1)?;
        ensure!(second.stderr.contains(&format!("another banner (process {})", daemon.pid())), "{second:?}");
    }
    Ok(())
}
