//! From what an operator configured to paths: a path stands for itself, whether or not it exists; a shell pattern for the
//! regular files that it matches now.

use std::{
    fs, mem,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use glob::MatchOptions;
use nix::errno::Errno;

use crate::clock::BootTime;

/// The most matches of one pattern that are looked at; a directory with more log files than that is no log directory.
const MATCHES_MAX: usize = 4096;

/// As a shell matches, but for hidden files, which are sorted out here: the crate panics when it does that and meets a file
/// name that is not UTF-8 (glob 0.3.4, `fill_todo`).
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A path or pattern that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is configured.
    #[error("a source is empty; name a log file or a pattern such as /var/log/mail/*.log")]
    Empty,
    /// No path holds a NUL byte.
    #[error("{pattern:?} holds a NUL byte, which no path can")]
    Nul {
        /// What was configured.
        pattern: String,
    },
    /// `**` would follow links to directories in circles.
    #[error("{pattern:?} holds `**`, which may lead in circles; name each level: /var/log/*/*.log")]
    Recursive {
        /// What was configured.
        pattern: String,
    },
    /// Not a shell pattern.
    #[error(
        "{pattern:?} is not a shell pattern: {reason} at byte {at}; to match one of *?[ itself, put it in brackets: [[]"
    )]
    Syntax {
        /// What was configured.
        pattern: String,
        /// Where in it.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// One configured source.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) is_glob: bool,
    /// It was looked at before: what it leads to from now on is new.
    pub(super) looked: bool,
    /// Whether it matches anything.
    pub(super) presence: Presence,
    /// A directory on the way could not be read, and that was told.
    pub(super) failing: bool,
}

impl Pattern {
    pub(super) fn parse(text: String) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.contains('\0') {
            return Err(PatternError::Nul { pattern: text });
        }
        let is_glob = text.contains(['*', '?', '[']);
        if is_glob {
            if text.contains("**") {
                return Err(PatternError::Recursive { pattern: text });
            }
            if let Err(error) = glob::Pattern::new(&text) {
                return Err(PatternError::Syntax { pattern: text, at: error.pos, reason: error.msg });
            }
        }
        Ok(Self { text, is_glob, looked: false, presence: Presence::default(), failing: false })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        (!self.is_glob).then(|| Path::new(&self.text))
    }

    /// Whether it would match a file at this path.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.is_glob && glob::Pattern::new(&self.text).is_ok_and(|pattern| pattern.matches_path_with(path, OPTIONS))
    }

    /// The regular files that match, in the order of their names, and the directory that could not be read, if there is one.
    pub(super) fn expand(&self) -> (Vec<Match>, Option<(PathBuf, Errno)>) {
        let mut matches = Vec::new();
        let mut failure = None;
        let wants_hidden = Path::new(&self.text).file_name().is_some_and(is_hidden);
        // Its syntax was checked when it was parsed.
        for found in glob::glob_with(&self.text, OPTIONS).into_iter().flatten().take(MATCHES_MAX) {
            match found {
                Ok(path) if !wants_hidden && path.file_name().is_some_and(is_hidden) => {}
                Ok(path) => {
                    if let Some(written) = last_written(&path) {
                        matches.push(Match { path, written });
                    }
                }
                Err(error) => failure = Some((error.path().to_owned(), errno(error.error()))),
            }
        }
        (matches, failure)
    }
}

/// A file that a pattern matches.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) path: PathBuf,
    pub(super) written: SystemTime,
}

/// When a regular file was last written to; none for anything else.
pub(super) fn last_written(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    metadata.modified().ok()
}

pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether something is there, told once each way, and not for the moment that a rotation takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    absent_since: Option<BootTime>,
    told: bool,
}

impl Presence {
    /// It is not there. True when that is to be told.
    pub(super) fn absent(&mut self, now: BootTime, grace: Duration) -> bool {
        let since = *self.absent_since.get_or_insert(now);
        !self.told && now - since >= grace && !mem::replace(&mut self.told, true)
    }

    /// It is there. True when it had been told that it was not.
    pub(super) fn present(&mut self) -> bool {
        self.absent_since = None;
        mem::take(&mut self.told)
    }

    /// It has been absent for longer than a rotation takes, and that was told.
    pub(super) fn is_missed(self) -> bool {
        self.told
    }

    pub(super) fn absent_for(self, now: BootTime) -> Duration {
        self.absent_since.map_or(Duration::ZERO, |since| now - since)
    }
}
