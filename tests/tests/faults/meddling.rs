//! Others take away what the daemon needs: its socket, its interface, the room in its maps, its place.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use banner_tests::{command_line::CommandLine as _, installation::Configuration, network::INTERFACE, patience::until};
use serde_json::Value;

use crate::{
    clock::now,
    expected::Gap,
    scene::{Conditions, Scene, at_work},
};

#[test]
fn the_socket_is_removed() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        fs::remove_file(scene.installation.socket())?;
        until("the socket is there again", || {
            let answer = scene.installation.banner("status --json")?;
            Ok((answer.code == Some(0)).then_some(()))
        })?;
        scene.await_bans(3)?;
        fs::remove_file(scene.installation.socket())?;
        scene.kill()?;
        scene.start()
    })
}

#[test]
fn a_second_daemon_gets_nowhere() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        for _ in 0..3 {
            let second = scene.installation.banner("run")?.expect(1)?;
            ensure!(second.stderr.contains("already"), "{second:?}");
            scene.await_bans(1)?;
        }
        Ok(())
    })
}

#[test]
fn the_interface_is_deleted_and_made_again() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        for is_up in [true, true, false] {
            scene.traffic.pause();
            if !is_up {
                scene.kill()?;
            }
            scene.network.remove_cable()?;
            if is_up {
                until("the interface is missing", || Ok((state(scene)? == "missing").then_some(())))?;
                scene.await_bans(2)?;
            }
            let from = now()?;
            scene.network.replace_cable()?;
            scene.traffic.resume(scene.network)?;
            if !is_up {
                scene.start()?;
            }
            until("the interface is guarded again", || Ok((state(scene)? == "attached").then_some(())))?;
            scene.allow(Gap { from, until: now()? });
            scene.await_bans(2)?;
        }
        Ok(())
    })
}

fn state(scene: &Scene<'_>) -> anyhow::Result<String> {
    let status = scene.installation.json("status --json")?;
    let interfaces = status.get("interfaces").and_then(Value::as_array).context("`status` has interfaces")?;
    let interface = interfaces.iter().find(|interface| interface.get("name") == Some(&INTERFACE.into()));
    let state = interface.and_then(|interface| interface.get("state")?.as_str());
    Ok(state.with_context(|| format!("no {INTERFACE} in {status}"))?.to_owned())
}

#[test]
fn a_full_map_lets_bans_wait_and_forgets_none() -> anyhow::Result<()> {
    // Two have bans from the beginning, one of them for a while.
    let configuration = Configuration { bans_v4: 4, ..Conditions::default().configuration };
    at_work(Conditions { configuration, is_ipv6: true, ..Conditions::default() }, |scene| {
        let [first, second, waiting, last] = [70, 71, 72, 73].map(|host| IpAddr::V4(Ipv4Addr::new(198, 51, 100, host)));
        let hour = Some(Duration::from_secs(3600));
        scene.ban(first, hour)?;
        scene.ban(second, hour)?;
        scene.ban(waiting, hour)?;
        scene.ban(last, hour)?;
        ensure!(waits(scene, last)?, "there was room: {:?}", scene.installation.bans()?);
        scene.kill()?;
        scene.start()?;
        until("the end of a ban makes room for the next", || Ok((!waits(scene, waiting)?).then_some(())))?;
        ensure!(waits(scene, last)?, "there was room: {:?}", scene.installation.bans()?);
        scene.kill()?;
        scene.start()?;
        scene.unban(first)?;
        until("the last ban has room", || Ok((!waits(scene, last)?).then_some(())))?;
        scene.await_bans(2)
    })
}

fn waits(scene: &Scene<'_>, source: IpAddr) -> anyhow::Result<bool> {
    let ban =
        scene.installation.ban(&source.to_string())?.with_context(|| format!("the ban of {source} is forgotten"))?;
    Ok(ban.get("waits") == Some(&true.into()))
}
