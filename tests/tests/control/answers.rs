//! Every command that prints data prints it as JSON too; and what there is to be said without a daemon.

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::{INTERFACE, Network},
};
use serde_json::Value;

#[test]
fn json_is_what_every_command_can_print() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    #[rustfmt::skip]
    let rows = [
        ("check",                       0, "/findings/0/subject"),
        ("status",                      0, "/daemon/version"),
        ("status mail",                 0, "/maxretry"),
        ("ban 198.51.100.66",           0, "/until"),
        ("bans",                        0, "/prefix"),
        ("bans mail",                   0, ""),
        ("why 198.51.100.66",           0, "/bans/0/remaining"),
        ("why 198.51.100.67",           1, "/source"),
        ("unban 198.51.100.66",         0, "/lifted"),
        ("reload",                      0, "/warnings"),
        ("detach",                      0, "/interfaces/0"),
    ];
    for (command, code, pointer) in rows {
        let answer = installation.banner(&format!("{command} --json"))?.expect(code)?;
        ensure!(answer.stderr.is_empty(), "{command}: {answer:?}");
        if pointer.is_empty() {
            ensure!(answer.stdout.is_empty(), "a ban by hand counts for no jail: {answer:?}");
            continue;
        }
        ensure!(answer.stdout.lines().count() == 1, "{command}: {answer:?}");
        let value: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("{command}: {answer:?}"))?;
        ensure!(value.pointer(pointer).is_some_and(|value| !value.is_null()), "{command}: no {pointer} in {value}");
    }
    Ok(())
}

#[test]
fn without_a_daemon_the_kernel_answers() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66 --for 1h")?.expect(0)?;
    installation.banner("ban 2001:db8:a:66::/64 --for permanent --services smtp")?.expect(0)?;
    let known = installation.bans()?;
    daemon.kill()?;

    let note = "the daemon is not running; this is what the kernel enforces without it";
    let answer = installation.banner("bans --json")?.expect(0)?;
    ensure!(answer.stderr.contains(note), "{answer:?}");
    let found: Vec<Value> = answer.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(found.len() == known.len(), "{found:?} instead of {known:?}");
    for (found, known) in found.iter().zip(&known) {
        ensure!(found["prefix"] == known["prefix"] && found["services"] == known["services"], "{found} {known}");
        ensure!(found["until"].is_null() == known["until"].is_null(), "{found} {known}");
    }
    let answer = installation.banner("status")?.expect(3)?;
    ensure!(answer.stderr.contains(note) && answer.stdout.contains(INTERFACE), "{answer:?}");
    for command in ["ban 203.0.113.1", "unban 198.51.100.66", "why 198.51.100.66", "reload", "status mail"] {
        let answer = installation.banner(command)?.expect(3)?;
        ensure!(answer.stdout.is_empty() && answer.stderr.contains("not running"), "{command}: {answer:?}");
    }
    installation.banner("detach")?.expect(0)?;
    for command in ["status", "bans"] {
        let answer = installation.banner(command)?.expect(3)?;
        ensure!(answer.stdout.is_empty() && answer.stderr.contains("not running"), "{command}: {answer:?}");
    }
    Ok(())
}

#[test]
fn an_unknown_jail_is_no_empty_jail() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    for command in ["status mial", "bans mial"] {
        let answer = installation.banner(command)?.expect(2).with_context(|| command.to_owned())?;
        ensure!(answer.stderr.contains("there is no jail `mial`"), "{answer:?}");
        ensure!(answer.stderr.contains("remedy: "), "{answer:?}");
    }
    Ok(())
}
