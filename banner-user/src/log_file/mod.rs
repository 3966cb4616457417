//! Log files that are read once, from their first byte to their last, plain or compressed: what [`crate::source`] does for logs
//! that are still being written, this does for those that are given by name.
//!
//! ```text
//! file ──bytes──> compression ──text──> LogFile ──lines──> Detector
//!       counted   gz, xz, zst,             │                  ^
//!                 by their magic           └──> Chronology ───┘ near which time a stamp without a year is
//! ```
//!
//! A line is what stands before a `\n`, as for the daemon; the last one of a file needs none, for nobody will write on. Memory
//! is constant, whatever the file holds: a buffer of 272 KiB, and what a decoder needs, which is limited (see [`Compression`]).

mod chronology;
mod compression;
mod error;

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::Path,
    rc::Rc,
};

use jiff::Timestamp;

pub use self::{
    chronology::Chronology,
    compression::Compression,
    error::{Fault, LogFileError},
};
use crate::{
    clock::WallTime,
    source::{LINE_MAX, journal::JOURNAL},
};

/// How a file is compressed, and the text in it.
///
/// # Errors
/// Its first bytes cannot be read, or there is no memory for a decoder.
pub(crate) fn text(input: impl Read + 'static) -> io::Result<(Compression, Box<dyn Read>)> {
    compression::open(input)
}

/// How much text is read at once.
const CHUNK: usize = 256 * 1024;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Without its newline, and otherwise as it stands there; at most [`LINE_MAX`] bytes.
    Whole {
        /// Counted from one.
        number: u64,
        /// What it says.
        bytes: &'a [u8],
    },
    /// It is longer than [`LINE_MAX`], so that the daemon would not have read it either.
    Overlong {
        /// Counted from one.
        number: u64,
        /// Its length in bytes.
        bytes: u64,
    },
}

/// A log file that is being read.
pub struct LogFile {
    name: String,
    compression: Compression,
    text: Box<dyn Read>,
    /// How many bytes of the file itself were read.
    position: Rc<Cell<u64>>,
    size: Option<u64>,
    written: Option<WallTime>,
    buffer: Box<[u8]>,
    /// The part of `buffer` that was read and not handed on.
    unread: std::ops::Range<usize>,
    /// Lines handed on.
    lines: u64,
    /// Nothing was handed on yet, so that zeros are a hole: what a writer that does not append leaves where its log was
    /// emptied under it.
    is_hole: bool,
    end: End,
}

/// Whether there is more text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Ahead,
    Reached,
    Failed(LogFileError),
}

impl LogFile {
    /// Opens a file, a FIFO or a device.
    ///
    /// # Errors
    /// The system's; it is a directory; its first bytes cannot be read.
    pub fn open(path: &Path) -> Result<Self, LogFileError> {
        let name = path.to_string_lossy().into_owned();
        let system = |error: &io::Error| LogFileError::new(name.clone(), Fault::Unopened(error.to_string()));
        let file = File::open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound && path == Path::new(JOURNAL) {
                LogFileError::new(name.clone(), Fault::Journal)
            } else {
                system(&error)
            }
        })?;
        let metadata = file.metadata().map_err(|error| system(&error))?;
        if metadata.is_dir() {
            return Err(LogFileError::new(name, Fault::Directory));
        }
        // The signature of systemd's journal-def.h.
        let mut signature = [0; 8];
        if metadata.is_file() && file.read_exact_at(&mut signature, 0).is_ok() && signature == *b"LPKSHHRH" {
            return Err(LogFileError::new(name, Fault::Journal));
        }
        let mut log = Self::read(name, file)?;
        if metadata.is_file() {
            log.size = Some(metadata.len());
            let written = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            log.written = written.map(|time| WallTime(time.as_microsecond()));
        }
        Ok(log)
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// Its first bytes cannot be read.
    pub fn standard_input() -> Result<Self, LogFileError> {
        Self::read("standard input".to_owned(), io::stdin())
    }

    /// Reads from anything. The name is for errors.
    ///
    /// # Errors
    /// Its first bytes cannot be read.
    pub fn read(name: String, input: impl Read + 'static) -> Result<Self, LogFileError> {
        let position = Rc::new(Cell::new(0));
        let input = Counted { input, position: Rc::clone(&position) };
        let (compression, text) = match compression::open(input) {
            Ok(opened) => opened,
            Err(error) => return Err(LogFileError::new(name, Fault::Unopened(error.to_string()))),
        };
        Ok(Self {
            name,
            compression,
            text,
            position,
            size: None,
            written: None,
            buffer: vec![0; CHUNK + LINE_MAX].into_boxed_slice(),
            unread: 0..0,
            lines: 0,
            is_hole: true,
            end: End::Ahead,
        })
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// The file cannot be read on, which its name, position and compression explain. Every whole line before that was handed on;
    /// asking again answers the same.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, LogFileError> {
        let mut discarded = 0;
        loop {
            let unread = self.buffer.get(self.unread.clone()).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', unread) {
                return Ok(Some(self.hand_on(length, 1, discarded)));
            }
            match &self.end {
                End::Ahead => {}
                End::Reached if unread.is_empty() && discarded == 0 => return Ok(None),
                End::Reached => {
                    let length = unread.len();
                    return Ok(Some(self.hand_on(length, 0, discarded)));
                }
                End::Failed(error) => return Err(error.clone()),
            }
            if unread.len() > LINE_MAX || discarded > 0 {
                discarded += unread.len() as u64;
                self.unread = 0..0;
            }
            self.fill();
        }
    }

    /// As it was named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compressed, by its first bytes.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// When a regular file was last written. None for standard input and the like, which is being written now.
    #[must_use]
    pub fn written(&self) -> Option<WallTime> {
        self.written
    }

    /// The size of a regular file, in bytes as it lies there, compressed or not.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How much of [`Self::size`] was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.get()
    }

    /// The next `length` bytes are the end of a line, `newline` more are its newline, and `discarded` came before.
    fn hand_on(&mut self, length: usize, newline: usize, discarded: u64) -> Line<'_> {
        let start = self.unread.start;
        self.unread.start = start + length + newline;
        self.lines += 1;
        let number = self.lines;
        if discarded > 0 || length > LINE_MAX {
            return Line::Overlong { number, bytes: discarded + length as u64 };
        }
        Line::Whole { number, bytes: self.buffer.get(start..start + length).unwrap_or_default() }
    }

    /// Reads more text behind what is unread, of which there is at most [`LINE_MAX`].
    fn fill(&mut self) {
        let kept = self.unread.len();
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..kept;
        let Some(room) = self.buffer.get_mut(kept..) else { return };
        let read = loop {
            match self.text.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => self.end = End::Reached,
            Ok(read) => self.unread.end = kept + read,
            Err(error) => {
                let fault = Fault::at(self.position(), self.compression, self.lines, &error);
                self.end = End::Failed(LogFileError::new(self.name.clone(), fault));
            }
        }
        if self.is_hole {
            let zeros = self.buffer.get(self.unread.clone()).unwrap_or_default();
            self.unread.start += zeros.iter().take_while(|byte| **byte == 0).count();
            self.is_hole = self.unread.is_empty();
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    position: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
