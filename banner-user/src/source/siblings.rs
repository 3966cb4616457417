//! What a rotation has made of a log: the files beside it, by their names and by their numbers.
//!
//! | logrotate | names |
//! | --- | --- |
//! | by default | `mail.log.1`, `mail.log.2.gz` |
//! | `dateext` | `mail.log-20261122`, `mail.log-20261122.xz` |
//! | `extension .log` | `mail.1.log`, `mail-20261122.log.gz` |
//!
//! Other names count only for a file that is known by its number. Another directory (`olddir`) is not searched.

use std::{
    cmp::Reverse,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io,
    os::unix::{ffi::OsStrExt as _, fs::DirEntryExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    bookmark::{BEGINNING_MAX, Bookmark, Inode, begin_alike},
    file::{self, OpenError},
    text,
};
use crate::log_file::Compression;

/// How many files beside one log are looked into, those that were written last.
const SIBLINGS_MAX: usize = 128;

/// While a rotation goes on, a listing of a directory may have a file twice or not at all: it is taken when two in a row say the
/// same, or after so many.
const LISTINGS_MAX: usize = 8;

/// What is behind the name of a rotated log that was compressed. Not all of it can be read.
const COMPRESSED: [&str; 7] = [".gz", ".xz", ".zst", ".zstd", ".bz2", ".lzma", ".Z"];

/// A file beside a log, or the log itself.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) modified: SystemTime,
    /// The first bytes of its text; or why it has none that can be read.
    pub(super) text: Result<(Compression, Vec<u8>), String>,
    /// Its name is one that a rotation gives.
    pub(super) is_rotated: bool,
}

impl Sibling {
    pub(super) fn inode(&self) -> Inode {
        Inode::from(&self.metadata)
    }

    pub(super) fn beginning(&self) -> &[u8] {
        self.text.as_ref().map_or(&[], |(_, beginning)| beginning)
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self.text, Ok((Compression::None, _)))
    }

    /// Sorts the oldest first.
    pub(super) fn age(&self) -> impl Ord + use<> {
        (self.modified, Reverse(generation(&self.path)), self.path.clone())
    }

    /// Whether what a bookmark says was read stands here, as far as that can be told before a compressed text is read.
    pub(super) fn holds(&self, bookmark: &Bookmark) -> bool {
        self.text.is_ok()
            && self.beginning().starts_with(&bookmark.beginning)
            && (!self.is_plain() || bookmark.holds_in(&self.file))
    }

    /// Whether this is what a bookmark of a closed or emptied file was about.
    pub(super) fn is_of(&self, bookmark: &Bookmark) -> bool {
        let is_same = self.inode().number == bookmark.inode.number && self.holds(bookmark);
        is_same || bookmark.begins_with(self.beginning()) || bookmark.offset > 0 && self.holds(bookmark)
    }

    /// Whether both are of one log: the compressed form, perhaps incomplete yet, of the other, or its copy.
    pub(super) fn is_form_of(&self, other: &Self) -> bool {
        let stem = |path: &Path| uncompressed(path.as_os_str().as_bytes()).to_vec();
        begin_alike(self.beginning(), other.beginning()) || stem(&self.path) == stem(&other.path)
    }
}

/// The log at `path`, what rotations have made of it, and the files beside it that have one of these numbers, oldest first.
/// Where the directory may not be listed, the log alone.
///
/// # Errors
/// The system's.
pub(super) fn list(path: &Path, numbers: &[u64]) -> io::Result<Vec<Sibling>> {
    let mut directories = vec![directory(path).to_owned()];
    // Beside a link, and beside what it leads to.
    if let Ok(target) = fs::canonicalize(path)
        && fs::canonicalize(directory(path)).ok().as_deref() != target.parent()
    {
        directories.extend(target.parent().map(Path::to_owned));
    }
    let base = path.file_name().unwrap_or_default();
    let mut siblings = Vec::new();
    for directory in directories {
        siblings.extend(stable(&directory, base, numbers)?);
    }
    if !siblings.iter().any(|sibling| sibling.path == path) {
        siblings.extend(open(path.to_owned(), base)?);
    }
    siblings.sort_by_cached_key(Sibling::age);
    // Under two names, or by a link: the first is as good as the other.
    let mut seen = Vec::new();
    siblings.retain(|sibling| {
        !seen.contains(&sibling.inode()) && {
            seen.push(sibling.inode());
            true
        }
    });
    Ok(siblings)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens what one listing has, if the next has the same.
fn stable(directory: &Path, base: &OsStr, numbers: &[u64]) -> io::Result<Vec<Sibling>> {
    let mut opened = Vec::new();
    let mut listed = names(directory, base, numbers)?;
    for _ in 0..LISTINGS_MAX {
        opened.clear();
        for listed in listed.iter().take(SIBLINGS_MAX) {
            opened.extend(open(directory.join(&listed.name), base)?);
        }
        let again = names(directory, base, numbers)?;
        let names =
            |listed: &[Listed]| listed.iter().map(|listed| (listed.number, listed.name.clone())).collect::<Vec<_>>();
        if names(&listed) == names(&again) {
            break;
        }
        listed = again;
    }
    Ok(opened)
}

/// An entry of a directory. Those that are asked for by their numbers come first, then those that were written last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    is_other: bool,
    modified: Reverse<SystemTime>,
    name: OsString,
    number: u64,
}

fn names(directory: &Path, base: &OsStr, numbers: &[u64]) -> io::Result<Vec<Listed>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (name, number) = (entry.file_name(), entry.ino());
        let is_asked_for = numbers.contains(&number);
        if !is_asked_for && name != base && !is_rotated(name.as_bytes(), base.as_bytes()) {
            continue;
        }
        // What is gone by now is missing in the next listing, too.
        let Ok(metadata) = entry.metadata() else { continue };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        names.push(Listed { is_other: !is_asked_for, modified: Reverse(modified), name, number });
    }
    names.sort();
    Ok(names)
}

fn open(path: PathBuf, base: &OsStr) -> io::Result<Option<Sibling>> {
    let (file, metadata) = match file::open(&path) {
        Ok(opened) => opened,
        Err(OpenError::NotRegular) => return Ok(None),
        Err(OpenError::Io(error)) => {
            // What may not be read cannot be helped. Too many open files can.
            let is_limit = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
            return if is_limit { Err(error) } else { Ok(None) };
        }
    };
    let name = path.file_name().unwrap_or_default();
    let is_rotated = name != base && is_rotated(name.as_bytes(), base.as_bytes());
    let is_named_compressed = is_rotated && uncompressed(name.as_bytes()).len() < name.len();
    let text = match text::beginning(&file, BEGINNING_MAX) {
        Ok((Compression::None, _)) if is_named_compressed => Err("it is none of gz, xz and zst".to_owned()),
        text => text.map_err(|error| error.to_string()),
    };
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(Sibling { path, file, metadata, modified, text, is_rotated }))
}

/// Whether a rotation of the log `base` may have made a file of this name.
fn is_rotated(name: &[u8], base: &[u8]) -> bool {
    let name = uncompressed(name);
    if let Some(suffix) = name.strip_prefix(base) {
        return suffix == b".old" || is_suffix(suffix);
    }
    let Some(dot) = memchr::memrchr(b'.', base).filter(|dot| *dot > 0) else { return false };
    let (stem, extension) = base.split_at(dot);
    name.strip_prefix(stem).and_then(|name| name.strip_suffix(extension)).is_some_and(is_suffix)
}

/// `.1`, or a date: `-20261122`, `-20261122-03`, `.2026-11-22`. `-2` is no date: `mail-2.log` is another log.
fn is_suffix(suffix: &[u8]) -> bool {
    let Some((separator, rest)) = suffix.split_first() else { return false };
    let digits = rest.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_of_digits = rest.first().is_some_and(u8::is_ascii_digit)
        && rest.iter().all(|byte| byte.is_ascii_digit() || b"-_.:+TZ".contains(byte));
    is_of_digits && (*separator == b'.' || b"-_".contains(separator) && digits >= 6)
}

/// The `2` of `mail.log.2.gz`: of two files that were written at the same time, that with the higher number is older.
fn generation(path: &Path) -> u32 {
    let name = uncompressed(path.file_name().unwrap_or_default().as_bytes());
    let digits = name.rsplit(|byte| *byte == b'.').find(|part| part.iter().all(u8::is_ascii_digit));
    // A date counts the other way, as its name does.
    digits.filter(|digits| digits.len() < 6).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

fn uncompressed(name: &[u8]) -> &[u8] {
    COMPRESSED.iter().find_map(|extension| name.strip_suffix(extension.as_bytes())).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_rotations_give_are_known_and_other_logs_are_left_alone() {
        for (base, rotated, others) in [
            (
                "mail.log",
                &[
                    "mail.log.1",
                    "mail.log.0",
                    "mail.log.12.gz",
                    "mail.log.2.xz",
                    "mail.log-20261122",
                    "mail.log.old",
                    "mail.log-20261122.zst",
                    "mail.log-2026-11-22T03:04:05+0100",
                    "mail.log_20261122",
                    "mail.log.2026-11-22",
                    "mail-20261122.log",
                    "mail.1.log",
                    "mail.2.log.gz",
                    "mail.log-1700000000",
                    "mail.log.1.bz2",
                ][..],
                &[
                    "mail.log",
                    "mail.err",
                    "mail.log.err",
                    "mail-2.log",
                    "mail2.log",
                    "mail.logs",
                    "mail.log.gz",
                    "mail.log~",
                    "mail.log.bak",
                    "xmail.log.1",
                    "mail",
                    "mail.log.1x",
                    "mail.log-2",
                    "mail-new.log",
                    "mail.log.",
                    "",
                ][..],
            ),
            (
                "mail",
                &["mail.1", "mail-20261122", "mail.1.gz"],
                &["mail.log", "mail.info", "mail.log.1", "mail.err-20261122"],
            ),
            (".log", &[".log.1"], &["1.log"]),
        ] {
            let rotated_of = |name: &&str| is_rotated(name.as_bytes(), base.as_bytes());
            assert_eq!(rotated.iter().filter(|name| !rotated_of(name)).collect::<Vec<_>>(), [&""; 0], "of {base}");
            assert_eq!(others.iter().filter(|name| rotated_of(name)).collect::<Vec<_>>(), [&""; 0], "not of {base}");
        }
    }

    #[test]
    fn the_number_of_a_rotation_is_read() {
        for (name, expected) in
            [("mail.log", 0), ("mail.log.2", 2), ("mail.log.10.gz", 10), ("mail.3.log", 3), ("mail.log-20261122", 0)]
        {
            assert_eq!(generation(Path::new(name)), expected, "{name}");
        }
    }
}
