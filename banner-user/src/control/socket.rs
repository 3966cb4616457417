//! The control socket on disk: who may open it, and that only one daemon serves it.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    sys::stat::{Mode, fchmod},
    unistd::geteuid,
};
use tokio::net::{UnixListener, UnixSocket};

use super::protocol::Text;

/// A bound control socket. Dropping it removes the socket's file and lets the next daemon in.
///
/// A lock (flock(2)) on `SOCKET.lock` says whose the path is: the kernel releases it however its holder ends, so a socket file
/// that is found by the one who holds the lock is a dead one's. The lock file itself stays: removing it would let two daemons
/// each lock a file of that name.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// The socket's file. The listener keeps its inode, so that no other file gets its number.
    file: FileId,
    lock: File,
}

/// Device and inode.
type FileId = (u64, u64);

/// Why the socket cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another daemon serves it.
    #[error(
        "another banner{} already serves {path}; stop it, or give this one another `socket`, `state_dir` and `bpffs`",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    AlreadyRunning {
        /// The socket.
        path: Text,
        /// Whose it is, as far as the lock file says.
        pid: Option<u32>,
    },
    /// The path has no directory.
    #[error("the socket's path {0} has no directory; write an absolute path")]
    NoDirectory(Text),
    /// Others could put their own socket there.
    #[error(
        "the socket's directory {directory} can be changed by others than root and this user (owner {owner}, mode {mode:o}); \
         use one of mode 0700 that root owns"
    )]
    OpenDirectory {
        /// The directory.
        directory: Text,
        /// The user that owns it.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Something else has the name.
    #[error("{0} exists and is not a socket; move it away, or configure another `socket`")]
    NotASocket(Text),
    /// The system declined.
    #[error("cannot {action} {path}: {}; {remedy}", io::Error::from_raw_os_error(*.errno))]
    System {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: Text,
        /// What the system said.
        errno: i32,
        /// What to do.
        remedy: &'static str,
    },
}

impl Socket {
    /// Takes the path and listens there. Makes the directory (0700) where it does not exist; the one above it must.
    ///
    /// # Errors
    /// Another daemon serves the path, others could interfere there, or the system declines.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        private_directory(path)?;
        let lock = lock(path)?;
        let (listener, file) = listen_under_lock(path)?;
        Ok(Self { listener, path: path.to_owned(), file, lock })
    }

    /// Where it was bound.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a client that opens the path comes here.
    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.file)
    }

    /// Makes the file anew, and what has gone with it: the lock, the directory. Whoever has connected already is served; whoever
    /// waits for that is cut off.
    ///
    /// # Errors
    /// As [`Socket::bind`]. Another daemon may have the path by now, if the lock was removed as well.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub(super) fn bind_again(&mut self) -> Result<(), BindError> {
        private_directory(&self.path)?;
        let is_locked = || Ok::<_, io::Error>(identity(&lock_path(&self.path))? == file_id(&self.lock.metadata()?));
        if !is_locked().unwrap_or(false) {
            self.lock = lock(&self.path)?;
        }
        (self.listener, self.file) = listen_under_lock(&self.path)?;
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If it cannot be removed, the next daemon does it.
        if self.is_in_place() {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> io::Result<FileId> {
    std::fs::symlink_metadata(path).map(|metadata| file_id(&metadata))
}

fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

fn private_directory(socket: &Path) -> Result<(), BindError> {
    let directory = socket
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .ok_or_else(|| BindError::NoDirectory(socket.into()))?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = std::fs::metadata(directory).map_err(failed("look at", directory, "run banner as root"))?;
            if others_may_write(&metadata) {
                let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
                return Err(BindError::OpenDirectory { directory: directory.into(), owner, mode });
            }
            Ok(())
        }
        Err(error) => {
            Err(failed("make the directory", directory, "make it by hand (mode 0700), or run banner as root")(error))
        }
    }
}

fn others_may_write(directory: &Metadata) -> bool {
    let owner = directory.uid();
    directory.mode() & 0o022 != 0 || (owner != 0 && owner != geteuid().as_raw())
}

fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn lock(socket: &Path) -> Result<File, BindError> {
    let path = lock_path(socket);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(failed("open", &path, "run banner as root, or configure another `socket`"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only to be helpful: whoever holds the lock may not have written it yet.
            let read = (&lock).take(16).read_to_string(&mut pid);
            let pid = read.ok().and_then(|_| pid.trim().parse().ok());
            return Err(BindError::AlreadyRunning { path: socket.into(), pid });
        }
        Err(TryLockError::Error(error)) => {
            return Err(failed("lock", &path, "configure a `socket` on a local file system")(error));
        }
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed(
        "write",
        &path,
        "make room on its file system",
    ))?;
    Ok(lock)
}

fn listen_under_lock(path: &Path) -> Result<(UnixListener, FileId), BindError> {
    remove_stale(path)?;
    listen(path).and_then(|listener| Ok((listener, identity(path)?))).map_err(failed(
        "listen on",
        path,
        "the path must be shorter than 108 bytes",
    ))
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(failed("remove the stale socket", path, "remove it by hand"))
        }
        Ok(_) => Err(BindError::NotASocket(path.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look at", path, "run banner as root")(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // bind(2) gives the file the mode of the socket's own inode, less the umask (net/unix/af_unix.c, unix_bind_bsd): set
    // before, there is no moment in which others could connect, and no umask to change for the whole process.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Connections that wait in the kernel while all that are served at once are busy; further ones wait in connect(2).
const BACKLOG: u32 = 128;

pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
    remedy: &'static str,
) -> impl Fn(io::Error) -> BindError + 'a {
    move |error| BindError::System {
        action,
        path: path.into(),
        // A path that is too long is refused by std before the kernel sees it.
        errno: error.raw_os_error().unwrap_or(libc::EINVAL),
        remedy,
    }
}

#[cfg(test)]
mod tests;
