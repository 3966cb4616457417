//! What the daemon tells the service manager.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::Network,
    patience::PATIENCE,
};
use nix::sys::signal::Signal;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));

#[test]
fn it_is_ready_when_it_enforces_says_that_it_lives_and_says_its_end() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let before = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    before.kill()?;
    // A reboot takes the interface and what is attached to it; what a service does after it has to be done before it is ready.
    network.remove_cable()?;
    network.replace_cable()?;
    network.connect(ATTACKER, 25).context("with nothing attached")?;

    let manager = UnixDatagram::bind(installation.path("notify"))?;
    manager.set_read_timeout(Some(PATIENCE))?;
    let mut command = installation.command(&["run"]);
    command.env("NOTIFY_SOCKET", installation.path("notify")).env("WATCHDOG_USEC", "8000000");
    let mut daemon = installation.spawn_confined(&mut command, || Ok(()))?;
    ensure!(next(&manager)? == "READY=1", "first it is ready");
    let reached = network.reached(ATTACKER, &[25], INNOCENT)?;
    ensure!(reached.is_empty(), "it says that it is ready and lets a banned source through");
    installation.banner("status")?.expect(0).context("it says that it is ready and does not answer")?;

    // A watchdog of eight seconds ends what it has not heard of for so long.
    let mut heard = Instant::now();
    for _ in 0..2 {
        ensure!(next(&manager)? == "WATCHDOG=1", "then it lives");
        ensure!(heard.elapsed() < Duration::from_secs(8), "it was silent for {:?}", heard.elapsed());
        heard = Instant::now();
    }
    daemon.signal(Signal::SIGTERM)?;
    while next(&manager)? == "WATCHDOG=1" {}
    ensure!(daemon.await_end()?.success(), "it ends well");
    Ok(())
}

#[test]
fn nobody_hears_of_a_loop_that_hangs() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let manager = UnixDatagram::bind(installation.path("notify"))?;
    manager.set_read_timeout(Some(PATIENCE))?;
    let mut command = installation.command(&["run"]);
    command.env("NOTIFY_SOCKET", installation.path("notify")).env("WATCHDOG_USEC", "1000000");
    let daemon = installation.spawn_confined(&mut command, || Ok(()))?;
    while next(&manager)? != "WATCHDOG=1" {}
    daemon.signal(Signal::SIGSTOP)?;
    manager.set_read_timeout(Some(Duration::from_millis(1)))?;
    while next(&manager).is_ok() {}
    manager.set_read_timeout(Some(Duration::from_millis(1500)))?;
    ensure!(next(&manager).is_err(), "something speaks for a daemon that does nothing");
    Ok(())
}

fn next(manager: &UnixDatagram) -> anyhow::Result<String> {
    let mut message = [0; 512];
    let length = loop {
        match manager.recv(&mut message) {
            // Of a socket with a timeout the kernel does not go on by itself (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received?,
        }
    };
    Ok(String::from_utf8_lossy(message.get(..length).unwrap_or_default()).trim_end().to_owned())
}
