//! The systemd journal as a source of lines.
//!
//! ```text
//!   journal files ──> journalctl ──pipe──> entries ──> lines, each with its writer and its position
//!                         ^                   │
//!                         └── started again ──┘  from the entry that was read last, after 0.1 s to 30 s
//! ```
//!
//! `journalctl --follow --output=export` reads the files (see `journalctl` for why it, and not a library): rotation, removal
//! and a restart of journald are its daily business. It is told where to begin by the position of the entry that was handed on
//! last, which comes again and is left out; where another one comes first, the entry was removed meanwhile, and that is told.
//! Without a position reading begins a while ago.
//!
//! A line is what rsyslog would have written of the entry, stamped with the time at which it was sent. What its writer calls
//! itself is anybody's claim; who it was, journald knows from the kernel (`_UID` and the like), and each entry says so:
//! [`Detector::handle_entry`](crate::detect::Detector::handle_entry) believes by that.
//!
//! Bounds: a pipe of 1 MiB, one buffer, one entry; lines are at most [`LINE_MAX`](super::LINE_MAX) long. The journal is the
//! buffer: what is not read yet waits there.
//!
//! Not read: journals of users (nothing in them is a mail server's), of other machines and of units with `LogNamespace=`, and
//! messages of the kernel and of the audit system.
//!
//! What nobody can know: whether something was removed from the journal while reading was that far behind. A reader that is
//! asleep is told of it when it wakes; in one that is awake, journalctl goes on with what is left. journald tells readers of new
//! entries every 250 ms (`POST_CHANGE_TIMER_INTERVAL_USEC`), so `journalctl --rotate --vacuum-files=1` may remove the entries of
//! such a moment unread.

mod accounts;
mod backlog;
mod cursor;
mod export;
mod journalctl;
mod line;
mod notice;
mod probe;
mod suppressed;

use std::{io, mem, ops::Range, path::Path, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until, timeout_at},
};

use self::{
    accounts::Accounts,
    backlog::Beginning,
    export::{Field, Fields, Malformed, Parser},
    journalctl::{Running, Start},
    line::{NoLine, compose},
    suppressed::{Told, suppressed},
};
pub use self::{
    cursor::{JournalPosition, NoPosition},
    journalctl::Journalctl,
    notice::Notice,
    probe::ProbeError,
};
use super::{LATE, Progress};
use crate::{
    clock::{BootTime, Now, WallTime},
    event::{FileId, Position, Writer},
};

/// The word for the journal where a jail names its sources.
pub const JOURNAL: &str = "journal";

/// How much is taken out of the pipe at once.
const BUFFER: usize = 128 << 10;

/// A busy journal wakes at most this often, so that entries are read by the handful.
const SPACING: Duration = Duration::from_millis(1);

/// A quiet one is looked at this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait before journalctl is started again: doubled from one to the other.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Having run for this long, it works.
const STABLE: Duration = Duration::from_secs(10);

/// How long its end may take, once it has closed its output.
const END: Duration = Duration::from_secs(1);

/// One entry of the journal, as a line.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Without a newline; control bytes as rsyslog writes them (`#012`).
    pub bytes: &'a [u8],
    /// [`FileId::JOURNAL`], and the entry's number in place of an offset.
    pub position: Position,
    /// It was written after we began to read, at most [`LATE`] ago.
    pub live: bool,
    /// Who wrote it.
    pub writer: Writer<'a>,
}

/// What was counted since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries that were read, whatever was in them.
    pub entries: u64,
    /// Bytes of the export format.
    pub bytes: u64,
    /// Entries that were too long for a line, and dropped.
    pub overlong: u64,
    /// Messages that journald says it has thrown away, of any unit.
    pub suppressed: u64,
    /// How often the entry that was read last was gone.
    pub gaps: u64,
    /// How often journalctl was started.
    pub starts: u64,
    /// When the last entry was read.
    pub last_entry: Option<BootTime>,
}

/// What the journal's reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// It reads.
    Reading,
    /// It has ended, and is started again after a while.
    Failed,
}

/// Follows the journal. See the [module](self) for what it promises.
#[derive(Debug)]
pub struct Journal {
    journalctl: Journalctl,
    accounts: Accounts,
    beginning: Beginning,
    /// Where to begin without a position.
    since: WallTime,
    /// How far back to begin with a position that says nothing.
    findtime: Duration,
    position: Option<JournalPosition>,
    state: State,
    delay: Duration,
    /// Its failing was told.
    is_failing: bool,
    buffer: Box<[u8]>,
    /// What of the buffer is not read yet.
    pending: Range<usize>,
    parser: Parser,
    line: Vec<u8>,
    progress: Progress,
    polled: Instant,
    suppressed: Told,
    overlong_told: Option<BootTime>,
    counters: Counters,
}

#[derive(Debug)]
enum State {
    /// Nothing runs until then.
    Waiting(Instant),
    Running(Box<Run>),
}

#[derive(Debug)]
struct Run {
    process: Running,
    started: Instant,
    /// What was read before it started: not to be read again.
    read: Option<JournalPosition>,
    /// It was told to begin with that, and has not said anything yet.
    is_expected: bool,
    /// It has closed its output, and must have ended by then.
    ends: Option<Instant>,
}

impl Journal {
    /// Goes on after `position`; without one it begins `findtime` ago. Nothing is started before the first poll.
    #[must_use]
    pub fn new(journalctl: Journalctl, position: Option<JournalPosition>, findtime: Duration, now: Now) -> Self {
        Self {
            journalctl,
            accounts: Accounts::of(Path::new("/etc/passwd")),
            beginning: Beginning::now(),
            since: before(now.wall, findtime),
            findtime,
            position,
            state: State::Waiting(Instant::now()),
            delay: DELAY_MIN,
            is_failing: false,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            pending: 0..0,
            parser: Parser::default(),
            line: Vec::new(),
            progress: Progress::More,
            polled: Instant::now(),
            suppressed: Told::default(),
            overlong_told: None,
            counters: Counters::default(),
        }
    }

    /// Without a position it begins with no entry that is older.
    #[must_use]
    pub fn not_before(self, floor: WallTime) -> Self {
        Self { since: self.since.max(floor), ..self }
    }

    /// Reads the names of accounts again.
    pub fn reload(&mut self, now: Now) {
        self.accounts.read(now.boot);
    }

    /// The entry that was handed on last: what [`Journal::new`] goes on after.
    #[must_use]
    pub fn position(&self) -> Option<JournalPosition> {
        self.position
    }

    /// Whether the journal is read.
    #[must_use]
    pub fn state(&self) -> JournalState {
        if self.is_failing { JournalState::Failed } else { JournalState::Reading }
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns when [`poll`](Self::poll) should be called. It may be dropped before it returns, and loses nothing by that.
    pub async fn wait(&mut self) {
        if self.progress == Progress::More {
            return yield_now().await;
        }
        let (soon, late) = (self.polled + SPACING, self.polled + INTERVAL);
        match &mut self.state {
            State::Waiting(until) => sleep_until(*until).await,
            State::Running(run) => match run.ends {
                // That it takes too long is what the next poll finds.
                Some(ends) => drop(timeout_at(ends, run.process.ended()).await),
                None => {
                    let _ = timeout_at(late, run.process.readable()).await;
                    sleep_until(soon).await;
                }
            },
        }
    }

    /// Reads what is new, about `budget` bytes at most (and at least one entry, if one is there), and hands on the entries in
    /// their order. Never waits. Needs a tokio runtime.
    pub fn poll(
        &mut self,
        now: Now,
        budget: usize,
        sink: &mut dyn FnMut(Entry<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> Progress {
        self.polled = Instant::now();
        self.progress = Progress::Idle;
        if let State::Waiting(until) = self.state
            && until <= self.polled
        {
            self.start(now, notice);
        }
        let is_open = |run: &Run| run.ends.is_none();
        if matches!(&self.state, State::Running(run) if is_open(run)) && self.read(now, budget, sink, notice).is_err() {
            self.end("what it writes is not the journal's export format".to_owned(), notice);
        }
        self.supervise(notice);
        self.progress
    }

    fn start(&mut self, now: Now, notice: &mut dyn FnMut(Notice)) {
        let from = match self.position {
            None => Start::Time(self.since),
            Some(position) if self.beginning.is_in_boot_of(&position) || position.realtime() <= now.wall => {
                Start::Entry(position)
            }
            // Of another boot, when the clock was ahead. Where that boot's journal is gone, systemd looks for entries by the
            // time alone, and would skip all until then.
            Some(_) => Start::Time(before(now.wall, self.findtime)),
        };
        self.counters.starts += 1;
        match self.journalctl.follow(from) {
            Ok(process) => {
                (self.parser, self.pending) = (Parser::default(), 0..0);
                self.state = State::Running(Box::new(Run {
                    process,
                    started: self.polled,
                    read: self.position,
                    is_expected: matches!(from, Start::Entry(_)),
                    ends: None,
                }));
            }
            Err(error) => {
                let program = self.journalctl.program().to_owned();
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                self.fail(Notice::NotStarted { program, error: error.to_string(), is_missing }, notice);
            }
        }
    }

    /// Takes entries out of the pipe.
    fn read(
        &mut self,
        now: Now,
        budget: usize,
        sink: &mut dyn FnMut(Entry<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> Result<(), Malformed> {
        let mut left = budget;
        loop {
            if self.pending.is_empty() {
                let State::Running(run) = &mut self.state else { return Ok(()) };
                match run.process.output.try_read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(0) | Err(_) => {
                        run.ends = Some(self.polled + END);
                        return Ok(());
                    }
                    Ok(length) => self.pending = 0..length,
                }
            }
            let unread = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let mut input = unread;
            let fields = self.parser.next(&mut input);
            let taken = unread.len() - input.len();
            self.pending.start += taken;
            self.counters.bytes = self.counters.bytes.saturating_add(taken as u64);
            left = left.saturating_sub(taken);
            if let Some(fields) = fields? {
                let State::Running(run) = &mut self.state else { return Ok(()) };
                let reading = Reading {
                    run,
                    accounts: &mut self.accounts,
                    beginning: &self.beginning,
                    position: &mut self.position,
                    line: &mut self.line,
                    suppressed: &mut self.suppressed,
                    overlong_told: &mut self.overlong_told,
                    counters: &mut self.counters,
                };
                reading.entry(fields, now, sink, notice)?;
            }
            if left == 0 {
                self.progress = Progress::More;
                return Ok(());
            }
        }
    }

    /// Sees to the process: what it complains about, whether it works, and how it ended.
    fn supervise(&mut self, notice: &mut dyn FnMut(Notice)) {
        let State::Running(run) = &mut self.state else { return };
        run.process.listen();
        let Some(ends) = run.ends else {
            if self.polled - run.started >= STABLE {
                self.delay = DELAY_MIN;
                if mem::take(&mut self.is_failing) {
                    notice(Notice::Resumed);
                }
            }
            // In its first moments it may be about to end: then this is told with that.
            if self.polled - run.started >= INTERVAL
                && let Some(said) = run.process.take_said()
            {
                notice(Notice::Said(said));
            }
            return;
        };
        match run.process.status() {
            Some(status) => self.end(status.to_string(), notice),
            None if ends <= self.polled => self.end("it closed its output".to_owned(), notice),
            None => {}
        }
    }

    fn end(&mut self, how: String, notice: &mut dyn FnMut(Notice)) {
        let State::Running(run) = &mut self.state else { return };
        run.process.stop();
        let said = run.process.take_said();
        self.fail(Notice::Ended { how, said }, notice);
    }

    /// Told once, until it has worked again.
    fn fail(&mut self, why: Notice, notice: &mut dyn FnMut(Notice)) {
        if !mem::replace(&mut self.is_failing, true) {
            notice(why);
        }
        self.state = State::Waiting(self.polled + self.delay);
        self.delay = (self.delay * 2).min(DELAY_MAX);
    }
}

/// Whether reading is so far behind that an entry counts when it was written, not when it is read.
fn is_late(position: &JournalPosition, now: Now) -> bool {
    before(now.wall, LATE) > position.realtime()
}

/// All that one entry changes.
struct Reading<'a> {
    run: &'a mut Run,
    accounts: &'a mut Accounts,
    beginning: &'a Beginning,
    position: &'a mut Option<JournalPosition>,
    line: &'a mut Vec<u8>,
    suppressed: &'a mut Told,
    overlong_told: &'a mut Option<BootTime>,
    counters: &'a mut Counters,
}

impl Reading<'_> {
    fn entry(
        self,
        fields: &Fields,
        now: Now,
        sink: &mut dyn FnMut(Entry<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> Result<(), Malformed> {
        let position = fields.text(Field::Cursor).and_then(|cursor| cursor.parse().ok());
        let position: JournalPosition = position.ok_or(Malformed)?;
        let is_first = mem::take(&mut self.run.is_expected);
        if let Some(read) = &self.run.read {
            if position.is_up_to(read) {
                return Ok(());
            }
            if is_first {
                self.counters.gaps += 1;
                notice(Notice::Vacuumed { from: read.realtime(), to: position.realtime() });
            }
        }
        self.counters.entries += 1;
        self.counters.last_entry = Some(now.boot);
        if let Some((messages, unit)) = suppressed(fields) {
            self.counters.suppressed = self.counters.suppressed.saturating_add(messages);
            self.suppressed.tell(unit, messages, now.boot).into_iter().for_each(notice);
        } else {
            match compose(fields, self.line) {
                Ok(()) => {
                    let uid = fields.text(Field::Uid).and_then(|uid| uid.parse().ok());
                    sink(Entry {
                        bytes: self.line,
                        position: Position { file: FileId::JOURNAL, offset: position.number() },
                        live: self.beginning.is_before(&position) && !is_late(&position, now),
                        writer: Writer {
                            uid,
                            account: uid.and_then(|uid| self.accounts.name(uid, now.boot)),
                            executable: fields.of(Field::Executable),
                            unit: fields.of(Field::Unit),
                        },
                    });
                }
                Err(NoLine::Overlong) => {
                    self.counters.overlong += 1;
                    if self.overlong_told.is_none_or(|told| now.boot - told >= notice::AGAIN) {
                        *self.overlong_told = Some(now.boot);
                        notice(Notice::Overlong { entries: self.counters.overlong });
                    }
                }
                Err(NoLine::Unnamed) => {}
            }
        }
        *self.position = Some(position);
        Ok(())
    }
}

fn before(now: WallTime, time: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
