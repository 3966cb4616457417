//! What is beyond the command line.

use std::path::Path;

use super::{Failure, Finding};
use crate::{
    config::Config,
    control::protocol::{Ban, Detached, Status},
};

/// The daemon itself, and the kernel when no daemon runs. The only trait here: above it, everything is tested without root.
///
/// What is pinned is read as the kernel has it: it knows prefixes, services, ends and counters of bans, and neither jails nor
/// beginnings.
pub trait Platform {
    /// Is the daemon, until it is told to end. `path` is where the configuration came from, to read it again.
    ///
    /// # Errors
    /// Why it cannot start, or had to end.
    fn run_daemon(&self, config: Config, path: Option<&Path>) -> Result<(), Failure>;

    /// What the kernel and the interfaces can do, and whether what is configured will work; changes nothing.
    fn check(&self, config: &Config) -> Vec<Finding>;

    /// What the kernel still enforces; `None` where nothing is pinned. [`Status::daemon`] is `None`.
    ///
    /// # Errors
    /// What is pinned cannot be read.
    fn offline_status(&self, config: &Config) -> Result<Option<Status>, Failure>;

    /// The bans that the kernel still enforces, in the order of their prefixes; `None` where nothing is pinned.
    ///
    /// # Errors
    /// What is pinned cannot be read.
    fn offline_bans(&self, config: &Config) -> Result<Option<Box<dyn Iterator<Item = Ban>>>, Failure>;

    /// Takes everything out of the kernel; `None` where nothing is pinned.
    ///
    /// # Errors
    /// Something could not be taken out.
    fn offline_detach(&self, config: &Config) -> Result<Option<Detached>, Failure>;
}
