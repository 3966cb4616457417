//! The daemon with what the unit leaves it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::{fs::chown, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    journal::{Journal, entries},
    mail_log::{cyrus, postfix},
    network::{INTERFACE, MAIL_PORTS, Network},
    patience::until,
};
use nix::sys::signal::Signal;

use crate::sandbox::Sandbox;

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
const THIRD: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 66, 66));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));

/// By include/uapi/linux/capability.h.
const DAC_READ_SEARCH: u64 = 1 << 2;
const NET_ADMIN: u64 = 1 << 12;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// The account that a syslog daemon may have.
const SYSLOG: u32 = 104;

#[test]
fn the_daemon_does_all_its_work_with_what_the_unit_leaves_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let Some(sandbox) = Sandbox::new(folder(&installation)?)? else { return Ok(()) };

    let mut daemon = start(&installation, &sandbox)?;
    bans(&installation, &network, FIRST)?;
    has_little_left(&daemon, BPF | NET_ADMIN | DAC_READ_SEARCH | PERFMON)?;

    // A configuration that has changed, and the program over the interface again.
    installation.configure(&Configuration { ignoreip: "[\"192.0.2.99\"]".to_owned(), ..Configuration::default() })?;
    installation.banner("reload")?.expect(0)?;
    stays_out(&network, FIRST)?;

    // The next log belongs to syslog, and nobody else may read it.
    fs::rename(installation.log.path(), installation.path("mail.log.1"))?;
    installation.log.append("")?;
    chown(installation.log.path(), Some(SYSLOG), Some(SYSLOG))?;
    fs::set_permissions(installation.log.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    bans(&installation, &network, SECOND)?;

    // An interface that is made again is attached to again.
    network.remove_cable()?;
    until("the interface is missing", || Ok((state(&installation)? == "missing").then_some(())))?;
    network.replace_cable()?;
    until("the interface is guarded again", || Ok((state(&installation)? == "attached").then_some(())))?;
    stays_out(&network, FIRST)?;
    stays_out(&network, SECOND)?;

    installation.banner("ban 198.18.66.66")?.expect(0)?;
    stays_out(&network, THIRD)?;
    installation.banner("unban 198.18.66.66")?.expect(0)?;
    network.connect(THIRD, 25).context("after its ban")?;

    daemon.signal(Signal::SIGTERM)?;
    let end = daemon.await_end()?;
    ensure!(end.success(), "the end of the daemon: {end}");
    stays_out(&network, FIRST).context("with the daemon stopped")?;

    // The next one takes over what is pinned, with maps of another size, and takes it off in the end.
    installation.configure(&Configuration { bans_v4: 2048, ..Configuration::default() })?;
    let mut daemon = start(&installation, &sandbox)?;
    stays_out(&network, FIRST).context("under the next daemon")?;
    installation.banner("detach")?.expect(0)?;
    let end = daemon.await_end()?;
    ensure!(end.success(), "the end of the daemon: {end}");
    ensure!(!installation.bpffs().exists(), "something is still pinned");
    network.connect(FIRST, 25).context("after `detach`")?;
    for refusal in ["not permitted", "ermission denied", "ead-only"] {
        ensure!(!daemon.output().contains(refusal), "something was refused");
    }
    Ok(())
}

#[test]
fn the_journal_is_read_with_what_the_unit_leaves_the_daemon() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(journal) = Journal::new()? else { return Ok(()) };
    let configuration = Configuration { source: Some("\"journal\"".to_owned()), ..Configuration::default() };
    let installation = Installation::new(&network, &configuration)?;
    let Some(sandbox) = Sandbox::new(folder(&installation)?)? else { return Ok(()) };
    let start = || {
        start_confined(&installation, || {
            journal.enter()?;
            sandbox.enter()
        })
    };
    let mut daemon = start()?;
    journal.append(&entries(&postfix(FIRST, "alice").repeat(3))?)?;
    installation.await_ban("198.51.100.66")?;
    stays_out(&network, FIRST)?;
    journal.append(&entries(&postfix(SECOND, "alice").repeat(2))?)?;
    daemon.signal(Signal::SIGTERM)?;
    let end = daemon.await_end()?;
    ensure!(end.success(), "the end of the daemon: {end}");

    let daemon = start()?;
    journal.append(&entries(&postfix(SECOND, "alice"))?)?;
    // No machine's journal falls silent after one entry. Seen once in many runs: journalctl, started at the very moment of the
    // last entry, did not show it until another one came.
    until("203.0.113.66 is banned", || {
        journal.append(&entries(&postfix(THIRD, "bob"))?)?;
        Ok(installation.banner("bans --json")?.stdout.contains("203.0.113.66").then_some(()))
    })?;
    for refusal in ["not permitted", "ermission denied", "ead-only", "journalctl"] {
        ensure!(!daemon.output().contains(refusal), "something was refused");
    }
    Ok(())
}

#[test]
fn a_daemon_that_root_starts_ends_up_with_as_little() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    has_little_left(&daemon, BPF | NET_ADMIN | DAC_READ_SEARCH | PERFMON)
}

/// What the sandbox denies, a shell does not get: otherwise the test above would say nothing.
#[test]
fn the_sandbox_denies_what_the_unit_denies() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let Some(sandbox) = Sandbox::new(folder(&installation)?)? else { return Ok(()) };
    let own = installation.path("own");
    let own = own.to_str().context("a path of UTF-8")?;
    let sigsys = Some(Signal::SIGSYS as i32);
    // A command of bash, the code it ends with, and the signal that ends it.
    let rows: [(&str, Option<i32>, Option<i32>); 7] = [
        ("exit 7", Some(7), None),
        // 1: it finds no journal here. A signal would be 128 and more.
        ("! type journalctl || journalctl --output=export --lines=1; (($? <= 1))", Some(0), None),
        (&format!(": > {own}"), Some(0), None),
        (": > /etc/banner-test || exit 7", Some(7), None),
        ("read -r _ < /proc/1/environ || exit 7", Some(7), None),
        ("exec 3<> /dev/tcp/127.0.0.1/9", None, sigsys),
        ("exec chroot / true", None, sigsys),
    ];
    for (command, code, signal) in rows {
        let mut bash = Command::new("bash");
        let mut daemon = installation
            .spawn_confined(bash.args(["-c", command]).stdin(Stdio::null()), || sandbox.enter())
            .context(command.to_owned())?;
        let end = daemon.await_end()?;
        ensure!((end.code(), end.signal()) == (code, signal), "`{command}` ended with {end}");
    }
    Ok(())
}

fn folder<'a>(installation: &'a Installation<'_>) -> anyhow::Result<&'a Path> {
    installation.log.path().parent().context("the log is in a folder")
}

/// Starts the daemon under the unit's restrictions, and waits until it answers.
fn start(installation: &Installation<'_>, sandbox: &Sandbox) -> anyhow::Result<Daemon> {
    start_confined(installation, || sandbox.enter())
}

fn start_confined(
    installation: &Installation<'_>,
    confine: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<Daemon> {
    let mut daemon = installation.spawn_confined(&mut installation.command(&["run"]), confine)?;
    let answers =
        until("the daemon answers", || Ok((installation.banner("status --json")?.code == Some(0)).then_some(())));
    answers.with_context(|| format!("the daemon ended with {:?}: {}", daemon.await_end(), daemon.output()))?;
    Ok(daemon)
}

/// Has a source fail, and sees that it is shut out.
fn bans(installation: &Installation<'_>, network: &Network, source: IpAddr) -> anyhow::Result<()> {
    network.connect(source, 25).context("before its ban")?;
    installation.log.append(&(postfix(source, "alice") + &cyrus(source, "bob") + &postfix(source, "carol")))?;
    installation.await_ban(&source.to_string())?;
    stays_out(network, source)
}

fn stays_out(network: &Network, source: IpAddr) -> anyhow::Result<()> {
    let reached = network.reached(source, &MAIL_PORTS, INNOCENT)?;
    ensure!(reached.is_empty(), "{source} is banned and reaches ports {reached:?}");
    Ok(())
}

fn state(installation: &Installation<'_>) -> anyhow::Result<String> {
    let status = installation.json("status --json")?;
    let interfaces = status.get("interfaces").and_then(|all| all.as_array()).into_iter().flatten();
    let mut named = interfaces.filter(|interface| interface.get("name") == Some(&INTERFACE.into()));
    let state = named.next().and_then(|interface| interface.get("state")?.as_str());
    Ok(state.with_context(|| format!("no {INTERFACE} in {status}"))?.to_owned())
}

/// Sees that no thread may do anything that the running daemon need not, nor ever get to.
fn has_little_left(daemon: &Daemon, bounding: u64) -> anyhow::Result<()> {
    let needed = BPF | NET_ADMIN | DAC_READ_SEARCH;
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let value = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(u64::from_str_radix(line.with_context(|| format!("no {name}"))?.trim(), 16)?)
        };
        ensure!(value("CapPrm")? == needed && value("CapEff")? == needed, "more or less than is needed:\n{status}");
        ensure!(value("CapInh")? == 0 && value("CapAmb")? == 0, "programs that it runs have more:\n{status}");
        ensure!(value("CapBnd")? == bounding, "it can get more:\n{status}");
        ensure!(value("NoNewPrivs")? == 1, "it can get new privileges:\n{status}");
    }
    Ok(())
}
