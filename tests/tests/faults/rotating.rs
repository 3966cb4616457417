//! The log is rotated, at any moment of a daemon's life: while it reads, while it is down, while it starts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use banner_tests::patience::until;

use crate::{
    clock::let_pass,
    scene::{Conditions, Scene, at_work, left_out},
};

/// Where Debian has it; not on every path of commands.
const LOGROTATE: &str = "/usr/sbin/logrotate";

/// Rotates the log once. The logger behaves as the program that it is does.
type Rotation = fn(&Scene<'_>) -> anyhow::Result<()>;

#[test]
fn logrotate_with_rsyslog() -> anyhow::Result<()> {
    through_restarts(|scene| logrotate(scene, "create\ncompress\ndelaycompress"))
}

#[test]
fn logrotate_with_rsyslog_compressing_at_once() -> anyhow::Result<()> {
    through_restarts(|scene| logrotate(scene, "create\ncompress"))
}

#[test]
fn logrotate_with_copytruncate() -> anyhow::Result<()> {
    through_restarts(|scene| scene.writer.while_silent(|| run_logrotate(scene, "copytruncate", || Ok(()))))
}

#[test]
fn postlogd() -> anyhow::Result<()> {
    through_restarts(postfix_logrotate)
}

/// Rotates while the daemon reads, while it is down, and at some moment of its start, each more than once.
fn through_restarts(rotate: Rotation) -> anyhow::Result<()> {
    if !Path::new(LOGROTATE).exists() {
        return left_out("rotated logs", "logrotate");
    }
    let bantime = Duration::from_secs(15);
    at_work(Conditions { bantime, ..Conditions::default() }, |scene| {
        for round in 0..2 {
            rotate(scene).with_context(|| format!("while it reads, round {round}"))?;
            scene.await_bans(2)?;

            scene.kill()?;
            rotate(scene).with_context(|| format!("while it is down, round {round}"))?;
            if round > 0 {
                let_pass(Duration::from_millis(200));
                rotate(scene).context("while it is down, again")?;
            }
            scene.start()?;

            scene.terminate()?;
            scene.spawn()?;
            let_pass(Duration::from_millis(scene.dice.below(400) as u64));
            rotate(scene).with_context(|| format!("while it starts, round {round}"))?;
            scene.await_start()?;
            scene.await_bans(2)?;

            rotate(scene)?;
            let_pass(Duration::from_millis(scene.dice.below(300) as u64));
            scene.kill().with_context(|| format!("right after a rotation, round {round}"))?;
            scene.start()?;
        }
        Ok(())
    })
}

/// As Debian's /etc/logrotate.d/rsyslog has it: after the renaming rsyslog is told to open its file again, and so writes to the
/// old one until then.
fn logrotate(scene: &Scene<'_>, how: &str) -> anyhow::Result<()> {
    run_logrotate(scene, how, || scene.writer.reopen())
}

/// Runs logrotate once. `tell` is what its postrotate script does, and ends before anything is compressed.
fn run_logrotate(scene: &Scene<'_>, how: &str, tell: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let [configuration, state, told] =
        ["logrotate.conf", "logrotate.state", "hup"].map(|name| scene.installation.path(name));
    let log = scene.installation.log.path();
    let text = format!(
        "{log:?} {{\nrotate 9\n{how}\npostrotate\ntouch {told:?}; while test -e {told:?}; do sleep 0.01; done\nendscript\n}}\n"
    );
    fs::write(&configuration, text)?;
    let before = rotated(log)?;
    let mut child = Command::new(LOGROTATE)
        .args(["--force", "--state"])
        .args([&state, &configuration])
        .spawn()
        .context("running logrotate")?;
    let ended = until("logrotate ends", || {
        if told.exists() {
            // A daemon is told a little later, and goes on for that long with the old file.
            let_pass(Duration::from_millis(50));
            tell()?;
            fs::remove_file(&told)?;
        }
        Ok(child.try_wait()?)
    })?;
    let after = rotated(log)?;
    ensure!(ended.success() && after != before, "logrotate ended with {ended}: {before:?}, then {after:?}");
    Ok(())
}

/// As `postfix logrotate` has it (`conf/postfix-script`): renamed, Postfix reloaded, a moment later compressed.
fn postfix_logrotate(scene: &Scene<'_>) -> anyhow::Result<()> {
    let log = scene.installation.log.path();
    let stamp = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S%f").to_string();
    let renamed = log.with_extension(format!("log.{stamp}"));
    fs::rename(log, &renamed)?;
    let_pass(Duration::from_millis(50));
    scene.writer.reopen()?;
    let_pass(Duration::from_millis(100));
    let zipped = Command::new("gzip").arg(&renamed).status().context("running gzip")?;
    ensure!(zipped.success(), "gzip ended with {zipped}");
    Ok(())
}

fn rotated(log: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = log.parent().context("a log is in a folder")?;
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    names.retain(|name| name != log && name.to_string_lossy().starts_with(&*log.to_string_lossy()));
    names.sort();
    Ok(names)
}
