//! Interfaces go down and up, are renamed, deleted and made again, and leave for another namespace and come back, while a banned
//! source keeps sending. What gets through in the moment until a new interface is guarded is measured, and printed.

use std::{
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    frame::{CLIENT_MAC, Frame, Ipv4},
    installation::{Configuration, Installation},
    namespace::{Namespace, hexadecimal},
    network::{INTERFACE, Network, SERVER_V4},
    patience::until,
    segments::Segments,
    wire::Wire,
};
use serde_json::Value;

const BANNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
const INNOCENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 67);

/// A banned source and an innocent one that send without end.
struct Traffic<'n> {
    network: &'n Network,
    segments: Segments,
}

/// What came of one round.
struct Round {
    banned: bool,
    innocent: bool,
}

impl<'n> Traffic<'n> {
    fn new(network: &'n Network) -> anyhow::Result<Self> {
        Ok(Self { network, segments: Segments::of(&network.server)? })
    }

    /// One frame of each. A veth pair hands a frame over before the sender goes on, or a moment later.
    fn round(&mut self, wire: &Wire) -> anyhow::Result<Round> {
        let mut arrives = |from: Ipv4Addr, wait: Duration| -> anyhow::Result<bool> {
            let before = self.segments.count()?;
            wire.send(&syn(from))?;
            let deadline = Instant::now() + wait;
            loop {
                if self.segments.count()? > before {
                    return Ok(true);
                }
                if Instant::now() > deadline {
                    return Ok(false);
                }
            }
        };
        // The innocent one's comes after it on the same cable: once that is there, the banned one's is there or is not.
        let banned = arrives(BANNED, Duration::from_micros(500))?;
        let innocent = arrives(INNOCENT, Duration::from_secs(5))?;
        Ok(Round { banned, innocent })
    }

    /// Sends until nothing of the banned source has come through for a while. How long something did, and how much.
    fn gap(&mut self, since: Instant) -> anyhow::Result<(Duration, u32)> {
        let wire = self.network.wire()?;
        let (mut gap, mut leaked, mut quiet) = (Duration::ZERO, 0, Instant::now());
        while quiet.elapsed() < Duration::from_millis(200) {
            let round = self.round(&wire)?;
            ensure!(round.innocent, "a frame of the innocent source did not come through");
            if round.banned {
                (gap, leaked, quiet) = (since.elapsed(), leaked + 1, Instant::now());
            }
            ensure!(since.elapsed() < Duration::from_secs(30), "{leaked} frames have come through, and still do");
        }
        Ok((gap, leaked))
    }

    /// Nothing of the banned source comes through, and everything of the innocent one.
    fn is_guarded(&mut self) -> anyhow::Result<()> {
        let (_, leaked) = self.gap(Instant::now())?;
        ensure!(leaked == 0, "{leaked} frames of the banned source have come through");
        Ok(())
    }
}

fn syn(from: Ipv4Addr) -> Frame {
    Ipv4::new(from.octets(), SERVER_V4.octets()).tcp(25)
}

/// The interfaces of `status` by name and state.
fn interfaces(installation: &Installation<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let status = installation.json("status --json")?;
    let text = |interface: &Value, key| interface.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let interfaces = status.get("interfaces").and_then(Value::as_array).context("no interfaces")?;
    Ok(interfaces.iter().map(|interface| (text(interface, "name"), text(interface, "state"))).collect())
}

fn await_state(installation: &Installation<'_>, name: &str, state: &str) -> anyhow::Result<()> {
    let wanted = [(name.to_owned(), state.to_owned())];
    until(&format!("`status` says that {name} is {state}"), || Ok((interfaces(installation)? == wanted).then_some(())))
}

/// How many programs are on an interface, whose they may be.
fn programs(network: &Network, interface: &str) -> anyhow::Result<usize> {
    let _inside = network.server.enter()?;
    let output = Command::new("ip").args(["-d", "link", "show", "dev", interface]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).matches("prog/xdp").count())
}

/// The links that are pinned.
fn pins(installation: &Installation<'_>) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(installation.bpffs().join(format!("v{}/links", banner_common::VERSION)))?.count())
}

/// Whether the warnings have a word.
fn warns(installation: &Installation<'_>, word: &str) -> anyhow::Result<bool> {
    let status = installation.json("status --json")?;
    Ok(status.get("warnings").context("no warnings")?.to_string().contains(word))
}

fn ban(installation: &Installation<'_>) -> anyhow::Result<()> {
    installation.banner(&format!("ban {BANNED} --for 1h"))?.expect(0)?;
    Ok(())
}

/// One `ip` for all: between two processes of it whole milliseconds pass.
fn batch(namespace: &Namespace, lines: &[String]) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), lines.join("\n"))?;
    namespace.ip(&format!("-batch {}", file.path().display()))
}

/// What a new interface needs to take part in the traffic.
fn address() -> Vec<String> {
    let there = hexadecimal(CLIENT_MAC);
    vec![
        format!("link set dev {INTERFACE} up addrgenmode none"),
        format!("address add {SERVER_V4}/24 dev {INTERFACE}"),
        format!("neigh replace {INNOCENT} lladdr {there} dev {INTERFACE}"),
        format!("route replace default via {INNOCENT} dev {INTERFACE}"),
    ]
}

#[test]
fn down_and_up_leave_the_program_where_it_is() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    ban(&installation)?;
    let mut traffic = Traffic::new(&network)?;
    traffic.is_guarded()?;
    for _ in 0..3 {
        network.server.ip(&format!("link set dev {INTERFACE} down"))?;
        until("`status` says that it is down", || Ok(warns(&installation, "mail0 is down")?.then_some(())))?;
        ensure!(interfaces(&installation)? == [(INTERFACE.to_owned(), "attached".to_owned())]);
        let since = Instant::now();
        batch(&network.server, &[format!("link set dev {INTERFACE} up"), address()[2].clone(), address()[3].clone()])?;
        let (gap, leaked) = traffic.gap(since)?;
        ensure!(leaked == 0, "{leaked} frames in {gap:?}");
        ensure!(programs(&network, INTERFACE)? == 1 && pins(&installation)? == 1);
        until("it is up for `status` too", || Ok((!warns(&installation, "is down")?).then_some(())))?;
    }
    println!("down and up: no gap");
    Ok(())
}

#[test]
fn a_new_name_leaves_the_program_where_it_is() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    ban(&installation)?;
    let mut traffic = Traffic::new(&network)?;
    for (from, to) in [(INTERFACE, "wan0"), ("wan0", INTERFACE)] {
        network.server.ip(&format!("link set dev {from} name {to}"))?;
        traffic.is_guarded()?;
        await_state(&installation, to, "attached")?;
        ensure!(programs(&network, to)? == 1 && pins(&installation)? == 1);
        ensure!(warns(&installation, "the configuration names it mail0")? == (to == "wan0"));
    }
    ensure!(daemon.output().contains("interface mail0 is called wan0 now"), "{}", daemon.output());
    println!("renamed: no gap");
    Ok(())
}

#[test]
fn one_that_is_deleted_and_made_again_is_guarded_within_milliseconds() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    for interface in [format!("\"{INTERFACE}\""), "\"auto\"".to_owned()] {
        let installation =
            Installation::new(&network, &Configuration { interface: interface.clone(), ..Configuration::default() })?;
        let _daemon = installation.start()?;
        ban(&installation)?;
        let mut traffic = Traffic::new(&network)?;
        // The last time as quickly as can be: the daemon may not have seen it go.
        for pause in [true, true, false] {
            network.remove_cable()?;
            if pause {
                await_state(&installation, INTERFACE, "missing")?;
                ensure!(pins(&installation)? == 0, "a pin of what is gone is left");
            }
            let since = Instant::now();
            network.replace_cable()?;
            let made = since.elapsed();
            let (gap, leaked) = traffic.gap(since)?;
            println!(
                "interface = {interface}, deleted and made again{}: {leaked} frames of the banned source came through, the \
                 last {gap:?} after the first of the commands that make it, which took {made:?}",
                if pause { "" } else { " at once" },
            );
            ensure!(gap < Duration::from_secs(1), "not within milliseconds, even for a machine that is busy: {gap:?}");
            await_state(&installation, INTERFACE, "attached")?;
            ensure!(programs(&network, INTERFACE)? == 1 && pins(&installation)? == 1);
        }
        installation.banner("detach")?.expect(0)?;
    }
    Ok(())
}

#[test]
fn one_that_leaves_for_another_namespace_is_left_there_and_guarded_when_it_is_back() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    ban(&installation)?;
    let mut traffic = Traffic::new(&network)?;
    let elsewhere = Namespace::new()?;
    for pause in [true, true, false] {
        network.server.send(INTERFACE, &elsewhere)?;
        if pause {
            await_state(&installation, INTERFACE, "missing")?;
            ensure!(pins(&installation)? == 0, "a pin of what is gone is left");
            let inside = elsewhere.enter()?;
            until("the program is off it", || {
                let output = Command::new("ip").args(["link", "show", "dev", INTERFACE]).output()?;
                Ok((!String::from_utf8_lossy(&output.stdout).contains("xdp")).then_some(()))
            })?;
            drop(inside);
        }
        elsewhere.send(INTERFACE, &network.server)?;
        let since = Instant::now();
        batch(&network.server, &address())?;
        let made = since.elapsed();
        let (gap, leaked) = traffic.gap(since)?;
        println!(
            "in another namespace and back{}: {leaked} frames of the banned source came through, the last {gap:?} after it was \
             back; giving it its address took {made:?}",
            if pause { "" } else { " at once" },
        );
        ensure!(gap < Duration::from_secs(1), "not within milliseconds, even for a machine that is busy: {gap:?}");
        await_state(&installation, INTERFACE, "attached")?;
        ensure!(programs(&network, INTERFACE)? == 1 && pins(&installation)? == 1);
    }
    Ok(())
}

#[test]
fn one_that_comes_after_the_start_is_guarded() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    for (interface, waits) in [(format!("\"{INTERFACE}\""), INTERFACE), ("\"auto\"".to_owned(), "auto")] {
        network.remove_cable()?;
        let installation = Installation::new(&network, &Configuration { interface, ..Configuration::default() })?;
        let _daemon = installation.start()?;
        await_state(&installation, waits, "missing")?;
        ban(&installation)?;
        let since = Instant::now();
        network.replace_cable()?;
        let (gap, leaked) = Traffic::new(&network)?.gap(since)?;
        println!("came after the start: {leaked} frames of the banned source came through, the last {gap:?} after");
        ensure!(gap < Duration::from_secs(1), "not within milliseconds, even for a machine that is busy: {gap:?}");
        await_state(&installation, INTERFACE, "attached")?;
        installation.banner("detach")?.expect(0)?;
    }
    Ok(())
}
