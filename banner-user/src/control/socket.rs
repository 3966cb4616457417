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
    /// Held, never read.
    _lock: File,
}

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
        let directory = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
            .ok_or_else(|| BindError::NoDirectory(path.into()))?;
        private_directory(directory)?;
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = listen(path).map_err(failed("listen on", path, "the path must be shorter than 108 bytes"))?;
        Ok(Self { listener, path: path.to_owned(), _lock: lock })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Under the lock, so it is still this one's. If it cannot be removed, the next daemon does it.
        drop(std::fs::remove_file(&self.path));
    }
}

fn private_directory(directory: &Path) -> Result<(), BindError> {
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

fn lock(socket: &Path) -> Result<File, BindError> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
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

fn failed<'a>(action: &'static str, path: &'a Path, remedy: &'static str) -> impl Fn(io::Error) -> BindError + 'a {
    move |error| BindError::System {
        action,
        path: path.into(),
        // A path that is too long is refused by std before the kernel sees it.
        errno: error.raw_os_error().unwrap_or(libc::EINVAL),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn the_socket_its_lock_and_its_directory_are_the_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("banner/banner.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&root.path().join("banner/banner.sock.lock")), 0o600);
        assert_eq!(mode(&root.path().join("banner")), 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_leaves_the_first_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("banner.sock");
        let first = Socket::bind(&path).unwrap();
        let error = Socket::bind(&path).unwrap_err();
        assert_eq!(error, BindError::AlreadyRunning { path: path.as_path().into(), pid: Some(std::process::id()) });
        assert!(error.to_string().contains(&format!("(process {}) already serves", std::process::id())));
        tokio::net::UnixStream::connect(&path).await.unwrap();
        drop(first);
        Socket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("banner.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = Socket::bind(&path).unwrap();
        tokio::net::UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_a_socket_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("banner.sock");
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err(), BindError::NotASocket(path.as_path().into()));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_directory_that_others_can_change_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let error = Socket::bind(&root.path().join("banner.sock")).unwrap_err();
        assert!(matches!(error, BindError::OpenDirectory { mode: 0o1777, .. }), "{error}");
    }

    #[tokio::test]
    async fn every_other_failure_names_the_path_and_a_remedy() {
        let error = |path: &str| Socket::bind(Path::new(path)).unwrap_err().to_string();
        assert!(error("banner.sock").contains("has no directory"));
        assert!(error("/nonexistent/a/b.sock").contains("cannot make the directory /nonexistent/a: No such file"));
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("a".repeat(120));
        assert!(Socket::bind(&long).unwrap_err().to_string().contains("shorter than 108 bytes"));
    }
}
