//! The file of a list: read whole, and known again by its stamp.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::parse::{Faulty, Parsed, Width, parse};

/// The largest file: a million entries of Spamhaus' form, each with 64 bytes.
const SIZE_MAX: u64 = 64 << 20;

/// What tells one state of a file from another: which file it is (a rename changes that), its size, and when it was last
/// written or renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what stands at a path, behind symbolic links; none where there is nothing that can be looked at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a file says, and which state of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it says.
    pub parsed: Parsed,
    /// The state that was read.
    pub stamp: Stamp,
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("does not exist")]
    Missing,
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file")]
    NotRegular,
    /// It is too large.
    #[error("is larger than {} MiB", SIZE_MAX >> 20)]
    TooLarge,
    /// It changed while it was read.
    #[error("is being written: give it its name when it is complete (`mv new.txt list.txt`)")]
    Changing,
    /// It does not say what a list says.
    #[error("{0}")]
    Faulty(#[from] Faulty),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error.to_string()) }
    }
}

/// Reads a file.
///
/// # Errors
/// Why what it says cannot be used.
pub fn read(path: &Path, width: Width) -> Result<Content, ReadError> {
    // A FIFO would wait for its writer.
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    if metadata.len() > SIZE_MAX {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    Read::by_ref(&mut file).take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    let stamp = Stamp::from(&metadata);
    if Stamp::from(&file.metadata()?) != stamp || bytes.len() as u64 != metadata.len() {
        return Err(ReadError::Changing);
    }
    Ok(Content { parsed: parse(&bytes, width)?, stamp })
}
