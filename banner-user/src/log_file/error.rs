//! Why a log file cannot be read, or not to its end.

use std::io;

use super::Compression;
use crate::event::Escaped;

/// Why a log file cannot be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {}: {fault}", Escaped(.name.as_bytes()))]
pub struct LogFileError {
    /// As the file was named.
    pub name: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a log file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be opened, or not even its first bytes be read.
    #[error("{0}")]
    Unopened(String),
    /// It is the systemd journal.
    #[error(
        "the systemd journal is read by the daemon alone; hand on its lines: `journalctl --system --output=short \
         --since=...`, and `-` in place of the file"
    )]
    Journal,
    /// It is a directory.
    #[error("it is a directory; name the files in it")]
    Directory,
    /// The system cannot read on.
    #[error("at byte {position}, behind line {lines}: {why}")]
    Unreadable {
        /// How far the file was read.
        position: u64,
        /// How many whole lines were read before.
        lines: u64,
        /// What the system says.
        why: String,
    },
    /// It is cut off in the middle of its compressed data.
    #[error(
        "it is no whole {compression} file: it ends at byte {position}, behind line {lines}; was it copied to its end?"
    )]
    CutOff {
        /// How it is compressed.
        compression: Compression,
        /// Where it ends.
        position: u64,
        /// How many whole lines were read before.
        lines: u64,
    },
    /// What follows cannot be decompressed.
    #[error(
        "it is damaged, or no {compression} file for all that it begins like one: before byte {position}, behind line \
         {lines}: {why}"
    )]
    Damaged {
        /// How it is compressed.
        compression: Compression,
        /// How far the file was read. The damage may stand up to a buffer's length before that.
        position: u64,
        /// How many whole lines were read before.
        lines: u64,
        /// What the decoder says.
        why: String,
    },
}

impl LogFileError {
    pub(super) fn new(name: String, fault: Fault) -> Self {
        Self { name, fault }
    }
}

impl Fault {
    /// What reading on failed of.
    pub(super) fn at(position: u64, compression: Compression, lines: u64, error: &io::Error) -> Self {
        let why = error.to_string();
        if compression == Compression::None || error.raw_os_error().is_some() {
            Self::Unreadable { position, lines, why }
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::CutOff { compression, position, lines }
        } else {
            Self::Damaged { compression, position, lines, why }
        }
    }
}
