//! A configuration that takes the journal up as a source, and lets it go.

use anyhow::ensure;
use banner_tests::{command_line::CommandLine as _, network::Network, patience::until};

use crate::scene::{MINUTE, NOW, Scene};

#[test]
fn a_reload_takes_the_journal_up_and_lets_it_go_and_each_failure_counts_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "[]")? else { return Ok(()) };
    let log = format!("{:?}", scene.installation.log.path());
    let both = format!("[{log}, \"journal\"]");
    let reload = |sources: &str| {
        scene.configure(sources)?;
        scene.installation.banner("reload")?.expect(0)
    };
    scene.configure(&log)?;
    scene.fail(&[(66, 2 * MINUTE), (66, MINUTE)])?;
    let _daemon = scene.start()?;
    ensure!(scene.status()?.is_none(), "{:?}", scene.status()?);

    // Taken up, it is read from now on: what it has of earlier, the log may have had, too.
    reload(&both)?;
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == [1].into() && scene.failures(66)? == 0.0, "{:?}", scene.banned()?);
    // Read on by a reload that changes nothing.
    reload(&both)?;
    scene.fail(&[(66, NOW), (66, NOW), (66, NOW), (67, NOW)])?;
    scene.installation.await_ban("198.51.100.66")?;
    scene.read_up_to(2)?;
    ensure!(scene.failures(67)? == 1.0, "{} instead of 1", scene.failures(67)?);

    reload(&log)?;
    until("`status` knows nothing of it", || Ok(scene.status()?.is_none().then_some(())))?;
    scene.fail(&[(67, NOW)])?;

    reload(&both)?;
    scene.read_up_to(3)?;
    ensure!(scene.failures(67)? == 1.0, "{} instead of 1", scene.failures(67)?);
    ensure!(scene.banned()? == [1, 2, 3, 66].into(), "{:?}", scene.banned()?);
    Ok(())
}
