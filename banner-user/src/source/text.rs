//! The bytes of an open file: as they stand there, or what is compressed in them.

use std::{
    fmt,
    fs::{File, Metadata},
    io::{self, Read, Seek as _, SeekFrom},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::fs::FileExt as _,
    },
};

use crate::log_file::{self, Compression};

/// How much is decompressed at once.
const CHUNK: usize = 64 * 1024;

/// The text of an open file.
#[derive(Debug)]
pub(super) enum Text {
    /// A file whose bytes are its text, and can be read anywhere.
    Plain(File),
    /// A rotated log that was compressed: its text is read forwards only.
    Compressed(Compressed),
}

impl Text {
    /// Fills `buffer` from `offset` on, as far as there is text. Of a compressed file nothing before an earlier `offset` can be
    /// had again, and it must have been [skipped](Self::skip) to.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(buffer, offset),
            Self::Compressed(compressed) => compressed.read_at(buffer, offset),
        }
    }

    /// Goes towards `offset`, by at most about `budget` bytes. Returns by how many, and whether it is there.
    pub(super) fn skip(&mut self, offset: u64, budget: usize) -> io::Result<(usize, bool)> {
        match self {
            Self::Plain(_) => Ok((0, true)),
            Self::Compressed(compressed) => compressed.skip(offset, budget),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }

    /// How much stands in the file behind `offset`: of a compressed one, compressed, behind what was read of it.
    pub(super) fn behind(&self, offset: u64) -> u64 {
        let at = match self {
            Self::Plain(_) => offset,
            Self::Compressed(compressed) => compressed.consumed,
        };
        self.metadata().map_or(0, |metadata| metadata.len().saturating_sub(at))
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file().metadata()
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.file().as_raw_fd()
    }

    fn file(&self) -> &File {
        match self {
            Self::Plain(file) | Self::Compressed(Compressed { file, .. }) => file,
        }
    }
}

/// A compressed file and the part of its text that was decompressed last.
pub(super) struct Compressed {
    file: File,
    /// None until something is read, so that a file that waits for its turn costs no memory.
    decoder: Option<Box<dyn Read>>,
    /// Where `window` begins in the text.
    start: u64,
    window: Vec<u8>,
    is_at_end: bool,
    /// How much of the file the decoder has taken.
    consumed: u64,
}

impl Compressed {
    pub(super) fn new(file: File) -> Self {
        Self { file, decoder: None, start: 0, window: Vec::new(), is_at_end: false, consumed: 0 }
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.discard(offset);
        if offset != self.start {
            return Ok(0); // The text ends before, or was thrown away.
        }
        while self.window.len() < buffer.len() && !self.is_at_end {
            self.decompress(buffer.len() - self.window.len())?;
        }
        let length = buffer.len().min(self.window.len());
        for (place, byte) in buffer.iter_mut().zip(&self.window) {
            *place = *byte;
        }
        Ok(length)
    }

    fn skip(&mut self, offset: u64, budget: usize) -> io::Result<(usize, bool)> {
        let mut skipped = 0;
        loop {
            self.discard(offset);
            if self.start >= offset || self.is_at_end {
                return Ok((skipped, true));
            }
            if skipped >= budget {
                return Ok((skipped, false));
            }
            skipped += self.decompress(CHUNK)?;
        }
    }

    /// Throws away what stands before `offset`.
    fn discard(&mut self, offset: u64) {
        let before = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.window.len());
        self.window.drain(..before);
        self.start += before as u64;
    }

    /// Decompresses at most `length` bytes behind the window.
    fn decompress(&mut self, length: usize) -> io::Result<usize> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                // The position that the copy shares is used by the decoder alone.
                let mut file = self.file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                self.decoder.insert(log_file::text(file)?.1)
            }
        };
        let known = self.window.len();
        self.window.resize(known + length.min(CHUNK), 0);
        let read = loop {
            match decoder.read(self.window.get_mut(known..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.window.truncate(known + read.as_ref().map_or(0, |read| *read));
        self.consumed = (&self.file).stream_position()?;
        let read = read?;
        if read == 0 {
            self.is_at_end = true;
            self.decoder = None;
        }
        Ok(read)
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").field("file", &self.file).field("start", &self.start).finish_non_exhaustive()
    }
}

/// How a file is compressed, and the first bytes of its text, at most `length`.
pub(super) fn beginning(file: &File, length: usize) -> io::Result<(Compression, Vec<u8>)> {
    let mut copy = file.try_clone()?;
    copy.seek(SeekFrom::Start(0))?;
    let (compression, text) = log_file::text(copy)?;
    let mut beginning = Vec::with_capacity(length);
    text.take(length as u64).read_to_end(&mut beginning)?;
    Ok((compression, beginning))
}
