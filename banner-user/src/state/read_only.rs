//! Reading a database that cannot be written, and whose files must stay as they are: on a disk that the kernel has made read-only,
//! the bans in force are there all the same.

use std::{fmt::Write as _, fs, os::unix::ffi::OsStrExt as _, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{
    database::{BootId, Database},
    failure::Failure,
    files,
    loaded::Loaded,
};
use crate::{clock::Now, service::Services};

/// Reads what a daemon that starts goes on from, and how many batches the database has taken.
pub(super) fn load(path: &Path, boot: &BootId, services: &Services, now: Now) -> Result<(Loaded, i64), Failure> {
    let database = Database::reading(open(path)?, path, boot, now)?;
    Ok((database.load(services)?.0, database.batches()))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if fs::metadata(files::log(path)).is_ok_and(|log| log.len() > 0) {
        // The log has to be read too, which asks for a lock that a file opened for reading cannot have (fcntl(2), EBADF). Nobody
        // writes here, so it goes without.
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-none")?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        Ok(connection)
    } else {
        // Without a log SQLite would make one, unless told that nothing changes (https://sqlite.org/wal.html#readonly).
        Connection::open_with_flags(address(path), flags | OpenFlags::SQLITE_OPEN_URI)
    }
}

/// The path as an address of SQLite's (https://sqlite.org/uri.html).
fn address(path: &Path) -> String {
    let mut address = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => address.push(char::from(*byte)),
            // Writing to a string does not fail.
            _ => drop(write!(address, "%{byte:02x}")),
        }
    }
    address + "?immutable=1"
}
