//! Processes that end with what they are for.

use std::process::{Child, ExitStatus};

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
