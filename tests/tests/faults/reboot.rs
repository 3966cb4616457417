//! The machine starts anew: files stay, bpffs is empty, the boot is another one.

use std::{fs, os::unix::net::UnixDatagram, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use banner_tests::{patience::PATIENCE, pinned::PinnedBans};
use nix::mount::{MsFlags, mount};

use crate::{
    clock::{let_pass, now},
    expected::Gap,
    scene::{Conditions, Scene, at_work},
};

/// Where the kernel tells one boot from another (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[test]
fn bans_come_back_with_what_is_left_of_them_before_the_daemon_is_ready() -> anyhow::Result<()> {
    at_work(Conditions { bantime: Duration::from_secs(20), ..Conditions::default() }, |scene| {
        let ready = ReadySocket::bind(&scene.installation.path("notify"))?;
        scene.installation.launch_with(["env".to_owned(), format!("NOTIFY_SOCKET={}", ready.path)]);
        for boot in 1..=2 {
            let in_force = power_off(scene)?;
            start_kernel(scene, boot)?;
            scene.spawn()?;
            ready.wait()?;
            // Before anybody could have sent a packet.
            let pinned = PinnedBans::open(scene.installation.bpffs()).context("ready without maps")?.entries()?;
            for (source, until) in in_force {
                let is_over = until.is_some_and(|until| until <= now().unwrap_or_default());
                ensure!(is_over || pinned.contains_key(&source), "ready without the ban of {source} until {until:?}");
            }
            // What was not on disk yet is in the log, and read again first of all.
            let from = now()?;
            scene.traffic.resume(scene.network)?;
            scene.await_start()?;
            scene.installation.await_log_read()?;
            scene.allow(Gap { from, until: now()? });
            scene.watch.set_blind(false)?;
            scene.await_bans(3)?;
        }
        Ok(())
    })
}

type InForce = Vec<(std::net::IpAddr, Option<Duration>)>;

/// Ends everything at once. The bans that had been in force for long enough to be on disk.
fn power_off(scene: &mut Scene<'_>) -> anyhow::Result<InForce> {
    scene.await_bans(3)?;
    let seen = scene.watch.sight().seen;
    // A second until they are handed over, and what the disk takes.
    let_pass(Duration::from_millis(2_500));
    let in_force: Vec<_> = seen.into_iter().map(|(source, seen)| (source, seen.until)).collect();
    scene.traffic.pause();
    scene.watch.set_blind(true)?;
    scene.kill()?;
    fs::remove_dir_all(scene.installation.bpffs())?;
    Ok(in_force)
}

/// Only the daemon, which is in this mount namespace, sees another boot.
fn start_kernel(scene: &Scene<'_>, boot: u8) -> anyhow::Result<()> {
    let boot_id = scene.installation.path("boot_id");
    fs::write(&boot_id, format!("00000000-0000-4000-8000-{boot:012}\n"))?;
    mount(Some(&boot_id), BOOT_ID, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("showing another boot")?;
    ensure!(PinnedBans::open(scene.installation.bpffs()).is_err(), "the maps have outlived the boot");
    Ok(())
}

/// What systemd listens on (sd_notify(3)).
pub(crate) struct ReadySocket {
    socket: UnixDatagram,
    pub(crate) path: String,
}

impl ReadySocket {
    pub(crate) fn bind(path: &Path) -> anyhow::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path: path.to_string_lossy().into_owned() })
    }

    /// Waits until somebody says that it is ready.
    pub(crate) fn wait(&self) -> anyhow::Result<()> {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).context("nobody says that it is ready")?;
            let message = message.get(..length).unwrap_or_default();
            if message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    }
}
