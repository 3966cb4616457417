//! The disk under the state fills up, becomes read-only, damages or loses the database. Enforcement goes on, and so does memory.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use banner_tests::{command_line::CommandLine as _, installation::Installation, patience::until};
use nix::mount::{MsFlags, mount};
use serde_json::Value;

use crate::scene::{Conditions, Scene, at_work};

const BANNED_MEANWHILE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 90));

/// A small disk of its own.
fn mount_disk(installation: &mut Installation<'_>) -> anyhow::Result<()> {
    let directory = installation.path("state");
    fs::create_dir(&directory)?;
    mount(Some("state"), &directory, Some("tmpfs"), MsFlags::empty(), Some("size=32m,mode=700"))
        .context("mounting a disk")
}

fn remount(directory: &Path, flags: MsFlags) -> anyhow::Result<()> {
    mount(None::<&str>, directory, None::<&str>, MsFlags::MS_REMOUNT | flags, Some("size=32m,mode=700"))
        .context("mounting a disk anew")
}

/// What `status` warns of.
fn warnings(scene: &Scene<'_>) -> anyhow::Result<String> {
    let status = scene.installation.json("status --json")?;
    let warnings = status.get("warnings").and_then(Value::as_array).context("`status` has warnings")?;
    Ok(warnings.iter().map(|warning| format!("{warning}\n")).collect())
}

fn await_warning(scene: &Scene<'_>, text: &str) -> anyhow::Result<()> {
    until(&format!("`status` warns of {text:?}"), || Ok(warnings(scene)?.contains(text).then_some(())))
}

fn await_no_warning(scene: &Scene<'_>, text: &str) -> anyhow::Result<()> {
    until(&format!("`status` warns of {text:?} no more"), || Ok((!warnings(scene)?.contains(text)).then_some(())))
}

#[test]
fn a_full_disk() -> anyhow::Result<()> {
    at_work(Conditions { prepare: mount_disk, bantime: Duration::from_secs(15), ..Conditions::default() }, |scene| {
        let filler = scene.installation.path("state/filler");
        let mut file = File::create(&filler)?;
        while file.write_all(&[0; 4096]).is_ok() {}
        // What is open keeps its room after its removal.
        drop(file);
        await_warning(scene, "disk is full")?;
        scene.ban(BANNED_MEANWHILE, Some(Duration::from_secs(600)))?;
        scene.await_bans(3)?;

        // The kernel remembers bans, and the log what was counted.
        scene.kill()?;
        scene.start()?;
        await_warning(scene, "disk is full")?;
        scene.await_bans(3)?;

        fs::remove_file(&filler)?;
        await_no_warning(scene, "disk is full")?;
        scene.kill()?;
        scene.start()?;
        ensure!(!warnings(scene)?.contains("disk"), "{}", warnings(scene)?);
        scene.await_bans(3)
    })
}

#[test]
fn a_read_only_disk() -> anyhow::Result<()> {
    at_work(Conditions { prepare: mount_disk, bantime: Duration::from_secs(15), ..Conditions::default() }, |scene| {
        let directory = scene.installation.path("state");
        scene.terminate()?;
        remount(&directory, MsFlags::MS_RDONLY)?;
        scene.start()?;
        await_warning(scene, "read-only")?;
        scene.ban(BANNED_MEANWHILE, Some(Duration::from_secs(600)))?;
        scene.await_bans(3)?;
        scene.kill()?;
        scene.start()?;
        await_warning(scene, "read-only")?;

        remount(&directory, MsFlags::empty())?;
        await_no_warning(scene, "read-only")?;
        scene.await_bans(2)?;
        scene.kill()?;
        scene.start()?;
        scene.await_bans(2)
    })
}

/// Does it to the database while the daemon runs, and again while it does not.
fn damaged(damage: fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    at_work(Conditions { bantime: Duration::from_secs(15), ..Conditions::default() }, |scene| {
        let database = scene.installation.path("state/state.db");
        damage(&database).context("while it runs")?;
        scene.await_bans(3)?;
        scene.ban(BANNED_MEANWHILE, Some(Duration::from_secs(600)))?;
        scene.kill()?;
        scene.start()?;
        scene.await_bans(3)?;

        scene.terminate()?;
        damage(&database).context("while it is down")?;
        scene.start()?;
        scene.await_bans(3)?;
        // It is as good as any again.
        let source = scene.writer.write_source(3)?;
        scene.installation.await_log_read()?;
        scene.unban(scene.source(source)?.address)?;
        scene.kill()?;
        scene.start()?;
        scene.await_bans(1)
    })
}

#[test]
fn a_truncated_database() -> anyhow::Result<()> {
    damaged(|database| {
        let file = File::options().write(true).open(database)?;
        Ok(file.set_len(file.metadata()?.len() / 2)?)
    })
}

#[test]
fn a_database_overwritten_with_garbage() -> anyhow::Result<()> {
    damaged(|database| {
        let file = File::options().write(true).open(database)?;
        let length = usize::try_from(file.metadata()?.len())?;
        Ok(file.write_all_at(&b"garbage ".repeat(length / 8 + 1), 0)?)
    })
}

#[test]
fn a_deleted_database() -> anyhow::Result<()> {
    damaged(|database| {
        for companion in ["", "-wal", "-shm"] {
            let mut path = database.as_os_str().to_owned();
            path.push(companion);
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    })
}
