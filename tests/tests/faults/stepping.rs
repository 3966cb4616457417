//! The machine's clock is set, by an hour and by a day, forward and back. No ban's end moves by it.
//!
//! libfaketime tells the daemon another time of day and leaves the time since boot alone; the log is written by the same clock.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use banner_tests::installation::Installation;
use jiff::SignedDuration;

use crate::scene::{Conditions, Scene, at_work, left_out};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

#[test]
fn while_it_runs() -> anyhow::Result<()> {
    let Some(conditions) = conditions()? else { return Ok(()) };
    at_work(conditions, |scene| {
        for clock_off_by in [HOUR, 0, -HOUR, DAY, 0, -DAY] {
            settle(scene)?;
            step(scene, clock_off_by)?;
        }
        Ok(())
    })
}

#[test]
fn while_it_is_down() -> anyhow::Result<()> {
    let Some(conditions) = conditions()? else { return Ok(()) };
    at_work(conditions, |scene| {
        for clock_off_by in [HOUR, 0, -HOUR, DAY, 0, -DAY] {
            settle(scene)?;
            scene.kill()?;
            set(&scene.installation, clock_off_by)?;
            scene.start()?;
            step(scene, clock_off_by)?;
        }
        Ok(())
    })
}

/// Nobody fails both before and after a step: such failures are hours apart.
fn settle(scene: &Scene<'_>) -> anyhow::Result<()> {
    scene.writer.settle()?;
    scene.installation.await_log_read()
}

/// Sets the clock, and lets more sources fail by it.
fn step(scene: &Scene<'_>, clock_off_by: i64) -> anyhow::Result<()> {
    set(&scene.installation, clock_off_by)?;
    scene.writer.go_on(SignedDuration::from_secs(clock_off_by));
    scene.await_bans(4).with_context(|| format!("with a clock that is {clock_off_by} s off"))
}

fn conditions() -> anyhow::Result<Option<Conditions>> {
    if libfaketime()?.is_none() {
        return Ok(None);
    }
    Ok(Some(Conditions { prepare, bantime: Duration::from_secs(12), ..Conditions::default() }))
}

fn prepare(installation: &mut Installation<'_>) -> anyhow::Result<()> {
    let library = libfaketime()?.context("libfaketime is there")?;
    set(installation, 0)?;
    let assignment = |name: &str, value: &str| format!("{name}={value}");
    installation.launch_with([
        "env".to_owned(),
        assignment("LD_PRELOAD", &library.to_string_lossy()),
        assignment("FAKETIME_TIMESTAMP_FILE", &file(installation).to_string_lossy()),
        assignment("FAKETIME_NO_CACHE", "1"),
        assignment("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    Ok(())
}

/// In one step, so that nobody reads half of it.
fn set(installation: &Installation<'_>, clock_off_by: i64) -> anyhow::Result<()> {
    let new = installation.path("clock.new");
    fs::write(&new, format!("{clock_off_by:+}"))?;
    Ok(fs::rename(new, file(installation))?)
}

fn file(installation: &Installation<'_>) -> PathBuf {
    installation.path("clock")
}

/// Debian's package `libfaketime`, below the library directory of whatever architecture this is.
fn libfaketime() -> anyhow::Result<Option<PathBuf>> {
    let libraries = fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found =
        libraries.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|library| library.is_file());
    let found = found.next();
    if found.is_none() {
        left_out("stepped clocks", "faketime")?;
    }
    Ok(found)
}
