//! Whether the journal can be read at all: for `banner check`.

use std::{io, path::PathBuf};

use super::Journalctl;
use crate::event::Escaped;

/// Why the journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There is no `journalctl`.
    #[error(
        "{} does not exist; install systemd's journalctl, or name the log files of the mail server in `source`",
        Escaped(.0.as_os_str().as_encoded_bytes())
    )]
    Missing(PathBuf),
    /// It does not start.
    #[error("cannot start {}: {why}", Escaped(.program.as_os_str().as_encoded_bytes()))]
    NotStarted {
        /// As it was called.
        program: PathBuf,
        /// What the kernel says.
        why: String,
    },
    /// It ends with an error.
    #[error("journalctl cannot read the journal: {0}")]
    Failed(String),
    /// It finds no entry, so that nobody knows whether it would.
    #[error("it has no entry; is systemd-journald running?")]
    Empty,
}

impl Journalctl {
    /// Reads the newest entry, and waits for it.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn probe(&self) -> Result<(), ProbeError> {
        let output = self.last().output().map_err(|error| {
            let program = self.program().to_owned();
            if error.kind() == io::ErrorKind::NotFound {
                ProbeError::Missing(program)
            } else {
                ProbeError::NotStarted { program, why: error.to_string() }
            }
        })?;
        if !output.status.success() {
            let said = output.stderr.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Err(ProbeError::Failed(format!("{} ({})", Escaped(said), output.status)));
        }
        if output.stdout.is_empty() { Err(ProbeError::Empty) } else { Ok(()) }
    }
}
