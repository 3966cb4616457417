//! Which files are followed: named, matched, linked, missing, or not to be read.

use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

use nix::{errno::Errno, sys::stat::Mode};

use super::*;
use crate::source::PatternError;

const NONE: [&str; 0] = [];

#[test]
fn a_missing_file_is_told_once_and_read_from_its_beginning_when_it_appears() {
    let mut bench = Bench::new(&["log", "no/such/directory/log"]);
    for _ in 0..10 {
        bench.poll();
        bench.pass(Duration::from_secs(1));
    }
    let missing = ["log", "no/such/directory/log"].map(|name| Notice::Missing(bench.path(name)));
    assert_eq!(bench.take_notices(), missing);
    assert_eq!(bench.follower.troubles().collect::<Vec<_>>(), missing, "for as long as it lasts");
    assert_eq!(bench.state("log"), FileState::Missing);
    bench.append("log", "1\n2\n");
    assert_eq!(bench.read(), ["1", "2"]);
    assert_eq!(bench.take_notices(), [Notice::Appeared(bench.path("log"))]);
    assert_eq!(bench.state("log"), FileState::Following);
}

#[test]
fn a_file_that_vanishes_is_told_once_each_way_but_not_for_the_moment_of_a_rotation() {
    let mut bench = Bench::with_log();
    bench.take_notices();
    bench.rename("log", "log.1");
    bench.poll();
    bench.pass(Duration::from_millis(1900));
    bench.poll();
    assert_eq!((bench.state("log"), bench.follower.troubles().count()), (FileState::Missing, 0));
    bench.append("log", "");
    bench.poll();
    assert_eq!(bench.take_notices(), [Notice::Rotated(bench.path("log"))]);
    bench.rename("log", "log.2");
    for _ in 0..8 {
        bench.poll();
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.take_notices(), [Notice::Missing(bench.path("log"))]);
    assert_eq!(bench.follower.troubles().collect::<Vec<_>>(), [Notice::Missing(bench.path("log"))]);
    bench.append("log", "");
    bench.poll();
    assert_eq!(bench.follower.troubles().count(), 0);
    assert_eq!(bench.take_notices(), [Notice::Appeared(bench.path("log")), Notice::Rotated(bench.path("log"))]);
}

#[test]
fn only_regular_files_are_read() {
    let mut bench = Bench::new(&["directory", "fifo", "device", "socket"]);
    fs::create_dir(bench.path("directory")).unwrap();
    nix::unistd::mkfifo(&bench.path("fifo"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", bench.path("device")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.path("socket")).unwrap();
    for _ in 0..3 {
        assert_eq!(bench.read(), NONE);
    }
    let names = ["directory", "fifo", "device", "socket"];
    assert_eq!(bench.take_notices(), names.map(|name| Notice::NotRegular(bench.path(name))));
    for name in names {
        assert_eq!(bench.state(name), FileState::NotRegular);
    }
    // It is followed once it is a file.
    fs::remove_file(bench.path("fifo")).unwrap();
    bench.append("fifo", "now a file\n");
    assert_eq!(bench.read(), ["now a file"]);
}

#[test]
fn what_cannot_be_looked_at_is_told_with_the_reason_and_followed_once_it_can() {
    let mut bench = Bench::new(&["log"]);
    symlink("log", bench.path("log")).unwrap(); // Leads to itself: root can read everything else.
    for _ in 0..3 {
        bench.poll();
    }
    assert_eq!(bench.take_notices(), [Notice::Unreadable(bench.path("log"), Errno::ELOOP)]);
    assert_eq!(bench.state("log"), FileState::Unreadable(Errno::ELOOP));
    fs::remove_file(bench.path("log")).unwrap();
    bench.append("log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    assert_eq!(bench.take_notices(), [Notice::Readable(bench.path("log"))]);
}

#[test]
fn a_relative_symlink_to_a_directory_is_followed() {
    let mut bench = Bench::new(&["current/log"]);
    fs::create_dir(bench.path("monday")).unwrap();
    fs::create_dir(bench.path("tuesday")).unwrap();
    symlink("monday", bench.path("current")).unwrap();
    bench.append("monday/log", "");
    bench.poll();
    bench.append("monday/log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    fs::remove_file(bench.path("current")).unwrap();
    symlink("tuesday", bench.path("current")).unwrap();
    bench.append("monday/log", "2\n");
    bench.append("tuesday/log", "3\n");
    assert_eq!(bench.read(), ["2", "3"]);
}

#[test]
fn patterns_are_matched_anew_every_second() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "before us\n");
    bench.poll();
    bench.append("b.log", "1\n");
    bench.append("b.txt", "does not match\n");
    bench.append(".hidden.log", "does not match either\n");
    bench.append("a.log", "0\n");
    assert_eq!(bench.read(), ["0"]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.read(), ["1"]);
    bench.append(".hidden.log", "still not\n");
    assert_eq!(bench.follower.files().count(), 2);
}

#[test]
fn a_pattern_without_a_match_is_told_once_each_way() {
    let mut bench = Bench::new(&["*.log"]);
    for _ in 0..5 {
        bench.poll();
        bench.pass(Duration::from_secs(1));
    }
    let pattern = bench.below(&["*.log"]).remove(0);
    assert_eq!(bench.take_notices(), [Notice::NoMatch(pattern.clone())]);
    assert_eq!(bench.follower.troubles().collect::<Vec<_>>(), [Notice::NoMatch(pattern.clone())]);
    bench.append("a.log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    assert_eq!(bench.take_notices(), [Notice::Appeared(PathBuf::from(pattern))]);
    assert_eq!(bench.follower.troubles().count(), 0);
}

#[test]
fn a_file_name_that_is_not_utf8_is_passed_over() {
    let mut bench = Bench::new(&["*"]);
    let name = std::ffi::OsStr::from_bytes(b"bad-\xff.log");
    fs::write(bench.directory.path().join(name), "1\n").unwrap();
    bench.append("good.log", "");
    bench.poll();
    assert_eq!(bench.follower.files().count(), 1);
}

#[test]
fn directories_that_a_pattern_matches_are_passed_over_silently() {
    let mut bench = Bench::new(&["*"]);
    fs::create_dir(bench.path("directory")).unwrap();
    bench.append("log", "");
    bench.poll();
    assert_eq!(bench.take_notices(), []);
    assert_eq!(bench.follower.files().count(), 1);
}

#[test]
fn a_file_that_several_paths_lead_to_is_read_once_for_all_their_patterns() {
    let mut bench = Bench::new(&["log", "alias", "*.log"]);
    bench.append("log", "");
    symlink("log", bench.path("alias")).unwrap();
    fs::hard_link(bench.path("log"), bench.path("hard.log")).unwrap();
    bench.poll();
    bench.append("alias", "1\n");
    bench.poll();
    let seen = bench.lines.pop().unwrap();
    assert!(bench.lines.is_empty());
    assert_eq!(seen.patterns, [0, 1, 2]);
    let log = bench.status("log").id;
    assert_eq!(seen.file, log.0);
    assert_eq!(bench.state("alias"), FileState::SameAs(log));
}

#[test]
fn a_rotated_file_whose_new_name_matches_is_not_read_again_and_never_closed() {
    let mut bench = Bench::new(&["log*"]);
    bench.append("log", "");
    bench.poll();
    let mut old = bench.open("log");
    old.write_all(b"1\n").unwrap();
    assert_eq!(bench.read(), ["1"]);
    bench.rename("log", "log.1");
    bench.append("log", "2\n");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.read(), ["2"]);
    bench.pass(DRAIN * 10);
    old.write_all(b"3\n").unwrap();
    bench.poll();
    let seen = bench.lines.pop().unwrap();
    assert_eq!(seen.bytes, b"3");
    assert_eq!(bench.follower.path(crate::event::FileId(seen.file)), Some(bench.path("log.1").as_path()));
    assert_eq!((bench.status("log").draining, bench.status("log.1").draining), (0, 0));
}

#[test]
fn what_nothing_leads_to_any_more_is_forgotten() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "");
    bench.append("b.log", "");
    bench.poll();
    fs::remove_file(bench.path("a.log")).unwrap();
    bench.poll();
    assert_eq!(bench.state("a.log"), FileState::Missing);
    bench.pass(DRAIN);
    bench.poll();
    assert_eq!(bench.follower.files().map(|file| file.path.to_owned()).collect::<Vec<_>>(), [bench.path("b.log")]);
    assert_eq!(bench.take_notices(), []);
}

#[test]
fn other_patterns_take_over_without_losing_or_doubling() {
    let mut bench = Bench::new(&["a", "b"]);
    for name in ["a", "b", "c"] {
        bench.append(name, "before us\n");
    }
    bench.poll();
    for name in ["a", "b", "c"] {
        bench.append(name, format!("{name}1\n"));
    }
    bench.follower.configure(bench.below(&["c", "b"])).unwrap();
    bench.poll();
    let patterns: Vec<_> = bench.lines.drain(..).map(|line| (line.bytes, line.patterns)).collect();
    // a is drained, but nobody asks for it; c is followed from now on.
    assert_eq!(patterns, [(b"a1".to_vec(), vec![]), (b"b1".to_vec(), vec![1])]);
    assert_eq!(bench.state("a"), FileState::Draining);
    bench.append("c", "c2\n");
    assert_eq!(bench.read(), ["c2"]);
    bench.pass(DRAIN);
    bench.poll();
    assert_eq!(bench.follower.files().count(), 2);
    // What is wrong changes nothing.
    assert!(bench.follower.configure(vec!["[".to_owned()]).is_err());
    bench.append("b", "b2\n");
    assert_eq!(bench.read(), ["b2"]);
}

#[test]
fn a_pattern_that_cannot_be_followed_is_refused() {
    let syntax = |pattern: &str, at, reason| PatternError::Syntax { pattern: pattern.to_owned(), at, reason };
    for (pattern, expected) in [
        ("", PatternError::Empty),
        ("/var/\0", PatternError::Nul { pattern: "/var/\0".to_owned() }),
        ("/var/log/**/*.log", PatternError::Recursive { pattern: "/var/log/**/*.log".to_owned() }),
        ("/var/log/[ab", syntax("/var/log/[ab", 9, "invalid range pattern")),
    ] {
        assert_eq!(Follower::new(vec![pattern.to_owned()]).unwrap_err(), expected);
    }
}
