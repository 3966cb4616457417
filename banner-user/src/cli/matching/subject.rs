//! What was typed: a file, standard input, or a line itself.

use std::{ffi::OsStr, fs, io::Cursor, os::unix::ffi::OsStrExt as _, path::Path};

use crate::{
    control::protocol::Text,
    log_file::{LogFile, LogFileError},
};

/// What is to be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    File(&'a Path),
    StandardInput,
    /// A line, or a few that were pasted.
    Line(&'a [u8]),
}

impl<'a> Subject<'a> {
    /// fail2ban-regex's convention: what has a space or a newline in it and is no file is a line.
    pub(super) fn of(argument: &'a OsStr) -> Self {
        let bytes = argument.as_bytes();
        let is_text = bytes.iter().any(u8::is_ascii_whitespace);
        if bytes == b"-" {
            Self::StandardInput
        } else if is_text && fs::symlink_metadata(argument).is_err() {
            Self::Line(bytes)
        } else {
            Self::File(Path::new(argument))
        }
    }

    /// As answers name it.
    pub(super) fn name(self) -> Text {
        match self {
            Self::File(path) => Text::from(path),
            Self::StandardInput => Text::from("-"),
            Self::Line(_) => Text::from("(line)"),
        }
    }

    pub(super) fn open(self) -> Result<LogFile, LogFileError> {
        match self {
            Self::File(path) => LogFile::open(path),
            Self::StandardInput => LogFile::standard_input(),
            Self::Line(bytes) => LogFile::read("the line".to_owned(), Cursor::new(bytes.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_and_has_a_space_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let spaced = folder.path().join("mail log");
        fs::write(&spaced, "").unwrap();
        for (argument, expected) in [
            (OsStr::new("-"), Subject::StandardInput),
            (OsStr::new("Nov 22 12:00:00 mail x[1]: m"), Subject::Line(b"Nov 22 12:00:00 mail x[1]: m")),
            (OsStr::new("a\nb"), Subject::Line(b"a\nb")),
            (OsStr::from_bytes(b"a\xff b"), Subject::Line(b"a\xff b")),
            (OsStr::new("mail.log"), Subject::File(Path::new("mail.log"))),
            (OsStr::new("\u{2003}"), Subject::File(Path::new("\u{2003}"))),
            (spaced.as_os_str(), Subject::File(&spaced)),
        ] {
            assert_eq!(Subject::of(argument), expected);
        }
    }
}
