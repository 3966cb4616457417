//! The follower against a model: a handful of files, a clock, and what must have come out of them.
//!
//! Every line that is written is unlike any other. The model knows what each file holds, whether the follower has it open and
//! how far it has handed it on. Each line that comes out must be the next one of an open file, at its offset: a line that is
//! lost, doubled, broken, invented or out of order has no place. Once a poll has read everything, no open file may hold a line
//! that did not come. What the file system makes impossible is part of the model: what is emptied away before it was read is
//! gone, and a file that was never at a followed path when a poll looked was never there.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::source::{Bookmark, BookmarkState, DRAINING_MAX, Inode, LINE_MAX};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_lost_doubled_broken_or_invented(shape in shape(), steps in vec(step(), 1..100)) {
        let mut world = World::new(shape);
        for step in steps {
            world.take(&step);
        }
        world.settle();
    }
}

/// How the log is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// By its path.
    Named,
    /// By its path, and its rotated files by a pattern.
    Matched,
    /// By its path, which is a symbolic link.
    Linked,
}

#[derive(Clone, Debug)]
enum Step {
    /// The log's writer writes; it opens the log anew if the path is empty.
    Write(Text),
    /// A writer that still has an older file open writes.
    WriteOld(Index, Text),
    /// The log gets another name. Its writer makes a new one at once, or when it writes.
    Rename {
        create: bool,
    },
    /// A new file, perhaps larger than the old one, is renamed over the log.
    RenameOver(Text),
    CopyTruncate,
    Truncate,
    Delete,
    /// An older file is renamed over the log.
    Restore(Index),
    /// The link gets another target, an older or a new one.
    Switch(Option<Index>),
    /// One poll of so many bytes.
    Poll(usize),
    /// Everything is read before and after so many milliseconds.
    Pass(u64),
    /// The follower is gone, and another one begins where it was. What the next steps do, nobody sees until it polls.
    Restart,
    /// An older file is compressed, which is only done while nobody reads it.
    Compress(Index),
}

/// What is written at once: pieces of a length, each with or without the newline that ends a line.
type Text = Vec<(usize, bool)>;

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Named), Just(Shape::Matched), Just(Shape::Linked)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => text().prop_map(Step::Write),
        4 => (any::<Index>(), text()).prop_map(|(index, text)| Step::WriteOld(index, text)),
        2 => any::<bool>().prop_map(|create| Step::Rename { create }),
        1 => text().prop_map(Step::RenameOver),
        1 => Just(Step::CopyTruncate),
        1 => Just(Step::Truncate),
        1 => Just(Step::Delete),
        1 => any::<Index>().prop_map(Step::Restore),
        1 => proptest::option::of(any::<Index>()).prop_map(Step::Switch),
        6 => prop_oneof![1..300usize, Just(1 << 20)].prop_map(Step::Poll),
        4 => prop_oneof![0..2000u64, 29_000..31_000u64].prop_map(Step::Pass),
        2 => Just(Step::Restart),
        2 => any::<Index>().prop_map(Step::Compress),
    ]
}

fn text() -> impl Strategy<Value = Text> {
    let length = prop_oneof![20 => 0..200usize, 1 => LINE_MAX - 40..LINE_MAX + 40, 1 => 0..3 * LINE_MAX];
    vec((length, prop::bool::weighted(0.7)), 1..6)
}

/// A file as the model knows it.
struct Model {
    /// Held open, so that it can be written to under whatever name, and its number is not given away.
    writer: File,
    name: Option<String>,
    content: Vec<u8>,
    /// Up to here everything was handed on, or dropped because it is too long.
    cursor: usize,
    open: Option<OpenFile>,
    /// It is the copy that `copytruncate` made of a file that had been read so far, and was not opened yet.
    copied: Option<usize>,
    /// It is such a copy, and what was read of the original tells it: it is opened once the original is seen to be emptied, in
    /// which poll depends on the budget.
    is_sought: bool,
    /// Since the last poll it was the log.
    was_log: bool,
    /// What its bookmark said at the restart of its first bytes. (Whether it was seen to be emptied depends on the budget.)
    beginning: Option<Box<[u8]>>,
    is_compressed: bool,
}

#[derive(Clone, Copy)]
struct OpenFile {
    read: usize,
    grown: BootTime,
    orphaned: Option<BootTime>,
}

struct World {
    bench: Bench,
    shape: Shape,
    files: Vec<Model>,
    /// The log's file, if the path leads to one.
    log: Option<usize>,
    /// The names that the patterns have matched.
    known: BTreeSet<String>,
    matched_at: Option<BootTime>,
    serial: usize,
    partial_lines_dropped: usize,
    /// A new follower has not polled yet.
    is_restarted: bool,
    has_restarted: bool,
    /// A file came to the log's path and was rotated away between two polls: it may be found beside the next one.
    has_unseen: bool,
    /// Since the last poll an older file came back.
    is_brought_back: bool,
}

impl World {
    fn new(shape: Shape) -> Self {
        let patterns: &[&str] = if shape == Shape::Matched { &["log", "log.*"] } else { &["log"] };
        let mut world = Self {
            bench: Bench::new(patterns),
            shape,
            files: Vec::new(),
            log: None,
            known: BTreeSet::new(),
            matched_at: None,
            serial: 0,
            partial_lines_dropped: 0,
            is_restarted: false,
            has_restarted: false,
            has_unseen: false,
            is_brought_back: false,
        };
        world.create();
        // What was there before us is not read, but for the line that is being written.
        world.write(0, &vec![(100, true), (100, true), (30, false)]);
        let content = &world.files[0].content;
        world.files[0].cursor = content.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        world.settle();
        world
    }

    fn take(&mut self, step: &Step) {
        // What a poll sees at the path is what it was then, whatever becomes of it.
        if let Some(log) = self.log.filter(|log| self.files[*log].copied.is_none()) {
            self.files[log].was_log = true;
        }
        let brings_back = matches!(step, Step::Restore(_) | Step::Switch(_));
        let is_sought = self.files.iter().any(|file| file.is_sought);
        // Where older files come back, it takes more than the model to say what is new, and what stood where.
        let settles = brings_back && (self.is_restarted || is_sought)
            || matches!(step, Step::Restart) && self.is_restarted
            || matches!(step, Step::Restart | Step::CopyTruncate) && self.is_brought_back;
        if settles {
            self.settle();
        }
        self.is_brought_back |= brings_back;
        match step {
            Step::Restart => self.restart(),
            Step::Compress(index) => self.compress(index.index(self.files.len())),
            Step::Write(text) => {
                let log = self.log.unwrap_or_else(|| self.create());
                self.write(log, text);
            }
            Step::WriteOld(index, text) => {
                let old = index.index(self.files.len());
                if !self.files[old].is_compressed {
                    self.write(old, text);
                }
            }
            Step::Poll(budget) => _ = self.poll(*budget),
            Step::Pass(milliseconds) => {
                self.settle();
                self.bench.pass(Duration::from_millis(*milliseconds));
                self.settle();
            }
            Step::Truncate => {
                if let Some(log) = self.log {
                    self.empty(log);
                }
            }
            _ if self.draining() >= DRAINING_MAX => {} // That bound has a test of its own.
            Step::Switch(target) if self.shape == Shape::Linked => {
                let target = target.map(|index| index.index(self.files.len()));
                self.switch(target.filter(|target| self.files[*target].name.is_some()));
            }
            Step::Rename { .. } | Step::RenameOver(_) | Step::Delete | Step::Restore(_)
                if self.shape == Shape::Linked =>
            {
                self.switch(None);
            }
            Step::CopyTruncate => {
                if let Some(log) = self.log {
                    let copy = self.copy(log);
                    let Model { open, cursor, copied, .. } = self.files[log];
                    // What is not open cannot be seen to be emptied; but it may itself be such a copy.
                    self.files[copy].copied = if open.is_some() { Some(cursor) } else { copied };
                    self.files[copy].is_sought = self.is_told(log);
                    // What it is a copy of came to the path and went, or is looked for.
                    self.files[copy].was_log = true;
                    self.empty(log);
                }
            }
            Step::Rename { create } => {
                if let Some(log) = self.log.take() {
                    let name = format!("log.{}", self.next());
                    self.bench.rename("log", &name);
                    self.files[log].name = Some(name);
                    if *create {
                        self.create();
                    }
                }
            }
            Step::RenameOver(text) => {
                let new = self.file("new".to_owned());
                self.write(new, text);
                self.rename_to_log(new);
            }
            Step::Delete => {
                if let Some(log) = self.log.take() {
                    fs::remove_file(self.bench.path("log")).unwrap();
                    self.files[log].name = None;
                }
            }
            Step::Restore(index) => {
                let old = index.index(self.files.len());
                if self.files[old].name.is_some() {
                    self.rename_to_log(old);
                }
            }
            Step::Switch(_) => {}
        }
    }

    fn next(&mut self) -> usize {
        self.serial += 1;
        self.serial
    }

    fn file(&mut self, name: String) -> usize {
        self.files.push(Model {
            writer: self.bench.open(&name),
            name: Some(name),
            content: Vec::new(),
            cursor: 0,
            open: None,
            copied: None,
            is_sought: false,
            was_log: false,
            beginning: None,
            is_compressed: false,
        });
        self.files.len() - 1
    }

    fn create(&mut self) -> usize {
        if self.shape == Shape::Linked {
            self.switch(None);
            return self.log.unwrap();
        }
        let log = self.file("log".to_owned());
        self.log = Some(log);
        log
    }

    fn switch(&mut self, target: Option<usize>) {
        let target = target.unwrap_or_else(|| {
            let name = format!("target.{}", self.next());
            self.file(name)
        });
        std::os::unix::fs::symlink(self.files[target].name.as_ref().unwrap(), self.bench.path("link")).unwrap();
        self.bench.rename("link", "log");
        self.log = Some(target);
    }

    fn rename_to_log(&mut self, file: usize) {
        let name = self.files[file].name.replace("log".to_owned()).unwrap();
        if name != "log" {
            self.bench.rename(&name, "log");
            if let Some(old) = self.log.replace(file) {
                self.files[old].name = None;
            }
        }
    }

    fn copy(&mut self, log: usize) -> usize {
        let name = format!("log.{}", self.next());
        let copy = self.file(name);
        let content = self.files[log].content.clone();
        self.files[copy].writer.write_all(&content).unwrap();
        self.files[copy].content = content;
        copy
    }

    /// Whether the follower has read enough of what a file holds to know it again.
    fn is_told(&self, file: usize) -> bool {
        let Model { writer, content, .. } = &self.files[file];
        let inode = Inode::from(&writer.metadata().unwrap());
        let is_it = |bookmark: &Bookmark| bookmark.inode == inode && bookmark.state == BookmarkState::Open;
        let mut positions = self.bench.follower.positions().filter(is_it);
        positions.any(|bookmark| bookmark.tells() && content.starts_with(&bookmark.beginning))
    }

    fn empty(&mut self, file: usize) {
        let file = &mut self.files[file];
        file.writer.set_len(0).unwrap();
        file.content.clear();
        file.cursor = 0;
        file.copied = None;
        if let Some(open) = &mut file.open {
            open.read = usize::MAX;
        }
    }

    fn write(&mut self, file: usize, text: &Text) {
        let mut bytes = Vec::new();
        for (length, ends) in text {
            // No 64 bytes occur twice, and no line.
            let mark = format!("<{}>", self.next());
            bytes.extend(mark.bytes().cycle().take(length + mark.len()));
            if *length % 7 == 0 {
                bytes.push(0xff);
            }
            if *ends {
                bytes.push(b'\n');
            }
        }
        let file = &mut self.files[file];
        file.writer.write_all(&bytes).unwrap();
        file.content.extend(bytes);
    }

    fn draining(&self) -> usize {
        // Those that will be when they are looked at, too.
        let is_open = |file: &Model| file.open.is_some() || file.is_sought;
        self.files.iter().enumerate().filter(|(index, file)| is_open(file) && Some(*index) != self.log).count()
    }

    fn restart(&mut self) {
        if self.shape == Shape::Matched {
            // Files that the pattern has not met yet would be skipped to their ends, as what was there before us is.
            self.settle();
            self.bench.pass(Duration::from_secs(1));
            self.settle();
        }
        let saved: Vec<_> = self.bench.follower.positions().collect();
        let patterns: &[&str] = if self.shape == Shape::Matched { &["log", "log.*"] } else { &["log"] };
        self.bench.follow(patterns);
        self.bench.follower.resume(saved.clone(), SAVED);
        self.is_restarted = true;
        self.has_restarted = true;
        for file in &mut self.files {
            let inode = Inode::from(&file.writer.metadata().unwrap());
            let mut open = saved.iter().filter(|bookmark| bookmark.state == BookmarkState::Open);
            file.beginning = open.find(|bookmark| bookmark.inode == inode).map(|bookmark| bookmark.beginning.clone());
            if file.is_compressed && file.open.is_some() {
                file.beginning = Some(Box::default()); // Under its own number, and no more to be changed.
            }
        }
        self.matched_at = None;
    }

    fn compress(&mut self, file: usize) {
        let is_log = self.log == Some(file);
        let file = &mut self.files[file];
        let is_unread = file.open.is_some() && file.is_bookmarked() || file.was_log || file.is_sought;
        let Some(name) = file.name.clone().filter(|name| name.starts_with("log.")) else { return };
        if is_log || !self.is_restarted || !is_unread || self.shape == Shape::Matched {
            return;
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&file.content).unwrap();
        let modified = fs::metadata(self.bench.path(&name)).unwrap().modified().unwrap();
        let packed = format!("{name}.gz");
        self.bench.append(&packed, encoder.finish().unwrap());
        self.bench.open(&packed).set_modified(modified).unwrap();
        fs::remove_file(self.bench.path(&name)).unwrap();
        file.name = None;
        file.is_compressed = true;
    }

    /// What a new follower has open in its first poll.
    fn find(&mut self) {
        let now = self.bench.now;
        for (index, file) in self.files.iter_mut().enumerate() {
            let is_there = file.name.is_some() || file.is_compressed;
            let is_rotated = file.is_compressed || file.name.as_ref().is_some_and(|name| name.starts_with("log."));
            let is_new = (file.was_log || file.is_sought) && (is_rotated || self.log == Some(index));
            let is_known =
                file.open.is_some() && file.is_bookmarked() && (file.name.is_some() || !file.content.is_empty());
            let is_empty = file.content.is_empty() && self.log != Some(index);
            let opened = OpenFile { read: usize::MAX, grown: now, orphaned: None };
            file.open = (is_there && (is_known || is_new && !is_empty)).then_some(opened);
            if file.open.is_some() {
                file.cursor = file.cursor.max(file.copied.take().unwrap_or(0));
            }
        }
    }

    /// What the follower has open in its next poll.
    fn look(&mut self) {
        let now = self.bench.now;
        self.is_brought_back = false;
        if std::mem::take(&mut self.is_restarted) {
            self.find();
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            file.was_log = self.log == Some(index) && file.copied.is_none();
        }
        let is_rotated = |file: &Model| file.name.as_ref().is_some_and(|name| name.starts_with("log."));
        let is_unseen =
            |file: &Model| file.open.is_none() && file.cursor == 0 && !file.content.is_empty() && !file.is_sought;
        self.has_unseen |= self.files.iter().any(|file| is_rotated(file) && is_unseen(file));
        if self.shape == Shape::Matched && self.matched_at.is_none_or(|at| now - at >= Duration::from_secs(1)) {
            self.matched_at = Some(now);
            let names = self.files.iter().filter_map(|file| file.name.clone());
            self.known.extend(names.filter(|name| name.starts_with("log.")));
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            let is_known = file.name.as_ref().is_some_and(|name| self.known.contains(name));
            let is_followed = self.log == Some(index) || is_known;
            match &mut file.open {
                Some(open) if is_followed => open.orphaned = None,
                Some(open) => _ = open.orphaned.get_or_insert(now),
                None if is_followed => {
                    file.open = Some(OpenFile { read: 0, grown: now, orphaned: None });
                    if let Some(copied) = file.copied.take() {
                        file.cursor = file.cursor.max(copied);
                    }
                }
                None => {}
            }
        }
    }

    fn poll(&mut self, budget: usize) -> Progress {
        self.look();
        let progress = self.bench.poll_once(budget);
        for seen in std::mem::take(&mut self.bench.lines) {
            let next =
                |file: &Model| file.open.is_some() && file.next_line() == Some((seen.offset, seen.bytes.as_slice()));
            // What a poll never saw, or nothing whole in it, and a restart or the next rotation finds.
            let found = |file: &Model| {
                // It may have lost its name since it was found.
                let is_unseen = file.open.is_none() && file.cursor == 0;
                let next = file.line_behind(file.copied.unwrap_or(0));
                (self.has_restarted || self.has_unseen || file.is_sought)
                    && is_unseen
                    && next == Some((seen.offset, seen.bytes.as_slice()))
            };
            if !self.files.iter().any(next)
                && let Some(file) = self.files.iter_mut().find(|file| found(file))
            {
                let now = self.bench.now;
                file.open = Some(OpenFile { read: usize::MAX, grown: now, orphaned: Some(now) });
                file.cursor = file.copied.take().unwrap_or(0);
            }
            let Some(file) = self.files.iter_mut().find(|file| next(file)) else {
                panic!("no file holds this next: {seen:?}\n{}", self.describe());
            };
            file.cursor = usize::try_from(seen.offset).unwrap() + seen.bytes.len() + 1;
        }
        progress
    }

    /// Polls until everything is read.
    fn settle(&mut self) {
        while self.poll(1 << 20) == Progress::More {}
        let now = self.bench.now;
        for file in &mut self.files {
            if std::mem::take(&mut file.is_sought) && file.open.is_none() {
                file.cursor = file.copied.take().unwrap();
                file.open = Some(OpenFile { read: usize::MAX, grown: now, orphaned: Some(now) });
            }
        }
        for file in self.files.iter().filter(|file| file.open.is_some()) {
            assert_eq!(file.next_line(), None, "lost, of {:?}\n{}", file.name, self.describe());
        }
        for file in &mut self.files {
            let Some(open) = &mut file.open else { continue };
            if file.content.len() != open.read {
                open.grown = now;
                open.read = file.content.len();
            }
            let quiet_since = open.orphaned.map(|orphaned| orphaned.max(open.grown));
            if file.is_compressed || quiet_since.is_some_and(|since| now - since >= DRAIN) {
                file.open = None;
                self.partial_lines_dropped += usize::from(file.content.last().is_some_and(|byte| *byte != b'\n'));
            }
        }
        let told = self.bench.notices.iter().filter(|notice| matches!(notice, Notice::PartialLineDropped { .. }));
        let told = told.count();
        // Files without a single line may be found, which are closed, too.
        let may_find = self.has_restarted || self.has_unseen;
        let is_right = if may_find { told >= self.partial_lines_dropped } else { told == self.partial_lines_dropped };
        assert!(is_right, "{told} of {} told\n{}", self.partial_lines_dropped, self.describe());
    }

    fn describe(&self) -> String {
        let files = self.files.iter().enumerate();
        files
            .map(|(index, Model { name, content, cursor, open, .. })| {
                let open = open.map(|open| open.orphaned.is_none());
                format!("{index}: {name:?} {} bytes, {cursor} handed on, open and followed {open:?}\n", content.len())
            })
            .collect()
    }
}

impl Model {
    /// It is as its bookmark says, or has grown.
    fn is_bookmarked(&self) -> bool {
        self.beginning.as_ref().is_some_and(|beginning| self.content.starts_with(beginning))
    }

    /// The next line that is whole and not too long, with its offset.
    fn next_line(&self) -> Option<(u64, &[u8])> {
        self.line_behind(self.cursor)
    }

    fn line_behind(&self, mut offset: usize) -> Option<(u64, &[u8])> {
        loop {
            let rest = &self.content[offset..];
            let length = rest.iter().position(|byte| *byte == b'\n')?;
            if length <= LINE_MAX {
                return Some((offset as u64, &rest[..length]));
            }
            offset += length + 1;
        }
    }
}
