//! Where things are pinned.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// The directory that holds everything that outlives the daemon.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// Held by the one daemon that keeps the pins up.
#[derive(Debug)]
#[must_use]
pub struct PinsLock {
    _directory: File,
}

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The directory is not on a bpffs, and pins live nowhere else.
    #[error("{} is not on a BPF file system, so bans could not outlive the daemon; mount one with `mount -t bpf bpf /sys/fs/bpf`", path.display())]
    NotBpffs {
        /// As it was configured.
        path: PathBuf,
    },
    /// Another daemon keeps these pins up, with a control socket of its own.
    #[error("another banner has pinned its maps in {}; stop it, or give this one another `bpffs`", path.display())]
    InUse {
        /// The versioned directory.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {operation} {}: {error}{}", path.display(), remedy(error))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
}

impl Pins {
    /// Below the configured bpffs directory, in this version's own directory. Touches nothing.
    #[must_use]
    pub fn new(bpffs: &Path) -> Self {
        Self { root: bpffs.join(format!("v{}", banner_common::VERSION)) }
    }

    /// Makes the directories, readable by root alone, and finishes or undoes a migration that was cut off. Nobody else can
    /// for as long as what is returned is kept: two daemons would undo each other's bans.
    ///
    /// # Errors
    /// Where the directory is not on a bpffs, is in use, or cannot be made.
    pub fn prepare(&self) -> Result<PinsLock, PinsError> {
        self.check()?;
        make(&self.root)?;
        let lock = self.lock()?;
        if !self.maps().exists() && self.next_maps().exists() {
            rename(&self.next_maps(), &self.maps())?;
        }
        remove_tree(&self.next_maps())?;
        remove_tree(&self.former_maps())?;
        make(&self.maps())?;
        make(&self.links())?;
        Ok(lock)
    }

    /// flock(2) on the directory itself, since bpffs holds no plain files. It ends with its holder, however that ends.
    fn lock(&self) -> Result<PinsLock, PinsError> {
        let failed = |error| PinsError::Io { operation: "lock", path: self.root.clone(), error };
        let directory = File::open(&self.root).map_err(failed)?;
        match directory.try_lock() {
            Ok(()) => Ok(PinsLock { _directory: directory }),
            Err(TryLockError::WouldBlock) => Err(PinsError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether the nearest directory that exists is on a bpffs.
    ///
    /// # Errors
    /// [`PinsError::NotBpffs`] where it is not.
    pub fn check(&self) -> Result<(), PinsError> {
        let existing = self.root.ancestors().find(|path| path.exists());
        let on_bpffs = existing
            .and_then(|path| statfs(path).ok())
            .is_some_and(|file_system| file_system.filesystem_type() == BPF_FS_MAGIC);
        if on_bpffs { Ok(()) } else { Err(PinsError::NotBpffs { path: self.root.clone() }) }
    }

    /// Whether anything is pinned, that is, whether banner enforces here.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.maps().exists()
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The maps in force.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    /// One map in force.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The attachments.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The attachment to one interface.
    #[must_use]
    pub fn link(&self, interface: u32) -> PathBuf {
        self.links().join(interface.to_string())
    }

    /// The interfaces for which there is a pinned link, whether it still holds or not.
    ///
    /// # Errors
    /// Where the directory cannot be read; one that does not exist is empty.
    pub fn linked_interfaces(&self) -> Result<Vec<u32>, PinsError> {
        let path = self.links();
        let failed = |error| PinsError::Io { operation: "list", path: path.clone(), error };
        match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
            Ok(entries) => {
                let mut interfaces = Vec::new();
                for entry in entries {
                    interfaces
                        .extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
                }
                Ok(interfaces)
            }
        }
    }

    /// Where the maps of another size are pinned while bans are copied into them.
    #[must_use]
    pub fn next_maps(&self) -> PathBuf {
        self.root.join("maps-next")
    }

    fn former_maps(&self) -> PathBuf {
        self.root.join("maps-former")
    }

    /// Begins a migration: an empty directory for the maps to come.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn begin_migration(&self) -> Result<(), PinsError> {
        remove_tree(&self.next_maps())?;
        make(&self.next_maps())
    }

    /// Puts the new maps in the place of the old. The attached program goes on with the old ones until it is replaced, and a
    /// crash at any point leaves one directory that has every ban ([`Pins::prepare`]).
    ///
    /// # Errors
    /// Where the directories cannot be renamed.
    pub fn finish_migration(&self) -> Result<(), PinsError> {
        rename(&self.maps(), &self.former_maps())?;
        rename(&self.next_maps(), &self.maps())?;
        remove_tree(&self.former_maps())
    }

    /// Takes everything off: without its pin a link detaches its program, and without program and pin a map is gone.
    ///
    /// # Errors
    /// Where something cannot be removed; what could be is.
    pub fn remove(&self) -> Result<(), PinsError> {
        // Links first: no program is left that looks at maps which are no longer kept up.
        remove_tree(&self.links())?;
        remove_tree(&self.root)?;
        // The directory above may hold another version's pins, or be the operator's own; an empty one goes too.
        if let Some(parent) = self.root.parent() {
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }
}

fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied { "; run banner as root, to whom bpffs belongs" } else { "" }
}

fn make(path: &Path) -> Result<(), PinsError> {
    let failed = |error| PinsError::Io { operation: "create", path: path.to_owned(), error };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

fn rename(from: &Path, to: &Path) -> Result<(), PinsError> {
    fs::rename(from, to).map_err(|error| PinsError::Io { operation: "rename", path: from.to_owned(), error })
}

fn remove_tree(path: &Path) -> Result<(), PinsError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PinsError::Io { operation: "remove", path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests;
