//! The unit in the eyes of systemd.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::unit::{self, systemd_analyze};

/// The most that `systemd-analyze security` may find the service to be exposed, of 10.
const EXPOSURE_MAX: f64 = 2.5;

#[test]
fn systemd_has_nothing_to_say_about_the_unit() -> anyhow::Result<()> {
    // It wants the binary to be there.
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("banner.service");
    fs::write(&copy, fs::read_to_string(unit::path())?.replace("/usr/sbin/banner", "/bin/true"))?;
    let copy = copy.to_str().context("a path of UTF-8")?;
    let Some((said, is_content)) = systemd_analyze(&["verify", copy])? else { return Ok(()) };
    ensure!(is_content && said.is_empty(), "{said}");
    Ok(())
}

#[test]
fn the_service_is_little_exposed() -> anyhow::Result<()> {
    let path = unit::path();
    let path = path.to_str().context("a path of UTF-8")?;
    let Some((said, _)) = systemd_analyze(&["security", "--offline=yes", path])? else { return Ok(()) };
    let last = said.lines().rfind(|line| line.contains("Overall exposure level"));
    let level = last.and_then(|line| line.split_once(": ")?.1.split_whitespace().next()?.parse::<f64>().ok());
    let level = level.with_context(|| format!("no exposure in: {said}"))?;
    ensure!(level <= EXPOSURE_MAX, "{said}");
    Ok(())
}

#[test]
fn mail_servers_wait_for_it() {
    let before: Vec<_> = unit::values("Before").into_iter().flat_map(str::split_whitespace).collect();
    for server in ["postfix", "cyrus-imapd", "dovecot", "exim4", "sendmail", "opensmtpd", "courier-imap"] {
        assert!(before.contains(&&*format!("{server}.service")), "{server}");
    }
}
