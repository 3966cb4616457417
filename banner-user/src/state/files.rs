//! The files of the database: made, known again, set aside.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::loaded::Notice;
use crate::clock::WallTime;

/// The database's name in the state directory.
const NAME: &str = "state.db";

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How many damaged databases are kept. Of a database that a later banner has written, all are.
const DAMAGED_MAX: usize = 3;

/// Where the database is.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// What there was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Nothing.
    New,
    /// A file with nothing in it.
    Empty,
    /// A database, or what has its name.
    Kept,
}

/// Makes what is missing, for the owner alone, before SQLite does it with the process's umask.
pub(super) fn prepare(directory: &Path) -> io::Result<Made> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let path = path(directory);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => Ok(Made::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(&path)?;
            if metadata.mode() & 0o077 != 0 {
                // Where that is not allowed, writing will say so.
                let _ = fs::set_permissions(&path, Permissions::from_mode(0o600));
            }
            Ok(if metadata.is_file() && metadata.len() == 0 { Made::Empty } else { Made::Kept })
        }
        Err(error) => Err(error),
    }
}

/// Whether others can get at the state. The directory may be anything that an operator has named: nobody changes its mode.
pub(super) fn openness(directory: &Path) -> Option<Notice> {
    let mode = fs::metadata(directory).ok()?.mode() & 0o7777;
    (mode & 0o077 != 0).then(|| Notice::OpenDirectory { path: directory.to_owned(), mode })
}

/// What the files of a database are known by: nobody else changes them while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) database: Seen,
    pub(super) log: Option<Seen>,
}

/// A file as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    size: u64,
}

impl Files {
    pub(super) fn see(path: &Path) -> io::Result<Self> {
        Ok(Self { database: Seen::from(&fs::metadata(path)?), log: Self::see_log(path)? })
    }

    fn see_log(path: &Path) -> io::Result<Option<Seen>> {
        match fs::metadata(log(path)) {
            Ok(metadata) => Ok(Some(Seen::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Files {
    /// Removes the log of a database whose own file is gone: another database of its name would take it for its own.
    pub(super) fn remove_orphaned_log(&self, path: &Path) -> io::Result<()> {
        let there = Self::see_log(path)?;
        if self.log.zip(there).is_some_and(|(log, there)| log.is_same_file(there)) {
            fs::remove_file(log(path))?;
        }
        Ok(())
    }
}

impl Seen {
    pub(super) fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<&Metadata> for Seen {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.len() }
    }
}

/// Why a database is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// It cannot be used any more.
    Damaged,
    /// It is of a later banner, with this `user_version`.
    Newer(i64),
}

/// Gives a database, with what SQLite keeps beside it, another name in the same directory.
pub(super) fn set_aside(path: &Path, aside: Aside, now: WallTime) -> io::Result<PathBuf> {
    let stamp = now.to_string().replace([':', '-'], "");
    let label = match aside {
        Aside::Damaged => "corrupt".to_owned(),
        Aside::Newer(version) => format!("version-{version}"),
    };
    // Within one second several may be set aside.
    let names = (0_u32..).map(|count| match count {
        0 => with(path, &format!(".{label}-{stamp}")),
        _ => with(path, &format!(".{label}-{stamp}-{count}")),
    });
    let to = names.take(1_000).find(|name| !name.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
    for companion in COMPANIONS {
        match fs::rename(with(path, companion), with(&to, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, &to)?;
    if aside == Aside::Damaged {
        keep_newest(path);
    }
    Ok(to)
}

/// Deletes all damaged databases but the newest. That one cannot be deleted is no reason to do without the state.
fn keep_newest(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    let mut start = name.to_owned();
    start.push(".corrupt-");
    let Ok(entries) = fs::read_dir(directory) else { return };
    let is_companion = |name: &OsString| COMPANIONS.iter().any(|end| name.as_encoded_bytes().ends_with(end.as_bytes()));
    let mut damaged: Vec<OsString> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| name.as_encoded_bytes().starts_with(start.as_encoded_bytes()) && !is_companion(name))
        .collect();
    damaged.sort_unstable();
    damaged.reverse();
    for name in damaged.iter().skip(DAMAGED_MAX) {
        let old = directory.join(name);
        for file in COMPANIONS.iter().map(|companion| with(&old, companion)).chain([old.clone()]) {
            let _ = fs::remove_file(file);
        }
    }
}

/// The write-ahead log of a database.
pub(super) fn log(path: &Path) -> PathBuf {
    with(path, "-wal")
}

/// Whether a file cannot be written because of its file system.
pub(super) fn is_on_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.flags().contains(FsFlags::ST_RDONLY))
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
