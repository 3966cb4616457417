//! Every way in which a log is rotated, with a writer that knows or does not know of it.

use std::time::UNIX_EPOCH;

use super::{restart::Packed, *};
use crate::source::Inode;

const NONE: [&str; 0] = [];

#[test]
fn a_writer_that_keeps_the_renamed_file_is_heard() {
    let mut bench = Bench::with_log();
    let mut old = bench.open("log");
    let mut expected = Vec::new();
    for (number, line) in numbered("line", 200).into_iter().enumerate() {
        match number {
            50 => bench.rename("log", "log.1"),
            100 => bench.append("log", ""),
            150 => old = bench.open("log"),
            _ => {}
        }
        old.write_all(format!("{line}\n").as_bytes()).unwrap();
        expected.push(line);
        if number % 7 == 0 {
            bench.poll();
            bench.pass(Duration::from_millis(250));
        }
    }
    bench.poll();
    assert_eq!(bench.lines.iter().map(|line| String::from_utf8_lossy(&line.bytes)).collect::<Vec<_>>(), expected);
    assert_eq!(bench.status("log").draining, 1);
    assert_eq!(bench.status("log").counters.rotations, 1);
    assert!(bench.notices.contains(&Notice::Rotated(bench.path("log"))));
}

#[test]
fn the_rest_of_the_old_file_comes_before_the_new_one() {
    let mut bench = Bench::with_log();
    bench.append("log", "1\n");
    bench.poll();
    bench.append("log", "2\n");
    bench.rename("log", "log.1");
    bench.append("log", "3\n");
    assert_eq!(bench.read(), ["1", "2", "3"]);
}

#[test]
fn a_new_file_that_is_soon_larger_than_the_old_is_read_from_its_beginning() {
    let mut bench = Bench::with_log();
    bench.append("log", text(&numbered("old", 2)));
    assert_eq!(bench.read(), numbered("old", 2));
    bench.rename("log", "log.1");
    bench.append("log", text(&numbered("new", 98)));
    assert_eq!(bench.read(), numbered("new", 98));
}

#[test]
fn a_file_renamed_over_the_path_is_read_from_its_beginning_and_the_old_one_to_its_end() {
    let mut bench = Bench::with_log();
    let mut old = bench.open("log");
    old.write_all(b"read\n").unwrap();
    assert_eq!(bench.read(), ["read"]);
    old.write_all(text(&numbered("old", 50)).as_bytes()).unwrap();
    bench.append("log.new", text(&numbered("new", 70)));
    bench.rename("log.new", "log");
    old.write_all(b"late\n").unwrap();
    assert_eq!(bench.read(), [numbered("old", 50), vec!["late".to_owned()], numbered("new", 70)].concat());
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_a_new_one_from_its_beginning() {
    let mut bench = Bench::with_log();
    let mut old = bench.open("log");
    old.write_all(b"1\n").unwrap();
    fs::remove_file(bench.path("log")).unwrap();
    old.write_all(b"2\n").unwrap();
    assert_eq!(bench.read(), ["1", "2"]);
    bench.append("log", "3\n");
    old.write_all(b"4\n").unwrap();
    assert_eq!(bench.read(), ["4", "3"]);
}

#[test]
fn an_emptied_file_is_read_from_its_beginning_however_large_it_has_grown() {
    for regrown in [1, 5, 10, 11, 12, 1000] {
        let mut bench = Bench::with_log();
        bench.append("log", text(&numbered("old", 10)));
        assert_eq!(bench.read(), numbered("old", 10));
        bench.truncate("log");
        bench.append("log", text(&numbered("new", regrown)));
        assert_eq!(bench.read(), numbered("new", regrown));
        assert_eq!(bench.status("log").counters.truncations, 1);
        assert!(bench.notices.contains(&Notice::Truncated { path: bench.path("log"), offset: 60 }));
    }
}

#[test]
fn a_line_that_was_being_written_when_its_file_was_emptied_is_never_joined_with_what_follows() {
    let mut bench = Bench::with_log();
    bench.append("log", "whole\npart");
    assert_eq!(bench.read(), ["whole"]);
    bench.truncate("log");
    bench.append("log", "new\n");
    assert_eq!(bench.read(), ["new"]);
    // Also where nothing but that part had been in the file.
    let mut bench = Bench::with_log();
    bench.append("log", "part");
    assert_eq!(bench.read(), NONE);
    bench.truncate("log");
    bench.append("log", "a new line\n");
    assert_eq!(bench.read(), ["a new line"]);
}

#[test]
fn the_hole_that_a_writer_leaves_who_does_not_append_is_skipped() {
    for polled_while_empty in [false, true] {
        let mut bench = Bench::new(&["log"]);
        let mut writer = File::create(bench.path("log")).unwrap();
        bench.poll();
        writer.write_all(text(&numbered("old", 10_000)).as_bytes()).unwrap();
        assert_eq!(bench.read().len(), 10_000);
        bench.truncate("log");
        if polled_while_empty {
            bench.poll();
        }
        writer.write_all(b"first after the hole\nsecond\n").unwrap();
        assert_eq!(bench.read(), ["first after the hole", "second"]);
    }
}

#[test]
fn a_last_line_without_newline_is_dropped_when_its_file_is_closed_and_that_is_told() {
    let mut bench = Bench::with_log();
    bench.append("log", "whole\npart");
    bench.rename("log", "log.1");
    bench.append("log", "new\n");
    assert_eq!(bench.read(), ["whole", "new"]);
    bench.pass(DRAIN - Duration::from_millis(1));
    bench.poll();
    let told = Notice::PartialLineDropped { path: bench.path("log"), bytes: 4 };
    assert!(!bench.notices.contains(&told));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.read(), NONE);
    assert_eq!(bench.notices.iter().filter(|notice| **notice == told).count(), 1);
    assert_eq!(bench.status("log").draining, 0);
}

#[test]
fn an_old_file_is_drained_until_it_was_quiet_for_long_enough() {
    let mut bench = Bench::with_log();
    let mut old = bench.open("log");
    bench.rename("log", "log.1");
    bench.append("log", "");
    bench.poll();
    for round in 0..5 {
        bench.pass(DRAIN - Duration::from_millis(1));
        old.write_all(format!("{round}\n").as_bytes()).unwrap();
        assert_eq!(bench.read(), [round.to_string()]);
    }
    bench.pass(DRAIN);
    assert_eq!(bench.read(), NONE);
    old.write_all(b"too late\n").unwrap();
    assert_eq!(bench.read(), NONE);
}

#[test]
fn a_switched_symlink_is_followed_to_the_other_file_and_back_without_reading_twice() {
    let mut bench = Bench::new(&["log"]);
    let switch = |bench: &Bench, target: &str| {
        std::os::unix::fs::symlink(target, bench.path("link")).unwrap();
        bench.rename("link", "log");
    };
    bench.append("a", "before us\n");
    switch(&bench, "a");
    bench.poll();
    bench.append("a", "a1\n");
    bench.append("b", "b1\n");
    assert_eq!(bench.read(), ["a1"]);
    switch(&bench, "b");
    bench.append("a", "a2\n");
    assert_eq!(bench.read(), ["a2", "b1"]);
    switch(&bench, "a");
    bench.append("a", "a3\n");
    bench.append("b", "b2\n");
    assert_eq!(bench.read(), ["a3", "b2"]);
}

#[test]
fn a_file_that_comes_back_is_read_on_where_it_was_left() {
    for away in [Duration::from_secs(1), DRAIN * 2] {
        let mut bench = Bench::with_log();
        bench.append("log", text(&numbered("line", 10)));
        assert_eq!(bench.read().len(), 10);
        bench.rename("log", "elsewhere");
        bench.poll();
        bench.pass(away);
        bench.poll();
        bench.append("elsewhere", "written while away\n");
        bench.rename("elsewhere", "log");
        assert_eq!(bench.read(), ["written while away"], "{away:?}");
    }
}

#[test]
fn a_new_file_with_the_number_of_an_old_one_is_read_from_its_beginning() {
    let mut bench = Bench::with_log();
    bench.append("log", text(&numbered("old", 3)));
    bench.poll();
    let inode = |bench: &Bench| Inode::from(&fs::metadata(bench.path("log")).unwrap());
    let old = inode(&bench);
    bench.rename("log", "log.1");
    bench.poll();
    bench.pass(DRAIN);
    bench.poll();
    fs::remove_file(bench.path("log.1")).unwrap();
    bench.lines.clear();
    // The same number does not come at once on every file system; what it would do is asked of the bookmark directly.
    bench.append("log", text(&numbered("new", 30)));
    let mut bookmarks: Vec<_> = bench.follower.positions().collect();
    for bookmark in &mut bookmarks {
        assert_eq!(bookmark.inode, old);
        bookmark.inode = inode(&bench);
    }
    assert_eq!(bookmarks.len(), 1);
    bench.follow(&["log"]);
    bench.follower.resume(bookmarks, SAVED);
    bench.rename("log", "log.new");
    bench.poll();
    bench.rename("log.new", "log");
    assert_eq!(bench.read(), numbered("new", 30));
}

/// More than a file's beginning has to tell it from others.
fn long(name: &str) -> String {
    format!("{name}{}", "-".repeat(80))
}

/// What happens to the log between two looks at it, and what is to be read then.
type Between = (&'static str, fn(&Bench), &'static [&'static str]);

#[test]
fn what_came_to_the_path_and_was_rotated_away_between_two_looks_is_read_once() {
    const CASES: [Between; 5] = [
        (
            "twice",
            |bench| {
                bench.rename("log", "log.1");
                bench.append("log", long("b") + "\n");
                bench.rename("log.1", "log.2");
                bench.rename("log", "log.1");
                bench.append("log", long("c") + "\n");
            },
            &["b", "c"],
        ),
        (
            "three times, compressed but for the newest",
            |bench| {
                bench.rename("log", "log.1");
                bench.append("log", long("b") + "\n");
                bench.pack("log.1", Packed::Gz);
                bench.rename("log.1.gz", "log.3.gz");
                bench.rename("log", "log.2");
                bench.pack("log.2", Packed::Gz);
                bench.append("log", long("c") + "\n");
                bench.rename("log", "log.1");
                bench.append("log", long("d") + "\n");
            },
            &["b", "c", "d"],
        ),
        (
            "once, compressed, and it was read before",
            |bench| {
                bench.rename("log", "log.1");
                bench.pack("log.1", Packed::Gz);
                bench.append("log", long("b") + "\n");
            },
            &["b"],
        ),
        (
            "once, and the compressed form is half done",
            |bench| {
                bench.rename("log", "log.1");
                bench.append("log.1.gz", b"\x1f\x8b\x08");
                bench.append("log", long("b") + "\n");
            },
            &["b"],
        ),
        (
            "by dates",
            |bench| {
                bench.rename("log", "log-20261121");
                bench.append("log", long("b") + "\n");
                bench.rename("log", "log-20261122");
                bench.append("log", long("c") + "\n");
            },
            &["b", "c"],
        ),
    ];
    for (case, between, expected) in CASES {
        let mut bench = Bench::new(&["log"]);
        // Rotated before there was a follower: none of its business.
        bench.append("log.9", long("z") + "\n");
        bench.open("log.9").set_modified(UNIX_EPOCH).unwrap();
        bench.append("log", "");
        bench.poll();
        bench.append("log", long("a") + "\n");
        assert_eq!(bench.read(), [long("a")], "{case}");
        between(&bench);
        assert_eq!(bench.read(), expected.iter().map(|name| long(name)).collect::<Vec<_>>(), "{case}");
        // Later rotations find them known.
        for name in ["y", "x"] {
            bench.pass(DRAIN * 2);
            bench.poll();
            bench.rename("log", if name == "y" { "log.8" } else { "log.7" });
            bench.append("log", long(name) + "\n");
            assert_eq!(bench.read(), [long(name)], "{case}");
        }
        assert!(
            !bench.notices.iter().any(|notice| matches!(notice, Notice::Damaged { .. })),
            "{case}: {:?}",
            bench.notices
        );
    }
}
