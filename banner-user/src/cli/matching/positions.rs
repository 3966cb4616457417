//! The file of `--positions`: how far each log was read. JSON of a version, readable by its owner alone, since it holds a few
//! bytes of each log; written anew beside itself and renamed, so that it is whole at any moment.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::WallTime,
    control::protocol::Text,
    source::{BEFORE_MAX, BEGINNING_MAX, Bookmark, BookmarkState, Inode},
};

const VERSION: u32 = 1;

/// No follower has so many bookmarks, with paths of usual length, that they take more.
const SIZE_MAX: u64 = 8 << 20;

/// Why positions cannot be read or saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PositionsError {
    #[error("cannot read the positions in {path}: {why}")]
    Unreadable { path: Text, why: String },
    #[error(
        "{path} holds no positions of banner, or is damaged: {why}. It is left as it is; to begin at the ends of the logs, \
         remove it"
    )]
    Damaged { path: Text, why: String },
    #[error("cannot save the positions in {path}: {why}")]
    Unwritable { path: Text, why: String },
}

/// The file.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
}

/// What was saved, and when.
pub(super) type Saved = (Vec<Bookmark>, WallTime);

impl Positions {
    /// Reads what was saved; none where there is no file yet.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Saved>), PositionsError> {
        let unreadable =
            |error: &io::Error| PositionsError::Unreadable { path: Text::from(path), why: error.to_string() };
        let positions = Self { path: path.to_owned() };
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((positions, None)),
            file => file.map_err(|error| unreadable(&error))?,
        };
        let damaged = |why: String| PositionsError::Damaged { path: Text::from(path), why };
        let is_file = file.metadata().map_err(|error| unreadable(&error))?.is_file();
        if !is_file {
            return Err(damaged("it is no regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > SIZE_MAX {
            return Err(damaged(format!("it is larger than {SIZE_MAX} bytes")));
        }
        let saved = decode(&bytes).map_err(damaged)?;
        Ok((positions, Some(saved)))
    }

    /// Replaces what was saved.
    pub(super) fn save(&self, bookmarks: &[Bookmark], now: WallTime) -> Result<(), PositionsError> {
        self.replace(&encode(bookmarks, now)).map_err(|error| PositionsError::Unwritable {
            path: Text::from(self.path.as_path()),
            why: error.to_string(),
        })
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        name.push(".new");
        let new = self.path.with_file_name(name);
        // Left behind by one that was killed. A link is not followed: the file is made, or it fails.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        write_through(&mut file, text).and_then(|()| fs::rename(&new, &self.path)).inspect_err(|_| {
            // The error is what counts.
            drop(fs::remove_file(&new));
        })
    }
}

fn write_through(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_data()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    /// Microseconds since the Unix epoch.
    saved: i64,
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: u64,
    path: PathBuf,
    device: u64,
    inode: u64,
    offset: u64,
    state: State,
    /// In hexadecimal, as the next.
    beginning: String,
    before: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Open,
    Closed,
    Emptied,
}

fn encode(bookmarks: &[Bookmark], now: WallTime) -> Vec<u8> {
    let files = bookmarks.iter().map(|bookmark| Entry {
        key: bookmark.key,
        path: bookmark.path.clone(),
        device: bookmark.inode.device,
        inode: bookmark.inode.number,
        offset: bookmark.offset,
        state: match bookmark.state {
            BookmarkState::Open => State::Open,
            BookmarkState::Closed => State::Closed,
            BookmarkState::Emptied => State::Emptied,
        },
        beginning: hexadecimal(&bookmark.beginning),
        before: hexadecimal(&bookmark.before),
    });
    let document = Document { version: VERSION, saved: now.0, files: files.collect() };
    // Paths are UTF-8, as patterns are and what they match; nothing else can fail in memory.
    let mut text = serde_json::to_vec(&document).unwrap_or_default();
    text.push(b'\n');
    text
}

fn decode(text: &[u8]) -> Result<Saved, String> {
    /// Read first: what another version has may have other keys.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("it is of version {version}, and this banner reads version {VERSION}"));
    }
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let bookmarks = document.files.into_iter().map(|entry| {
        let beginning = bytes(&entry.beginning, BEGINNING_MAX)?;
        let before = bytes(&entry.before, BEFORE_MAX)?;
        if entry.offset < before.len() as u64 || (entry.offset > 0 && before.is_empty()) {
            return Err("an offset does not fit the bytes before it".to_owned());
        }
        Ok(Bookmark {
            key: entry.key,
            path: entry.path,
            inode: Inode { device: entry.device, number: entry.inode },
            offset: entry.offset,
            beginning,
            before,
            state: match entry.state {
                State::Open => BookmarkState::Open,
                State::Closed => BookmarkState::Closed,
                State::Emptied => BookmarkState::Emptied,
            },
        })
    });
    Ok((bookmarks.collect::<Result<_, _>>()?, WallTime(document.saved)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str, most: usize) -> Result<Box<[u8]>, String> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Box<[u8]>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.filter(|bytes| bytes.len() <= most).ok_or_else(|| "bytes of a log are no hexadecimal, or too many".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn bookmarks() -> Vec<Bookmark> {
        let bookmark = |key, offset, state| Bookmark {
            key,
            path: PathBuf::from("/var/log/mail.log"),
            inode: Inode { device: 65024, number: u64::MAX },
            offset,
            beginning: Box::from(&b"\0\xffa\n"[..]),
            before: if offset > 0 { Box::from(&b"\x7f\xfe\n"[..]) } else { Box::default() },
            state,
        };
        let mut bookmarks = Vec::new();
        for (key, state) in [BookmarkState::Open, BookmarkState::Closed, BookmarkState::Emptied].into_iter().enumerate()
        {
            bookmarks.push(Bookmark { offset: 3, ..bookmark(key as u64, 3, state) });
        }
        bookmarks.push(Bookmark { offset: 0, ..bookmark(u64::MAX, 0, BookmarkState::Open) });
        bookmarks
    }

    #[test]
    fn what_was_saved_is_read_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions");
        let (positions, saved) = Positions::open(&path).unwrap();
        assert_eq!(saved, None);
        // What a killed one left, or a link that somebody put there, is not written through.
        let other = folder.path().join("other");
        fs::write(&other, "untouched").unwrap();
        symlink(&other, folder.path().join(".positions.new")).unwrap();
        positions.save(&bookmarks(), WallTime(17)).unwrap();
        assert_eq!(Positions::open(&path).unwrap().1, Some((bookmarks(), WallTime(17))));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_damaged_is_refused_with_the_reason() {
        let text = String::from_utf8(encode(&bookmarks(), WallTime(17))).unwrap();
        for (damaged, reason) in [
            (String::new(), "EOF"),
            (text[..text.len() / 2].to_owned(), "EOF"),
            ("{}".to_owned(), "missing field `version`"),
            (text.replace("\"version\":1", "\"version\":2"), "it is of version 2, and this banner reads version 1"),
            (text.replace("00ff610a", "00ff610"), "no hexadecimal"),
            (text.replace("00ff610a", "00fg610a"), "no hexadecimal"),
            (text.replace("00ff610a", &"61".repeat(300)), "or too many"),
            (text.replace("\"offset\":3", "\"offset\":2"), "an offset does not fit"),
            (text.replace("\"offset\":0", "\"offset\":7"), "an offset does not fit"),
            (text.replace("\"open\"", "\"shut\""), "unknown variant"),
        ] {
            assert_ne!(damaged, text);
            let error = decode(damaged.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
