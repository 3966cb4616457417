//! Two daemons that would share what only one may have.

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::{INTERFACE, Network},
};

#[test]
fn two_daemons_never_write_to_the_same_maps() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let first = Installation::new(&network, &Configuration::default())?;
    let daemon = first.start()?;
    first.banner("ban 198.51.100.66")?.expect(0)?;

    // A socket of its own, and the first one's maps, which it would make of another size.
    let second = Installation::new(&network, &Configuration::default())?;
    second.write_configuration(&format!(
        "interface = \"{INTERFACE}\"\nsocket = {:?}\nbpffs = {:?}\n[limits]\nbans_v4 = 16\n",
        second.socket(),
        first.bpffs(),
    ))?;
    let answer = second.banner("run")?.expect(1)?;
    ensure!(answer.stderr.contains("another banner") && answer.stderr.contains("`bpffs`"), "{answer:?}");
    ensure!(first.ban("198.51.100.66")?.is_some(), "the first one has lost its ban");
    let limits = first.json("status --json")?["limits"].clone();
    ensure!(limits["bans_v4"]["limit"] == 1024, "{limits}");

    // The lock ends with its holder.
    daemon.kill()?;
    let mut daemon = second.spawn()?;
    banner_tests::patience::until("the second one serves", || {
        ensure!(second.banner("status")?.code != Some(1), "it has ended");
        Ok((second.banner("status")?.code == Some(0)).then_some(()))
    })
    .with_context(|| daemon.output())?;
    ensure!(second.ban("198.51.100.66")?.is_some(), "the ban is not taken over");
    daemon.signal(nix::sys::signal::Signal::SIGTERM)?;
    ensure!(daemon.await_end()?.success());
    Ok(())
}
