//! What the daemon writes to systemd's journal.

use std::{
    fs::{self, File},
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    os::unix::{fs::MetadataExt as _, net::UnixDatagram},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    mail_log::postfix,
    network::Network,
    patience::{PATIENCE, until},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::Signal,
};

/// Where journald listens (systemd.io/JOURNAL_NATIVE_PROTOCOL).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// As many sources as fit into the map of this installation, less one.
const FLOOD: u32 = 1000;

#[test]
fn bans_are_entries_with_fields() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let (_daemon, journal) = start(&installation)?;
    installation.log.append(&postfix(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66)), "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    let entry = until("the ban is in the journal", || Ok(next(&journal)?.filter(|entry| entry.contains("=banned\n"))))?;
    let fields: Vec<_> = entry.lines().collect();
    for field in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=banner",
        "BANNER_EVENT=banned",
        "BANNER_PREFIX=198.51.100.66",
        "BANNER_JAIL=mail",
    ] {
        ensure!(fields.contains(&field), "no {field} in {entry}");
    }
    ensure!(
        fields.iter().any(|field| field.starts_with("MESSAGE=banned 198.51.100.66 by jail mail until ")),
        "{entry}"
    );
    ensure!(fs::read(installation.output())?.is_empty(), "what is in the journal is not said again");
    Ok(())
}

#[test]
fn a_flood_of_bans_does_not_fill_the_journal_and_is_counted_there() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let started = Instant::now();
    let (mut daemon, journal) = start(&installation)?;
    let source = |number: u32| IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number));
    let lines: String = (0..FLOOD).map(|number| postfix(source(number), "alice").repeat(3)).collect();
    installation.log.append(&lines)?;
    until("all are banned", || {
        let used = installation.json("status --json")?.pointer("/limits/bans_v4/used").cloned();
        Ok((used == Some(FLOOD.into())).then_some(()))
    })?;
    daemon.signal(Signal::SIGTERM)?;
    ensure!(daemon.await_end()?.success(), "it ends well");
    let most = 201 + started.elapsed().as_secs();

    let (mut logged, mut summed_up) = (0, None);
    while let Some(entry) = next(&journal)? {
        logged += u64::from(entry.contains("BANNER_EVENT=banned\n"));
        let sum =
            entry.lines().find_map(|line| line.strip_prefix("MESSAGE=")?.split_once(" messages like this were not"));
        if let Some((number, _)) = sum {
            summed_up = Some(number.parse::<u64>()?);
        }
    }
    ensure!((200..=most).contains(&logged), "{logged} bans were logged");
    ensure!(summed_up == Some(u64::from(FLOOD) - logged), "{logged} bans were logged and {summed_up:?} summed up");
    Ok(())
}

/// Starts the daemon where a journal of our own takes its standard error, and waits until it is there.
fn start(installation: &Installation<'_>) -> anyhow::Result<(Daemon, UnixDatagram)> {
    let output = File::create(installation.output())?.metadata()?;
    let journal = Mutex::new(None);
    let mut command = installation.command(&["run"]);
    command.env("JOURNAL_STREAM", format!("{}:{}", output.dev(), output.ino()));
    let daemon = installation.spawn_confined(&mut command, || {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
        // As systemd has it: the kernel's own 10 are less than a burst.
        fs::write("/proc/sys/net/unix/max_dgram_qlen", "512")?;
        fs::create_dir_all(Path::new(JOURNAL).parent().context("a directory")?)?;
        let socket = UnixDatagram::bind(JOURNAL)?;
        socket.set_read_timeout(Some(Duration::from_millis(10)))?;
        *journal.lock().map_err(|_| anyhow::anyhow!("a panic elsewhere"))? = Some(socket);
        Ok(())
    })?;
    let begun = Instant::now();
    while installation.banner("status")?.code != Some(0) {
        ensure!(begun.elapsed() < PATIENCE, "the daemon does not answer");
    }
    let journal = journal.into_inner().map_err(|_| anyhow::anyhow!("a panic elsewhere"))?;
    Ok((daemon, journal.context("the socket of the journal")?))
}

/// The next entry, if there is one.
fn next(journal: &UnixDatagram) -> anyhow::Result<Option<String>> {
    let mut entry = [0; 65_536];
    match journal.recv(&mut entry) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(entry.get(..length).unwrap_or_default()).into_owned())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        // Of a socket with a timeout the kernel does not go on by itself (signal(7)).
        Err(error) if error.kind() == ErrorKind::Interrupted => next(journal),
        Err(error) => Err(error.into()),
    }
}
