//! Where things are in this workspace, and which cargo builds it.

use std::{env, ffi::OsString, path::PathBuf};

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    // Of the running cargo, and not of the one that built this: the clone may have been moved since.
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), PathBuf::from)
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Cargo's own folder: its registry and the programs that it installs.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Whether this runs in CI, where a missing right or tool is a failure and not a reason to leave something out.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some()
}
