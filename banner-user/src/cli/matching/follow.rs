//! `banner match --follow`: what would count, as it is logged, read as the daemon reads it.
//!
//! ```text
//! poll ──lines──> detector ──events──> output, flushed ──> positions, saved by renaming
//! ```
//!
//! In this order: what is killed in between prints the lines of its last moment again, and loses none.

use std::{
    collections::HashMap,
    io,
    os::fd::AsFd as _,
    path::{self, PathBuf},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    Place,
    filters::Filters,
    positions::{Positions, PositionsError},
    subject::Subject,
};
use crate::{
    cli::{
        Exit, Failure,
        arguments::MatchArguments,
        output::Output,
        render::{self, MatchedListing},
    },
    clock::{BootTime, Now},
    control::protocol::Text,
    detect::Detector,
    event::{Event, FileId},
    source::{Bookmark, Follower, Notice, Progress, Wakeup},
};

/// How much is read before what it says is printed.
const READ_BUDGET: usize = 1 << 20;

/// While lines come, positions are saved this often. (A poll comes at least as often.)
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// Follows until SIGINT, SIGTERM, or nobody reads the output any more.
pub(super) fn run(arguments: &MatchArguments, filters: Filters, output: &mut Output) -> Result<Exit, Failure> {
    let system = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, &format_args!("cannot follow: {error}"));
    let mut follower = Follower::new(paths(arguments)?).map_err(|error| system(&error))?;
    let mut store = None;
    if let Some(file) = &arguments.positions {
        let (positions, saved) = Positions::open(file)?;
        if let Some((bookmarks, at)) = saved {
            follower.resume(bookmarks, at);
        }
        store = Some(Store { positions, bookmarks: Vec::new(), saved_at: None, is_failing: false });
    }
    let listing = MatchedListing::by_offset(filters.filters.iter().map(|filter| filter.name()));
    let following = Following {
        follower,
        detector: Detector::new(filters.filters, filters.zone),
        listing,
        is_json: arguments.json,
        is_told_apart: arguments.subjects.len() > 1,
        lines: HashMap::new(),
        store,
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| system(&error))?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| system(&error))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| system(&error))?;
        following.run(&mut interrupt, &mut terminate, output).await
    })
}

/// The files, by absolute paths: the next run may start elsewhere.
fn paths(arguments: &MatchArguments) -> Result<Vec<String>, Failure> {
    let path = |argument| match Subject::of(argument) {
        Subject::File(path) => {
            let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
            path.into_os_string().into_string().map_err(|path| {
                let path = Text::from(PathBuf::from(path).as_path());
                Failure::new(Exit::Usage, &format_args!("{path} is no UTF-8, and cannot be followed"))
            })
        }
        Subject::StandardInput | Subject::Line(_) => Err(Failure::new(
            Exit::Usage,
            &"--follow needs log files: name them, by patterns if need be ('/var/log/*.log')",
        )),
    };
    arguments.subjects.iter().map(|argument| path(argument.as_os_str())).collect()
}

struct Following {
    follower: Follower,
    detector: Detector,
    listing: MatchedListing,
    is_json: bool,
    /// Rows name the file too, since there are several.
    is_told_apart: bool,
    /// How many lines of each file were read.
    lines: HashMap<FileId, u64>,
    store: Option<Store>,
}

/// What a line says, until it is printed.
struct Said {
    file: FileId,
    line: u64,
    offset: u64,
    events: Vec<Event>,
}

impl Following {
    async fn run(
        mut self,
        interrupt: &mut Signal,
        terminate: &mut Signal,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let mut wakeup = Wakeup::new();
        while !is_unread() {
            let progress = self.read(output)?;
            self.save(Now::read(), progress == Progress::More, output)?;
            if let Some(notice) = wakeup.watch(&self.follower).await {
                warn(&notice, output);
            }
            tokio::select! {
                notice = wakeup.wait(progress) => if let Some(notice) = notice {
                    warn(&notice, output);
                },
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        if let Some(store) = &mut self.store {
            store.write(&self.follower, Now::read())?;
        }
        Ok(Exit::Done)
    }

    /// Reads what is there, and prints what it says.
    fn read(&mut self, output: &mut Output) -> Result<Progress, Failure> {
        let now = Now::read();
        let Self { follower, detector, lines, .. } = self;
        let mut said = Vec::new();
        let progress = follower.poll(
            now.boot,
            READ_BUDGET,
            &mut |line| {
                let number = lines.entry(line.position.file).or_default();
                *number += 1;
                let events = detector.handle(line.bytes, now.wall);
                if !events.is_empty() {
                    let (file, offset) = (line.position.file, line.position.offset);
                    said.push(Said { file, line: *number, offset, events: events.to_vec() });
                }
            },
            &mut |notice| warn(&notice, output),
        );
        for said in &said {
            self.print(said, output)?;
        }
        self.lines.retain(|file, _| self.follower.path(*file).is_some());
        output.flush()?;
        Ok(progress)
    }

    fn print(&mut self, said: &Said, output: &mut Output) -> Result<(), Failure> {
        let file = self.follower.path(said.file).map_or_else(|| Text::from("-"), Text::from);
        let is_named = self.is_json || self.is_told_apart;
        let place = Place { file: is_named.then_some(&file), line: said.line, offset: Some(said.offset) };
        for event in &said.events {
            if !self.is_json {
                let row = self.listing.row(place, event, output.style());
                output.text(&row)?;
            } else if let Some(counted) = render::counted_line(place, event) {
                output.json(&counted)?;
            }
        }
        Ok(())
    }

    /// Saves the positions where they have changed. That it works is seen at the start; where it fails later, printing goes on,
    /// and it is tried again.
    fn save(&mut self, now: Now, is_busy: bool, output: &mut Output) -> Result<(), Failure> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let Some(saved_at) = store.saved_at else { return Ok(store.write(&self.follower, now)?) };
        if now.boot - saved_at < SAVE_EVERY && is_busy {
            return Ok(());
        }
        match store.write(&self.follower, now) {
            Ok(()) => store.is_failing = false,
            Err(error) if !std::mem::replace(&mut store.is_failing, true) => {
                output.note(&format!("warning: {error}; it is tried again"));
            }
            Err(_) => {}
        }
        Ok(())
    }
}

/// Whether nobody can read stdout any more: a pipe without a reader, a terminal that hung up. A file has always a reader.
fn is_unread() -> bool {
    let stdout = io::stdout();
    // Errors are told unasked (poll(2)).
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let told = poll(&mut watched, PollTimeout::ZERO);
    told.is_ok() && watched.iter().any(|watched| watched.any() == Some(true))
}

fn warn(notice: &Notice, output: &mut Output) {
    output.note(&format!("warning: {notice}"));
}

/// Where positions are saved, and what was saved last.
struct Store {
    positions: Positions,
    bookmarks: Vec<Bookmark>,
    saved_at: Option<BootTime>,
    is_failing: bool,
}

impl Store {
    fn write(&mut self, follower: &Follower, now: Now) -> Result<(), PositionsError> {
        let bookmarks: Vec<_> = follower.positions().collect();
        if self.saved_at.is_none() || bookmarks != self.bookmarks {
            self.positions.save(&bookmarks, now.wall)?;
            self.bookmarks = bookmarks;
        }
        self.saved_at = Some(now.boot);
        Ok(())
    }
}

impl From<PositionsError> for Failure {
    fn from(error: PositionsError) -> Self {
        Self::new(Exit::Usage, &error)
    }
}
