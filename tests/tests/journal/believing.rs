//! Whose entries count.

use anyhow::ensure;
use banner_tests::{
    command_line::CommandLine as _,
    mail_log::postfix,
    network::{MAIL_PORTS, Network},
    patience::until,
};

use crate::scene::{NOW, Scene, source};

/// Any person with a shell.
const ALICE: u32 = 1000;
/// An account of the system that is no mail server's.
const WWW_DATA: u32 = 33;

#[test]
fn the_third_failure_of_the_mail_server_bans_and_why_shows_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    let check = scene.journal.within(|| scene.installation.banner("check"))?.expect(0)?;
    ensure!(check.stdout.contains("it has no entry"), "{check:?}");

    let _daemon = scene.start()?;
    scene.fail(&[(66, NOW), (66, NOW)])?;
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == [1].into(), "after two failures: {:?}", scene.banned()?);
    network.connect(source(66), 25)?;
    scene.fail(&[(66, NOW)])?;
    scene.installation.await_ban("198.51.100.66")?;
    let reached = network.reached(source(66), &MAIL_PORTS, source(67))?;
    ensure!(reached.is_empty(), "a banned source reaches ports {reached:?}");

    let why = scene.installation.json("why 198.51.100.66 --json")?;
    let failures = why["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(failures.len() == 3 && failures.iter().all(|failure| failure["file"] == "journal"), "{why}");
    ensure!(
        why["newest_line"].as_str().is_some_and(|line| line.contains("unknown[198.51.100.66]: SASL PLAIN")),
        "{why}"
    );
    let shown = scene.installation.banner("why 198.51.100.66")?.expect(0)?.stdout;
    ensure!(shown.contains("journal") && shown.contains("SASL PLAIN authentication failed"), "{shown}");

    let check = scene.journal.within(|| scene.installation.banner("check"))?.expect(0)?;
    ensure!(check.stdout.lines().any(|line| line.contains("journal") && line.contains("readable")), "{check:?}");
    Ok(())
}

#[test]
fn what_a_local_user_writes_counts_for_nobody_and_is_told_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    let _journald = scene.journal.start_journald()?;
    let daemon = scene.start()?;
    let line = postfix(source(66), "alice");
    let (_, message) = line.trim_end().split_once("]: ").unwrap_or_default();
    for _ in 0..3 {
        scene.journal.log_as(ALICE, "postfix/smtpd", message)?;
        scene.journal.log_as(WWW_DATA, "postfix/smtpd", message)?;
    }
    until("`status` says how many were not believed", || {
        let status = scene.installation.json("status --json")?;
        Ok(status["warnings"].to_string().contains("6 entries of the journal look like a mail server's").then_some(()))
    })?;
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == [1].into(), "somebody is banned for what others wrote: {:?}", scene.banned()?);
    ensure!(scene.failures(66)? == 0.0, "a forged failure is counted");
    let told = daemon.output().lines().filter(|line| line.contains("were written by")).count();
    ensure!(told == 1, "told {told} times");
    ensure!(daemon.output().contains("the account alice (UID 1000)"), "it is not told whose they were");
    Ok(())
}

#[test]
fn the_journal_and_a_file_count_together() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "[]")? else { return Ok(()) };
    let log = &scene.installation.log;
    scene.configure(&format!("[\"journal\", {:?}]", log.path()))?;
    let _daemon = scene.start()?;
    scene.fail(&[(66, NOW), (66, NOW), (67, NOW)])?;
    log.append(&postfix(source(67), "bob"))?;
    log.append(&postfix(source(66), "bob"))?;
    scene.installation.await_ban("198.51.100.66")?;
    scene.read_up_to(1)?;
    scene.installation.await_log_read()?;
    ensure!(scene.banned()? == [1, 66].into(), "{:?}", scene.banned()?);
    let why = scene.installation.json("why 198.51.100.66 --json")?;
    let mut files: Vec<_> = why["failures"].as_array().into_iter().flatten().map(|failure| &failure["file"]).collect();
    files.sort_by_key(|file| file.to_string());
    ensure!(
        files
            == [&log.path().to_string_lossy().into_owned().into(), &"journal".into(), &"journal".into()]
                as [&serde_json::Value; 3],
        "{why}"
    );
    Ok(())
}
