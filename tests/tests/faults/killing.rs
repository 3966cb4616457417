//! The daemon is killed, stopped, and started again.

use std::time::Duration;

use crate::{
    clock::let_pass,
    scene::{Conditions, at_work},
};

#[test]
fn two_failures_a_kill_and_the_third_bans() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        let source = scene.writer.new_source(3)?;
        for _ in 0..2 {
            scene.writer.write_line(source)?;
        }
        scene.installation.await_log_read()?;
        // What was read in the last second may not be on disk: both has to do.
        let_pass(Duration::from_millis(500));
        scene.kill()?;
        scene.start()?;
        scene.writer.write_line(source)?;
        scene.await_bans(1)
    })
}

#[test]
fn a_lifted_ban_does_not_come_back_with_the_next_daemon() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        let source = scene.writer.write_source(3)?;
        let source = scene.source(source)?.address;
        scene.installation.await_log_read()?;
        scene.unban(source)?;
        scene.kill()?;
        scene.start()?;
        scene.await_bans(4)
    })
}

#[test]
fn sigterm_and_start_lose_nothing() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        for _ in 0..3 {
            scene.terminate()?;
            let_pass(Duration::from_millis(100));
            scene.start()?;
            scene.await_bans(2)?;
        }
        Ok(())
    })
}
