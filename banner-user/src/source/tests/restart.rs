//! A follower that begins where another one stopped, whatever has happened to the files meanwhile.

use std::{io::Read as _, os::unix::fs::FileExt as _, time::SystemTime};

use super::*;
use crate::source::{Bookmark, BookmarkState};

const NONE: [&str; 0] = [];

/// Lines that fill more than the beginning that a file is known by.
fn many(prefix: &str, count: usize) -> Vec<String> {
    numbered(&format!("Nov  2 03:04:05 mail postfix/smtpd[77]: {prefix}"), count)
}

/// How a rotated log is compressed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packed {
    Gz,
    Xz,
    Zst,
}

impl Bench {
    /// Follows a log that has been read up to here.
    fn with_read(lines: &[String]) -> Self {
        let mut bench = Self::with_log();
        bench.append("log", text(lines));
        bench.poll();
        bench.lines.clear();
        bench.notices.clear();
        bench
    }

    /// What is saved.
    fn saved(&self) -> Vec<Bookmark> {
        self.follower.positions().collect()
    }

    /// Another follower takes over. What is saved comes back as it was stored.
    fn restart(&mut self, patterns: &[&str], bookmarks: Vec<Bookmark>) {
        self.follow(patterns);
        self.follower.resume(bookmarks, SAVED);
        self.pass(Duration::from_secs(5));
    }

    fn stop_and_go(&mut self) {
        let saved = self.saved();
        self.restart(&["log"], saved);
    }

    /// As logrotate does: a new file beside the old, with its time, and the old one is removed.
    pub(super) fn pack(&self, name: &str, packed: Packed) {
        let bytes = fs::read(self.path(name)).unwrap();
        let modified = fs::metadata(self.path(name)).unwrap().modified().unwrap();
        let (extension, bytes) = match packed {
            Packed::Gz => ("gz", gz(&bytes)),
            Packed::Xz => {
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).unwrap();
                encoder.write_all(&bytes).unwrap();
                ("xz", encoder.finish().unwrap())
            }
            Packed::Zst => ("zst", zstd::encode_all(bytes.as_slice(), 3).unwrap()),
        };
        let name_packed = format!("{name}.{extension}");
        self.append(&name_packed, bytes);
        self.open(&name_packed).set_modified(modified).unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    fn assert_nothing_live(&self) {
        assert_eq!(self.lines.iter().filter(|line| line.live).count(), 0);
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What happens to the log while nobody reads, and what is to be read then.
type Meanwhile = (&'static str, fn(&Bench), &'static [&'static str]);

#[test]
fn what_was_written_while_nobody_read_is_read_once_and_in_order() {
    let table: [Meanwhile; 14] = [
        ("nothing", |_| {}, &[]),
        ("it has grown", |bench| bench.append("log", "a1\na2\n"), &["a1", "a2"]),
        (
            "it was rotated",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.1");
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "it was rotated and nothing stands there",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.1");
            },
            &["a1"],
        ),
        (
            "it was rotated to a date",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log-20261122");
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "it was rotated to a name that only its number betrays",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "what.ever");
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "it was rotated three times",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.3");
                bench.append("log.2", "b1\nb2\n");
                bench.append("log.1", "c1\n");
                bench.append("log", "d1\n");
            },
            &["a1", "b1", "b2", "c1", "d1"],
        ),
        (
            "it was rotated three times and compressed, each in its way",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.3");
                bench.append("log.2", "b1\nb2\n");
                bench.append("log.1", "c1\n");
                bench.append("log", "d1\n");
                bench.pack("log.3", Packed::Gz);
                bench.pack("log.2", Packed::Xz);
                bench.pack("log.1", Packed::Zst);
            },
            &["a1", "b1", "b2", "c1", "d1"],
        ),
        (
            "it was emptied, with a copy",
            |bench| {
                bench.append("log", "a1\n");
                fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
                bench.truncate("log");
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "it was emptied, with a copy, twice, and compressed",
            |bench| {
                bench.append("log", "a1\n");
                fs::copy(bench.path("log"), bench.path("log.2")).unwrap();
                bench.truncate("log");
                bench.append("log", "b1\n");
                bench.pack("log.2", Packed::Zst);
                fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
                bench.truncate("log");
                bench.append("log", "c1\n");
            },
            &["a1", "b1", "c1"],
        ),
        (
            "it is just being compressed",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.1");
                let packed = gz(&fs::read(bench.path("log.1")).unwrap());
                bench.append("log.1.gz", &packed[..packed.len() / 2]);
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "one that nobody has seen is just being compressed",
            |bench| {
                bench.append("log", "a1\n");
                bench.rename("log", "log.2");
                bench.append("log.1", text(&many("b", 3)));
                let packed = gz(&fs::read(bench.path("log.1")).unwrap());
                bench.append("log.1.gz", &packed[..packed.len() - 9]);
                bench.append("log", "c1\n");
            },
            &[
                "a1",
                "Nov  2 03:04:05 mail postfix/smtpd[77]: b 0",
                "Nov  2 03:04:05 mail postfix/smtpd[77]: b 1",
                "Nov  2 03:04:05 mail postfix/smtpd[77]: b 2",
                "c1",
            ],
        ),
        (
            "files of an earlier time and of other logs stand beside it",
            |bench| {
                bench.append("log.2", "old\n");
                bench.open("log.2").set_modified(SystemTime::UNIX_EPOCH).unwrap();
                bench.append("log.err", "other\n");
                bench.append("a1", "other\n");
                bench.append("log", "a1\n");
                bench.rename("log", "log.1");
                bench.append("log", "b1\n");
            },
            &["a1", "b1"],
        ),
        (
            "its first bytes are the same, and nothing was rotated",
            |bench| {
                fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
                bench.append("log", "a1\n");
            },
            &["a1"],
        ),
    ];
    for (case, meanwhile, expected) in table {
        for count in [3, 40, 20_000] {
            let mut bench = Bench::with_read(&many("read", count));
            let saved = bench.saved();
            meanwhile(&bench);
            bench.restart(&["log"], saved);
            bench.poll();
            bench.assert_nothing_live();
            let read: Vec<_> = bench.lines.drain(..).map(|line| String::from_utf8(line.bytes).unwrap()).collect();
            assert_eq!(read, expected, "{case}, {count} lines: {:?}", bench.notices);
            let is_told = |notice: &Notice| matches!(notice, Notice::NotFound { .. } | Notice::Damaged { .. });
            assert!(!bench.notices.iter().any(is_told), "{case}: {:?}", bench.notices);
            // Once, also after another restart, and what comes then is live.
            bench.stop_and_go();
            assert_eq!(bench.read(), NONE, "{case}, {count} lines, the second time: {:?}", bench.notices);
            bench.append("log", "");
            bench.poll();
            bench.append("log", "new\n");
            bench.poll();
            assert_eq!(bench.lines.iter().map(|line| line.live).collect::<Vec<_>>(), [true], "{case}");
        }
    }
}

#[test]
fn a_restart_in_the_middle_of_catching_up_goes_on_there() {
    for packed in [None, Some(Packed::Gz), Some(Packed::Xz), Some(Packed::Zst)] {
        let mut bench = Bench::with_read(&many("read", 2_000));
        let saved = bench.saved();
        let (a, b, c) = (many("a", 3_000), many("b", 3_000), many("c", 2_000));
        bench.append("log", text(&a));
        bench.rename("log", "log.2");
        bench.append("log.1", text(&b));
        bench.append("log", text(&c));
        if let Some(packed) = packed {
            bench.pack("log.2", packed);
            bench.pack("log.1", packed);
        }
        bench.restart(&["log"], saved);
        let (mut restarts, mut polls) = (0, 0);
        let mut read_before = 0;
        while bench.poll_once(30_000) == Progress::More {
            polls += 1;
            assert!(polls < 10_000, "{packed:?}: {:?}", bench.notices);
            // What was decompressed before is first skipped.
            if bench.lines.len() == std::mem::replace(&mut read_before, bench.lines.len()) {
                continue;
            }
            // What was saved a moment ago; and each second time a bookmark has to be found under another name.
            let saved = bench.saved();
            bench.restart(&["log"], saved);
            restarts += 1;
            if restarts == 3 && packed.is_none() {
                bench.pack("log.2", Packed::Gz);
            }
        }
        let read: Vec<_> = bench.lines.drain(..).map(|line| String::from_utf8(line.bytes).unwrap()).collect();
        assert!(read == [a, b, c].concat(), "{packed:?}: {} lines, {:?}", read.len(), bench.notices);
        assert!(restarts > 10, "{restarts}");
    }
}

/// Its writer kept it, and nothing that was read of it tells it.
#[test]
fn a_rotated_file_that_was_empty_or_nearly_is_found_though_it_was_filled_and_compressed() {
    for begun in ["", "l"] {
        let mut bench = Bench::with_log();
        bench.append("log", begun);
        bench.rename("log", "log.1");
        bench.append("log", text(&many("read", 40)));
        bench.poll();
        bench.lines.clear();
        let saved = bench.saved();
        bench.append("log.1", &"late\n"[begun.len()..]);
        bench.pack("log.1", Packed::Gz);
        bench.restart(&["log"], saved);
        assert_eq!(bench.read(), ["late"]);
        assert!(!bench.notices.iter().any(|notice| matches!(notice, Notice::NotFound { .. })));
        bench.stop_and_go();
        assert_eq!(bench.read(), NONE);
    }
}

#[test]
fn a_file_whose_first_line_was_not_whole_is_told_of_where_it_is_gone() {
    let mut bench = Bench::with_log();
    bench.append("log", "half");
    bench.poll();
    let saved = bench.saved();
    fs::remove_file(bench.path("log")).unwrap();
    bench.append("log", "new\n");
    bench.restart(&["log"], saved);
    assert_eq!(bench.read(), ["new"]);
    assert_eq!(bench.take_notices()[0], Notice::NotFound { path: bench.path("log"), offset: 0 });
}

#[test]
fn a_file_that_was_being_drained_is_drained_on() {
    let mut bench = Bench::with_read(&many("read", 40));
    let mut writer = bench.open("log");
    bench.rename("log", "log.1");
    bench.append("log", text(&many("new", 40)));
    bench.poll();
    bench.lines.clear();
    let saved = bench.saved();
    writer.write_all(b"late\n").unwrap();
    bench.append("log", "newer\n");
    bench.restart(&["log"], saved);
    assert_eq!(bench.read(), ["late", "newer"]);
    writer.write_all(b"later\n").unwrap();
    assert_eq!(bench.read(), ["later"]);
}

#[test]
fn a_reboot_that_numbers_devices_anew_and_a_number_that_was_given_away_deceive_nobody() {
    let mut bench = Bench::with_read(&many("read", 40));
    let mut saved = bench.saved();
    saved[0].inode.device += 1;
    bench.append("log", "a1\n");
    bench.restart(&["log"], saved.clone());
    assert_eq!(bench.read(), ["a1"]);

    // The number of the log that was read is another file's now, and the log has another.
    bench.append("log.1", text(&many("unseen", 40)));
    saved[0].inode.number =
        fs::metadata(bench.path("log.1")).map(|metadata| crate::source::Inode::from(&metadata)).unwrap().number;
    bench.rename("log", "log.2");
    bench.append("log", "c1\n");
    bench.restart(&["log"], saved);
    assert_eq!(bench.read(), [vec!["a1".to_owned()], many("unseen", 40), vec!["c1".to_owned()]].concat());
}

#[test]
fn what_cannot_be_found_is_told_and_what_stands_there_is_read() {
    let table: [Meanwhile; 4] = [
        ("deleted", |bench| fs::remove_file(bench.path("log")).unwrap(), &[]),
        (
            "emptied",
            |bench| {
                bench.truncate("log");
                bench.append("log", "new\n");
            },
            &["new"],
        ),
        (
            "moved to another directory",
            |bench| {
                fs::create_dir(bench.path("old")).unwrap();
                bench.rename("log", "old/log.1");
                bench.append("log", "new\n");
            },
            &["new"],
        ),
        (
            "compressed, with other bytes before the offset",
            |bench| {
                bench.append("log", "a1\n");
                let file = OpenOptions::new().write(true).open(bench.path("log")).unwrap();
                let read = file.metadata().unwrap().len() - 3;
                file.write_all_at(b"#", read - 20).unwrap();
                bench.rename("log", "log.1");
                bench.pack("log.1", Packed::Gz);
                bench.append("log", "new\n");
            },
            &["new"],
        ),
    ];
    for (case, meanwhile, expected) in table {
        let mut bench = Bench::with_read(&many("read", 40));
        let saved = bench.saved();
        let offset = saved[0].offset;
        meanwhile(&bench);
        bench.restart(&["log"], saved);
        assert_eq!(bench.read(), expected, "{case}");
        let told = Notice::NotFound { path: bench.path("log"), offset };
        assert_eq!(bench.notices.iter().filter(|notice| **notice == told).count(), 1, "{case}: {:?}", bench.notices);
    }
}

#[test]
fn a_compressed_file_that_cannot_be_read_on_is_told_and_what_it_gave_is_kept() {
    let mut bench = Bench::with_read(&many("read", 40));
    let saved = bench.saved();
    bench.append("log", text(&many("a", 50_000)));
    let packed = gz(&fs::read(bench.path("log")).unwrap());
    fs::remove_file(bench.path("log")).unwrap();
    bench.append("log.1.gz", &packed[..packed.len() / 2]);
    bench.append("log", "new\n");
    bench.append("log.2.bz2", "BZh9 something");
    bench.restart(&["log"], saved);
    let read = bench.read();
    let (last, rest) = read.split_last().unwrap();
    assert_eq!(last, "new");
    assert!(rest.len() > 10_000 && many("a", 50_000).starts_with(rest), "{} lines", rest.len());
    let notices = bench.take_notices();
    let damaged = |name: &str| {
        let path = bench.path(name);
        notices.iter().filter(|notice| matches!(notice, Notice::Damaged { path: of, .. } if *of == path)).count()
    };
    assert_eq!((damaged("log"), damaged("log.2.bz2")), (1, 1), "{notices:?}");
    bench.stop_and_go();
    assert_eq!(bench.read(), NONE);
}

#[test]
fn a_log_that_only_a_pattern_matches_is_found_though_its_path_is_empty() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "");
    bench.poll();
    bench.append("a.log", text(&many("read", 40)));
    bench.poll();
    bench.lines.clear();
    let saved = bench.saved();
    bench.append("a.log", "a1\n");
    bench.rename("a.log", "a.log.1");
    bench.restart(&["*.log"], saved);
    assert_eq!(bench.read(), ["a1"]);
}

#[test]
fn rotated_files_that_a_pattern_matches_too_are_read_once() {
    let mut bench = Bench::new(&["log*"]);
    bench.append("log", "");
    bench.poll();
    bench.append("log", text(&many("read", 40)));
    bench.poll();
    bench.lines.clear();
    let saved = bench.saved();
    bench.append("log", "a1\n");
    bench.rename("log", "log.2");
    bench.append("log.1", text(&many("unseen", 2)));
    bench.append("log", "c1\n");
    bench.restart(&["log*"], saved);
    assert_eq!(bench.read(), [vec!["a1".to_owned()], many("unseen", 2), vec!["c1".to_owned()]].concat());
}

#[test]
fn keys_are_kept_through_restarts_and_never_given_twice() {
    let mut bench = Bench::with_read(&many("read", 40));
    let key = bench.saved()[0].key;
    bench.append("log", "a1\n");
    bench.rename("log", "log.1");
    bench.append("log", text(&many("new", 40)));
    bench.stop_and_go();
    bench.poll();
    bench.truncate("log");
    bench.append("log", "again\n");
    bench.poll();
    bench.pass(DRAIN);
    bench.poll();
    let saved = bench.saved();
    let mut keys: Vec<_> = saved.iter().map(|bookmark| bookmark.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), saved.len(), "{saved:?}");
    let states: Vec<_> = saved.iter().map(|bookmark| (bookmark.state, bookmark.key == key)).collect();
    assert!(states.contains(&(BookmarkState::Closed, true)), "{states:?}");
    assert!(states.contains(&(BookmarkState::Emptied, false)), "{states:?}");
    assert!(states.contains(&(BookmarkState::Open, false)), "{states:?}");
}

#[test]
fn how_far_behind_a_file_is_is_told_with_what_is_still_to_be_caught_up() {
    let mut bench = Bench::with_read(&many("read", 40));
    let saved = bench.saved();
    let behind = text(&many("a", 100));
    bench.append("log", &behind);
    bench.rename("log", "log.1");
    bench.append("log", "half");
    bench.restart(&["log"], saved);
    bench.poll_once(1);
    assert_eq!(bench.status("log").behind, behind.len() as u64 + 4);
    bench.poll();
    assert_eq!(bench.status("log").behind, 4);
    let mut half = String::new();
    File::open(bench.path("log")).unwrap().read_to_string(&mut half).unwrap();
    assert_eq!(half, "half");
}
