//! One open file: its bytes become whole lines, and that it was emptied is noticed.
//!
//! One `pread` does it all. It starts a few bytes before the offset: bytes that were read before must still be there. If they
//! are not, or the file is shorter, it was emptied and written anew, however much it has grown since.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::SystemTime,
};

use super::{
    bookmark::{BEFORE_MAX, BEGINNING_MAX, Inode, Place},
    text::Text,
};

/// The longest line that is handed on, in bytes, without its newline. A longer one is dropped whole, and counted. (rsyslog
/// and syslog-ng cut at 8 KiB and 64 KiB by default; no line of a mail server about a login comes near.)
pub const LINE_MAX: usize = 16 * 1024;

/// How much is read at once. Together with a pending line and the bytes to compare it fits [`BUFFER`].
pub(super) const CHUNK: usize = 128 * 1024;

/// The size of the buffer that all files are read through.
pub(super) const BUFFER: usize = BEFORE_MAX + LINE_MAX + CHUNK;

/// Opens what `path` names, if it is a regular file. Neither a FIFO without a writer nor a modem line blocks, no terminal
/// becomes ours, and nothing but a regular file is ever read.
///
/// # Errors
/// [`OpenError`].
pub(super) fn open(path: &Path) -> Result<(File, Metadata), OpenError> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(OpenError::NotRegular) }
}

/// Why a path was not opened.
#[derive(Debug)]
pub(super) enum OpenError {
    NotRegular,
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where reading a file starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It is new: all of it.
    Beginning,
    /// It was there before us: what is appended from now on, with the line that is being written.
    End,
    /// It is known.
    At(Place),
}

/// What a read found.
pub(super) enum Found<'a> {
    Line { bytes: &'a [u8], offset: u64, live: bool },
    Overlong { bytes: u64, offset: u64 },
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// At the end of the file, after so many new bytes.
    End(usize),
    /// The budget is used up, after so many new bytes.
    More(usize),
    /// The file was emptied, where it had been read up to this place. It is read from its beginning next.
    Truncated(Place),
    /// It is compressed, and its text is not the one that was read before.
    Other,
}

/// An open file and how far it was read.
#[derive(Debug)]
pub(super) struct Reader {
    text: Text,
    inode: Inode,
    /// Where the next line begins. Everything before was handed on or dropped.
    offset: u64,
    /// The bytes before `offset`.
    before: Before,
    /// Where the file ended when it was last read. From `offset` to here stands a line without its newline yet.
    end: u64,
    /// The first bytes of the file.
    beginning: Vec<u8>,
    /// Inside an overlong line: how much of it was dropped so far, and where it began.
    discarding: Option<Overlong>,
    /// At the very beginning, where a writer that does not append leaves a hole of zeros after its file was emptied.
    hole: bool,
    /// A line whose newline stands before this offset was written before we looked.
    history: u64,
}

#[derive(Clone, Copy, Debug)]
struct Overlong {
    offset: u64,
    bytes: u64,
}

impl Reader {
    pub(super) fn new(text: Text, metadata: &Metadata, start: Start) -> io::Result<Self> {
        let mut reader = Self {
            inode: Inode::from(metadata),
            offset: 0,
            before: Before::default(),
            end: 0,
            beginning: Vec::new(),
            discarding: None,
            hole: true,
            history: if text.is_compressed() { u64::MAX } else { metadata.len() },
            text,
        };
        match start {
            Start::Beginning => {}
            Start::End => reader.skip_to_last_line()?,
            Start::At(place) => reader.resume(&place),
        }
        reader.learn_beginning()?;
        Ok(reader)
    }

    pub(super) fn inode(&self) -> Inode {
        self.inode
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the open file, for a watch that no rename can lead astray.
    pub(super) fn descriptor(&self) -> i32 {
        self.text.descriptor()
    }

    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// The length of the line that lacks its newline.
    pub(super) fn partial(&self) -> u64 {
        self.discarding.map_or(self.end.saturating_sub(self.offset), |overlong| overlong.bytes)
    }

    /// How much stands in the file that was never read.
    pub(super) fn unread(&self) -> u64 {
        self.text.behind(self.end)
    }

    /// How much stands behind the last whole line that was read.
    pub(super) fn behind(&self) -> u64 {
        self.text.behind(self.offset)
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.text.is_compressed()
    }

    /// By anyone; none where the file system does not tell.
    pub(super) fn last_written(&self) -> Option<SystemTime> {
        self.text.metadata().and_then(|metadata| metadata.modified()).ok()
    }

    /// No name leads to it any more: once it is closed, it is gone, and its number is given to another.
    pub(super) fn is_unlinked(&self) -> bool {
        self.text.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            inode: self.inode,
            offset: self.offset,
            beginning: self.beginning.as_slice().into(),
            before: self.before.bytes().into(),
        }
    }

    /// The bytes at any place of a file that is not compressed, without reading on.
    pub(super) fn look_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.text.read_at(buffer, offset)
    }

    /// Goes back to where an earlier line begins.
    pub(super) fn rewind(&mut self, offset: u64) -> io::Result<()> {
        let mut before = [0; BEFORE_MAX];
        let from = offset.saturating_sub(BEFORE_MAX as u64);
        let length = usize::try_from(offset - from).unwrap_or(BEFORE_MAX);
        let read = self.look_at(before.get_mut(..length).unwrap_or_default(), from)?;
        self.discarding = None;
        self.resume(&Place { offset, before: before.get(..read).unwrap_or_default().into(), ..self.place() });
        Ok(())
    }

    /// Lines that end before `offset` are not live: the file is a copy of one that was read so far.
    pub(super) fn extend_history(&mut self, offset: u64) {
        self.history = self.history.max(offset);
    }

    /// Lines that are whole by now are not live.
    pub(super) fn extend_history_to_end(&mut self) {
        // If it cannot be read, reading it will say so.
        if let Ok(metadata) = self.text.metadata() {
            self.history = self.history.max(metadata.len());
        }
    }

    /// Reads at most `budget` new bytes (at least one) and hands on the lines that they complete.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        budget: usize,
        found: &mut dyn FnMut(Found<'_>),
    ) -> io::Result<Step> {
        let known = self.before.bytes().len();
        // At most LINE_MAX: a longer line is being discarded, and then nothing is pending.
        let pending = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(LINE_MAX);
        let wanted = buffer.len().min(known + pending + budget.max(1));
        let from = self.offset - known as u64;

        let (skipped, is_there) = self.text.skip(from, budget)?;
        if !is_there {
            return Ok(Step::More(skipped));
        }
        let read = self.text.read_at(buffer.get_mut(..wanted).unwrap_or_default(), from)?;
        let window = buffer.get(..read).unwrap_or_default();
        let fresh = window.strip_prefix(self.before.bytes()).filter(|fresh| {
            // Nothing before the offset: a line that is still being written is all that there is to compare.
            let length = fresh.len().min(self.beginning.len());
            let is_whole = length == self.beginning.len() || read == wanted;
            self.offset > 0 || is_whole && fresh.get(..length) == self.beginning.get(..length)
        });
        let Some(fresh) = fresh else {
            return if self.text.is_compressed() { Ok(Step::Other) } else { self.restart().map(Step::Truncated) };
        };
        let consumed = self.split(fresh, found);
        self.before = Before::ending(window.get(..known + consumed).unwrap_or_default());
        self.offset += consumed as u64;

        let end = from + read as u64;
        let grown = usize::try_from(end.saturating_sub(self.end)).unwrap_or(usize::MAX);
        self.end = end;
        if grown > 0 {
            self.learn_beginning()?;
        }
        Ok(if read == wanted { Step::More(grown) } else { Step::End(grown) })
    }

    /// Notices that the file was emptied, without reading on.
    pub(super) fn check(&mut self) -> io::Result<Option<Place>> {
        if self.text.is_compressed() {
            return Ok(None); // Nobody writes to it, and it cannot be read back.
        }
        let before = self.before.bytes();
        let mut there = [0; BEFORE_MAX];
        let read =
            self.text.read_at(there.get_mut(..before.len()).unwrap_or_default(), self.offset - before.len() as u64)?;
        if there.get(..read) == Some(before) { Ok(None) } else { self.restart().map(Some) }
    }

    /// Hands on the whole lines in `fresh`, which begins at the offset. Returns how many bytes are done with.
    fn split(&mut self, fresh: &[u8], found: &mut dyn FnMut(Found<'_>)) -> usize {
        let mut consumed = 0;
        if self.hole {
            consumed = fresh.iter().take_while(|byte| **byte == 0).count();
            self.hole = consumed == fresh.len();
        }
        let mut rest = fresh.get(consumed..).unwrap_or_default();
        while let Some(length) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(length);
            let offset = self.offset + consumed as u64;
            let newline = offset + length as u64;
            if let Some(overlong) = self.discarding.take() {
                found(Found::Overlong { bytes: overlong.bytes + length as u64, offset: overlong.offset });
            } else if length > LINE_MAX {
                found(Found::Overlong { bytes: length as u64, offset });
            } else {
                found(Found::Line { bytes: line, offset, live: newline >= self.history });
            }
            consumed += length + 1;
            rest = after.get(1..).unwrap_or_default();
        }
        if self.discarding.is_some() || rest.len() > LINE_MAX {
            let offset = self.offset + consumed as u64;
            let overlong = self.discarding.get_or_insert(Overlong { offset, bytes: 0 });
            overlong.bytes += rest.len() as u64;
            consumed += rest.len();
        }
        consumed
    }

    /// Starts over at the beginning of a file that was emptied. What stands in it by now may be old text that is being put
    /// back: it is not live.
    fn restart(&mut self) -> io::Result<Place> {
        let place = self.place();
        self.history = self.text.metadata()?.len();
        self.offset = 0;
        self.before = Before::default();
        self.end = 0;
        self.beginning.clear();
        self.discarding = None;
        self.hole = true;
        self.learn_beginning()?;
        Ok(place)
    }

    fn resume(&mut self, place: &Place) {
        self.beginning = place.beginning.to_vec();
        self.offset = place.offset;
        self.end = place.offset;
        self.before = Before::ending(&place.before);
        self.hole = place.offset == 0;
        // Inside an overlong line: what is left of it is no line. At least so much of it stands before.
        if self.before.bytes().last().is_some_and(|byte| *byte != b'\n') {
            let bytes = LINE_MAX as u64 + 1;
            self.discarding = Some(Overlong { offset: place.offset.saturating_sub(bytes), bytes });
        }
    }

    /// Goes to where the last line begins, the one without its newline if there is such a one.
    fn skip_to_last_line(&mut self) -> io::Result<()> {
        let size = self.history;
        let mut tail = vec![0; BEFORE_MAX + LINE_MAX + 1];
        let from = size.saturating_sub(tail.len() as u64);
        let read = self.text.read_at(&mut tail, from)?;
        tail.truncate(read);
        let partial = match memchr::memrchr(b'\n', &tail) {
            Some(newline) => tail.len() - newline - 1,
            None if from == 0 => tail.len(),
            None => 0, // Longer than a line may be.
        };
        tail.truncate(tail.len() - partial);
        self.resume(&Place { offset: from + tail.len() as u64, before: tail.into(), ..self.place() });
        Ok(())
    }

    /// Learns the first bytes, while there are less than are kept. Those of a compressed file are known from the start, and it
    /// does not grow. Where they are others now, the file was emptied, which the next read notices.
    pub(super) fn learn_beginning(&mut self) -> io::Result<()> {
        if self.beginning.len() < BEGINNING_MAX && !self.text.is_compressed() {
            let mut there = [0; BEGINNING_MAX];
            let read = self.text.read_at(&mut there, 0)?;
            let more = there.get(..read).and_then(|there| there.strip_prefix(self.beginning.as_slice()));
            self.beginning.extend_from_slice(more.unwrap_or_default());
        }
        Ok(())
    }
}

/// The last bytes before an offset, at most [`BEFORE_MAX`].
#[derive(Clone, Copy, Debug)]
struct Before {
    bytes: [u8; BEFORE_MAX],
    length: usize,
}

impl Default for Before {
    fn default() -> Self {
        Self { bytes: [0; BEFORE_MAX], length: 0 }
    }
}

impl Before {
    fn ending(bytes: &[u8]) -> Self {
        let mut before = Self::default();
        for (place, byte) in before.bytes.iter_mut().zip(bytes.iter().skip(bytes.len().saturating_sub(BEFORE_MAX))) {
            *place = *byte;
            before.length += 1;
        }
        before
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
