//! Logs that cannot be read. The daemon runs all the same, for it has bans to keep, and says what it misses.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::Network,
    patience::until,
};
use nix::{sys::stat::Mode, unistd::mkfifo};

/// What stands in the log's place.
#[derive(Clone, Copy, Debug)]
enum Instead {
    Directory,
    Fifo,
    Nothing,
    Loop,
}

#[test]
fn what_cannot_be_read_is_told_by_run_by_status_and_by_check() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    for (instead, state, note, check_code) in [
        (Instead::Directory, "unreadable", "not a regular file", 2),
        (Instead::Fifo, "unreadable", "not a regular file", 2),
        (Instead::Nothing, "missing", "", 0),
        (Instead::Loop, "unreadable", "symbolic link", 2),
    ] {
        is_told(&network, instead, state, note, check_code).with_context(|| format!("{instead:?}"))?;
    }
    Ok(())
}

#[test]
fn check_warns_of_a_log_that_the_unit_hides_from_the_daemon() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let source = Some("[\"/home/no-such-user/mail.log\", \"/root/no-such-folder/*.log\"]".to_owned());
    let installation = Installation::new(&network, &Configuration { source, ..Configuration::default() })?;
    let check = installation.banner("check")?.expect(0)?;
    for (path, hidden) in [("/home/no-such-user/mail.log", "/home"), ("/root/no-such-folder/*.log", "/root")] {
        let said = format!("banner.service hides {hidden} from the daemon (ProtectHome=yes)");
        let warning = |line: &str| line.starts_with("warning") && line.contains(path) && line.contains(&said);
        ensure!(check.stdout.lines().any(warning), "{path}: {}", check.stdout);
    }
    ensure!(check.stdout.matches("ProtectHome=read-only").count() == 2, "of another one, too: {}", check.stdout);
    Ok(())
}

fn is_told(network: &Network, instead: Instead, state: &str, note: &str, check_code: i32) -> anyhow::Result<()> {
    let installation = Installation::new(network, &Configuration::default())?;
    let log = installation.log.path();
    fs::remove_file(log)?;
    match instead {
        Instead::Directory => fs::create_dir(log)?,
        Instead::Fifo => mkfifo(log, Mode::S_IRUSR | Mode::S_IWUSR)?,
        Instead::Nothing => {}
        Instead::Loop => symlink(log, log)?,
    }
    let check = installation.banner("check")?.expect(check_code)?;
    let path = log.to_string_lossy();
    let found = check.stdout.lines().find(|line| line.contains(&*path)).with_context(|| format!("{check:?}"))?;
    ensure!(found.starts_with(if check_code == 0 { "warning" } else { "failed" }), "{found}");

    let daemon = installation.spawn()?;
    until("`status` tells", || {
        if installation.banner("status --json")?.code != Some(0) {
            return Ok(None);
        }
        Ok((installation.file()?["state"] == state).then_some(()))
    })?;
    let file = installation.file()?;
    ensure!(note.is_empty() || file["note"].to_string().to_lowercase().contains(note), "{file}");
    let warnings = |json: &str| Ok::<_, anyhow::Error>(installation.json(json)?["warnings"].to_string());
    ensure!(warnings("status --json")?.contains(&*path), "no warning at the top: {}", warnings("status --json")?);
    until("the daemon tells", || Ok(daemon.output().contains(&*path).then_some(())))?;

    // Once there is a log, it is read, from its beginning.
    match instead {
        Instead::Directory => fs::remove_dir(log)?,
        Instead::Fifo | Instead::Loop => fs::remove_file(log)?,
        Instead::Nothing => {}
    }
    let attacker = std::net::Ipv4Addr::new(198, 51, 100, 66).into();
    installation.log.append(&banner_tests::mail_log::postfix(attacker, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    ensure!(!warnings("status --json")?.contains(&*path), "it is read by now: {}", warnings("status --json")?);
    Ok(())
}
