//! Where to begin in a log that was there before us: at the first line of the last findtime, so that protection starts with
//! memory.
//!
//! ```text
//!   start of the log                 256 MiB before the end                                  the end
//!   |────────────────────────────────|──────o──────────x──────────────o──x─x─────────────────|
//!                                    lo     older      newer: hi
//! ```
//!
//! A binary search: of a block in the middle some lines tell their times, and the most of them decide. So a few lines out of
//! order mislead nobody, and a log of any size costs two dozen blocks. What a block cannot tell counts as recent: too much is
//! read rather than too little, since each line is judged by its own stamp.

use std::{fmt, io, time::Duration};

use super::{Follower, file::Reader};
use crate::clock::{LogTime, WallTime};

/// The most that is read back of one file, in bytes.
pub const READ_BACK_MAX: u64 = 256 * 1024 * 1024;

/// How much of a file is looked at in one place.
const BLOCK: usize = 32 * 1024;

/// How many lines of a block are asked for their time.
const ASKED: usize = 32;

/// How far before its end a log must have a line that tells its time, to be searched at all.
const TAIL: u64 = 8 * BLOCK as u64;

/// How many lines at the end say when that was.
const LAST: usize = 9;

/// A stamp so far ahead is of the year before, where it has none, or of a clock that is wrong.
const AHEAD: Duration = Duration::from_hours(24);

/// The time of a line, where it has one that can be read; of a stamp without a year, the one nearest to the time given.
pub type TimeOfLine = Box<dyn FnMut(&[u8], WallTime) -> Option<LogTime>>;

/// How far back a file is read that is followed for the first time.
pub(super) struct Memory {
    now: WallTime,
    /// In microseconds, as the next three.
    window: i64,
    floor: i64,
    since: i64,
    until: i64,
    time_of: TimeOfLine,
    block: Box<[u8]>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("now", &self.now).field("since", &self.since).finish_non_exhaustive()
    }
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// More is recent than is read back.
    pub(super) is_cut: bool,
}

/// What a block tells of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Older,
    Recent,
    Unknown,
}

impl Follower {
    /// Reads a file that was there before us, and that no bookmark knows, from its first line within `window` before `now` on,
    /// instead of from its end; but from none that is older than `floor`. Holds for the files that the next polls see for the first
    /// time: to be called before the first poll, and before each [`configure`](Self::configure) again.
    ///
    /// At most [`READ_BACK_MAX`] of each file; a file whose last lines tell no time is read from its end.
    pub fn set_memory(&mut self, now: WallTime, window: Duration, floor: WallTime, time_of: TimeOfLine) {
        self.memory = Some(Memory::new(now, window, floor, time_of));
    }
}

impl Memory {
    fn new(now: WallTime, window: Duration, floor: WallTime, time_of: TimeOfLine) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self {
            now,
            window: micros(window),
            floor: floor.0,
            since: now.0,
            until: now.0.saturating_add(micros(AHEAD)),
            time_of,
            block: vec![0; BLOCK].into_boxed_slice(),
        }
    }

    /// Moves a reader that stands at the end of its file to the first recent line.
    pub(super) fn search(&mut self, reader: &mut Reader) -> io::Result<Remembered> {
        let end = reader.offset();
        let floor = end.saturating_sub(READ_BACK_MAX);
        let whole = Remembered { is_cut: false };
        if !self.tells_time(reader, end)? {
            return Ok(whole);
        }
        self.since = self.last_time(reader, end)?.saturating_sub(self.window).max(self.floor);
        // Before `low` lines are older, from `high` on they are recent; both as far as is known.
        let (mut low, mut high) = (floor, end);
        let mut is_cut = false;
        if floor > 0 && self.age(reader, floor, end)? != Age::Older {
            is_cut = true;
            high = floor;
        }
        while high - low > BLOCK as u64 {
            let middle = low + (high - low) / 2;
            match self.age(reader, middle, end)? {
                Age::Older => low = middle,
                Age::Recent | Age::Unknown => high = middle,
            }
        }
        let first =
            if is_cut { next_line(reader, &mut self.block, floor)? } else { self.first_recent(reader, low, end)? };
        if first < end {
            reader.rewind(first)?;
        }
        Ok(Remembered { is_cut })
    }

    /// Whether any line near the end tells a time.
    fn tells_time(&mut self, reader: &mut Reader, end: u64) -> io::Result<bool> {
        let mut from = end.saturating_sub(TAIL);
        while from < end {
            let (_, told) = self.count(reader, from, end)?;
            if told > 0 {
                return Ok(true);
            }
            from += BLOCK as u64 / 2;
        }
        Ok(false)
    }

    /// When the log was written last, but not before now. A logger whose clock or zone is ahead of ours tells times to come: they
    /// count as of now, so that no more of them may be read than of any other logger's. A few lines out of order decide nothing.
    fn last_time(&mut self, reader: &mut Reader, end: u64) -> io::Result<i64> {
        let Self { now, until, time_of, block, .. } = self;
        let block = read(reader, block, end.saturating_sub(BLOCK as u64), end)?;
        let lines = block.rsplit(|byte| *byte == b'\n');
        let times = lines.filter_map(|line| time_of(line, *now)).map(|LogTime(time)| time).filter(|time| time <= until);
        let mut last: Vec<i64> = times.take(LAST).collect();
        last.sort_unstable();
        Ok(last.get(last.len() / 2).map_or(now.0, |median| now.0.max(*median)))
    }

    fn age(&mut self, reader: &mut Reader, from: u64, end: u64) -> io::Result<Age> {
        let (recent, told) = self.count(reader, from, end)?;
        Ok(match told {
            // A hole is what a writer leaves that does not append where its log was emptied under it: nothing stands there.
            0 if self.block.iter().all(|byte| *byte == 0) => Age::Older,
            0 => Age::Unknown,
            _ if recent * 2 > told => Age::Recent,
            _ => Age::Older,
        })
    }

    /// Of the lines that begin in the block at `from`: how many are recent, and how many tell a time, of some that are asked.
    fn count(&mut self, reader: &mut Reader, from: u64, end: u64) -> io::Result<(usize, usize)> {
        let (mut recent, mut told) = (0, 0);
        let Self { now, since, until, time_of, block, .. } = self;
        let block = read(reader, block, from, end)?;
        let lines = memchr::memchr_iter(b'\n', block).count();
        let skipped = usize::from(from > 0);
        for line in block.split(|byte| *byte == b'\n').take(lines).skip(skipped).step_by(lines / ASKED + 1) {
            if let Some(LogTime(time)) = time_of(line, *now) {
                told += 1;
                recent += usize::from((*since..=*until).contains(&time));
            }
        }
        Ok((recent, told))
    }

    /// Where the first recent line begins, searched line by line from a place on that is not far before it; the end where there
    /// is none.
    fn first_recent(&mut self, reader: &mut Reader, from: u64, end: u64) -> io::Result<u64> {
        let Self { now, since, until, time_of, block, .. } = self;
        let mut at = if from > 0 { next_line(reader, block, from)? } else { 0 };
        while at < end {
            let lines = read(reader, block, at, end)?;
            let mut done = 0;
            while let Some(length) = memchr::memchr(b'\n', lines.get(done..).unwrap_or_default()) {
                let line = lines.get(done..done + length).unwrap_or_default();
                let is_recent = time_of(line, *now).is_some_and(|LogTime(time)| (*since..=*until).contains(&time));
                if is_recent {
                    return Ok(at + done as u64);
                }
                done += length + 1;
            }
            // A line that fills a block is none, or too long.
            at += if done == 0 { lines.len().max(1) } else { done } as u64;
        }
        Ok(end)
    }
}

/// Where the first line begins behind a place, if it does so within a block.
fn next_line(reader: &mut Reader, block: &mut [u8], from: u64) -> io::Result<u64> {
    let read = reader.look_at(block, from)?;
    let newline = memchr::memchr(b'\n', block.get(..read).unwrap_or_default());
    Ok(from + newline.map_or(read, |newline| newline + 1) as u64)
}

/// The bytes from a place on, at most a block, and none behind the end. What is left of the block is zeroed.
fn read<'b>(reader: &mut Reader, block: &'b mut [u8], from: u64, end: u64) -> io::Result<&'b [u8]> {
    let length = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(block.len());
    let (wanted, rest) = block.split_at_mut(length);
    rest.fill(0);
    let read = reader.look_at(wanted, from)?;
    wanted.get_mut(read..).unwrap_or_default().fill(0);
    Ok(wanted.get(..read).unwrap_or_default())
}
