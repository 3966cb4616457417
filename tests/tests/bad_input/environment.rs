//! Machines that do not give what is needed.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    process::Command,
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::{INTERFACE, Network},
    object::{self, Program},
    process::install_program,
};

use crate::expect_error;

/// The user without any rights.
const NOBODY: u32 = 65534;

#[test]
fn an_interface_that_cannot_be_guarded_is_refused_by_name() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    network.server.ip("tuntap add dev tunnel0 mode tun")?;
    network.server.ip("link set dev tunnel0 up")?;
    let said = ["interface `tunnel0` cannot be guarded", "no Ethernet header"];
    for interface in ["\"tunnel0\"", "[\"mail9\", \"mail0\", \"tunnel0\"]"] {
        let configuration = Configuration { interface: interface.to_owned(), ..Configuration::default() };
        let installation = Installation::new(&network, &configuration)?;
        expect_error(&installation.banner("run")?, 2, &said).context(interface)?;
    }
    Ok(())
}

#[test]
fn a_missing_interface_is_told_of_and_keeps_neither_the_start_nor_another_interface() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    for (interface, missing, guarded) in [("\"mail9\"", "mail9", 0), ("[\"eth7\", \"mail0\"]", "eth7", 1)] {
        let configuration = Configuration { interface: interface.to_owned(), ..Configuration::default() };
        let installation = Installation::new(&network, &configuration)?;
        let check = installation.banner("check")?.expect(2).context(interface)?;
        let said = format!("no interface `{missing}`");
        ensure!(check.stdout.contains("failed") && check.stdout.contains(&said), "{check:?}");
        let daemon = installation.start().context(interface)?;
        ensure!(daemon.output().contains(&said) && daemon.output().contains(INTERFACE), "{}", daemon.output());
        let status = installation.json("status --json")?;
        let interfaces = status["interfaces"].as_array().context("no interfaces")?;
        ensure!(interfaces[0]["name"] == missing && interfaces[0]["state"] == "missing", "{status}");
        ensure!(status["warnings"].to_string().contains("as soon as it appears"), "{status}");
        let attached = interfaces.iter().filter(|interface| interface["state"] == "attached");
        ensure!(attached.count() == guarded && interfaces.len() == guarded + 1, "{status}");
    }
    Ok(())
}

#[test]
fn no_default_route_is_no_reason_to_guess_and_none_to_wait() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    network.server.ip("route del default")?;
    network.server.ip("-6 route del default")?;
    let configuration = Configuration { interface: "\"auto\"".to_owned(), ..Configuration::default() };
    let installation = Installation::new(&network, &configuration)?;
    let check = installation.banner("check")?.expect(2)?;
    let said = ["no default route", "name the interface", INTERFACE];
    ensure!(said.iter().all(|part| check.stdout.contains(part)), "{check:?}");
    let daemon = installation.start()?;
    ensure!(said.iter().all(|part| daemon.output().contains(part)), "{}", daemon.output());
    let interface = installation.json("status --json")?["interfaces"][0].clone();
    ensure!(interface["name"] == "auto" && interface["state"] == "missing", "{interface}");
    Ok(())
}

#[test]
fn a_directory_that_is_not_on_a_bpffs_is_refused() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    installation.write_configuration(&format!(
        "interface = \"{INTERFACE}\"\nsocket = {:?}\nbpffs = {:?}\n",
        installation.socket(),
        installation.path("bpf"),
    ))?;
    let said = &["is not on a BPF file system", "mount -t bpf bpf /sys/fs/bpf"];
    expect_error(&installation.banner("run")?, 2, said)?;
    let check = installation.banner("check")?.expect(2)?;
    ensure!(said.iter().all(|part| check.stdout.contains(part)), "{check:?}");
    Ok(())
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let first = installation.start()?;
    let pid = format!("(process {})", first.pid());
    expect_error(&installation.banner("run")?, 1, &["another banner", &pid, "stop it"])?;
    let status = installation.json("status --json")?;
    ensure!(status["daemon"]["pid"] == first.pid() && status["interfaces"][0]["state"] == "attached", "{status}");

    // With a socket and maps of its own, it still finds the interface taken.
    let other = Installation::new(&network, &Configuration::default())?;
    expect_error(
        &other.banner("run")?,
        4,
        &[INTERFACE, "runs XDP program", "bpftool prog show id", "stop what put it there"],
    )?;
    ensure!(installation.json("status --json")?["interfaces"][0]["state"] == "attached", "the first one has lost it");
    Ok(())
}

#[test]
fn somebody_elses_program_is_named_and_left_alone() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let objects = object::under_test("another XDP program")?;
    let mut other = Program::load(objects.first().context("an object is under test")?)?;
    let inside = network.server.enter()?;
    other.attach(INTERFACE)?;
    drop(inside);
    let before = attached(&network)?;
    ensure!(before.contains("prog/xdp id"), "{before}");

    let installation = Installation::new(&network, &Configuration::default())?;
    let answer = installation.banner("run")?;
    let id = before.split("prog/xdp id ").nth(1).and_then(|rest| rest.split(' ').next()).context("no id")?;
    expect_error(&answer, 4, &[INTERFACE, "runs XDP program", id, "stop what put it there", "off"])?;
    ensure!(attached(&network)? == before, "it is no longer the same: {before} {}", attached(&network)?);

    drop(other);
    let _daemon = installation.start().context("after the other program has gone")?;
    ensure!(installation.json("status --json")?["interfaces"][0]["state"] == "attached");
    Ok(())
}

fn attached(network: &Network) -> anyhow::Result<String> {
    let _inside = network.server.enter()?;
    let output = Command::new("ip").args(["link", "show", "dev", INTERFACE]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn without_privileges_every_command_says_what_it_lacks() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    // Where anybody can run it, whatever the folder of the checkout.
    let binary = installation.path("banner");
    install_program(installation.binary(), &binary)?;
    fs::set_permissions(installation.path(""), Permissions::from_mode(0o755))?;
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.arg("--config").arg(installation.path("banner.toml")).args(arguments).uid(NOBODY).gid(NOBODY);
        installation.run(&mut command)
    };
    for command in ["status", "bans", "reload", "detach", "why 192.0.2.1", "ban 203.0.113.1", "unban 203.0.113.1"] {
        let arguments: Vec<_> = command.split(' ').collect();
        expect_error(&nobody(&arguments)?, 3, &["banner.sock", "sudo"]).context(command)?;
    }
    drop(daemon);

    // A socket of its own, so that nothing but the kernel is in the way.
    let own = installation.path("own");
    fs::create_dir(&own)?;
    chown(&own, Some(NOBODY), Some(NOBODY))?;
    let configuration = |bpffs: &str| {
        installation.write_configuration(&format!(
            "interface = \"{INTERFACE}\"\nsocket = {:?}\nbpffs = {bpffs:?}\n",
            own.join("banner.sock"),
        ))
    };
    configuration(&installation.bpffs().to_string_lossy())?;
    expect_error(&nobody(&["run"])?, 4, &["ermi", "root"])?;
    let check = nobody(&["check"])?;
    ensure!(check.code == Some(4) && check.stdout.contains("root"), "{check:?}");
    Ok(())
}
