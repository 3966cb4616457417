//! The follower against real files in a directory of its own. Time is a value: no test sleeps, but those of the wake-up.

mod bounds;
mod copies;
mod lines;
mod memory;
mod model;
mod paths;
mod restart;
mod rotation;
mod wakeup;

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::PathBuf,
    time::Duration,
};

use super::{DRAIN, FileState, FileStatus, Follower, Notice, Progress};
use crate::clock::{BootTime, WallTime};

/// Long before anything that a test writes: a rotated file that no bookmark knows counts as new.
const SAVED: WallTime = WallTime(1_000_000_000_000_000);

/// A directory, a follower, and what has come out of it.
struct Bench {
    directory: tempfile::TempDir,
    follower: Follower,
    now: BootTime,
    lines: Vec<Seen>,
    notices: Vec<Notice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    file: u32,
    offset: u64,
    patterns: Vec<usize>,
    live: bool,
}

impl Bench {
    /// Follows these paths and patterns below a new directory.
    fn new(patterns: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = Self {
            follower: Follower::new(Vec::new()).unwrap(),
            directory,
            now: BootTime(1_000_000_000_000),
            lines: Vec::new(),
            notices: Vec::new(),
        };
        bench.follow(patterns);
        bench
    }

    /// The same with an empty file `log` that was looked at once.
    fn with_log() -> Self {
        let mut bench = Self::new(&["log"]);
        bench.append("log", "");
        bench.poll();
        bench
    }

    fn follow(&mut self, patterns: &[&str]) {
        self.follower = Follower::new(self.below(patterns)).unwrap();
    }

    fn below(&self, patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|pattern| self.path(pattern).to_str().unwrap().to_owned()).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap()
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.open(name).write_all(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    fn poll_once(&mut self, budget: usize) -> Progress {
        let Self { follower, now, lines, notices, .. } = self;
        follower.poll(
            *now,
            budget,
            &mut |line| {
                lines.push(Seen {
                    bytes: line.bytes.to_vec(),
                    file: line.position.file.0,
                    offset: line.position.offset,
                    patterns: line.patterns.to_vec(),
                    live: line.live,
                });
            },
            &mut |notice| notices.push(notice),
        )
    }

    /// Reads everything that is there.
    fn poll(&mut self) {
        while self.poll_once(1 << 20) == Progress::More {}
    }

    /// Everything read since the last call, as text.
    fn read(&mut self) -> Vec<String> {
        self.poll();
        self.lines.drain(..).map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    fn status(&self, name: &str) -> FileStatus<'_> {
        let path = self.path(name);
        self.follower.files().find(|file| file.path == path).unwrap()
    }

    fn state(&self, name: &str) -> FileState {
        self.status(name).state
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

/// Lines `PREFIX 0` to `PREFIX N-1`.
fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix} {number}")).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
