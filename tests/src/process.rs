//! Processes that end with what they are for, and programs that are there to be run.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus},
};

use anyhow::{Context as _, ensure};

/// A child process that does not outlive its handle.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _: std::io::Result<()> = self.0.kill();
        let _: std::io::Result<ExitStatus> = self.0.wait();
    }
}

/// Copies a program to where anybody may run it.
///
/// Another process writes it: what a thread of this one had open for writing, a child that another thread forks meanwhile would
/// hold open until it runs its own program, and Linux runs nothing that is open for writing (ETXTBSY, execve(2)).
///
/// # Errors
/// The system's, and what `install` says.
pub fn install_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    let output = Command::new("install").arg("--mode=755").args([from, to]).output().context("starting `install`")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
