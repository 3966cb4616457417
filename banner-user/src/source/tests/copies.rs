//! Text that was read before and stands in another file now: it is not read again where that can be known, and never live.

use super::*;

/// Lines that fill more than the beginning that a file is known by.
fn many(prefix: &str) -> Vec<String> {
    numbered(&format!("Nov  2 03:04:05 mail postfix/smtpd[77]: {prefix}"), 40)
}

#[test]
fn the_copy_that_copytruncate_makes_is_not_read_again_where_a_pattern_matches_it() {
    for (lines, at_once) in [(many("old"), true), (many("old"), false), (numbered("short", 3), true)] {
        let mut bench = Bench::new(&["log*"]);
        bench.append("log", "");
        bench.poll();
        bench.append("log", text(&lines));
        assert_eq!(bench.read(), lines);
        // Written after the last poll: the copy has it, the file will not.
        bench.append("log", "unread\n");
        fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
        bench.truncate("log");
        bench.append("log", "new\n");
        // The poll that finds the copy finds the file emptied, or one before does.
        let mut read = if at_once { Vec::new() } else { bench.read() };
        bench.pass(Duration::from_secs(1));
        read.extend(bench.read());
        assert_eq!(read, ["unread", "new"]);
    }
}

/// What a rotation names the copy, and whether it compresses it at once.
#[test]
fn what_stands_in_the_copy_and_was_not_read_before_the_truncation_is_read_once_and_first() {
    for (name, is_compressed) in
        [("log.1", false), ("log-20261122", false), ("log.1.gz", true), ("log-20261122.gz", true)]
    {
        for regrown in ["", "new\n", &text(&many("new"))] {
            let mut bench = Bench::with_log();
            bench.append("log", text(&many("old")));
            assert_eq!(bench.read(), many("old"));
            bench.append("log", "unread\nunread too\n");
            let copy = fs::read(bench.path("log")).unwrap();
            if is_compressed {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&copy).unwrap();
                bench.append(name, encoder.finish().unwrap());
            } else {
                bench.append(name, copy);
            }
            bench.truncate("log");
            bench.append("log", regrown);
            let expected = ["unread\n", "unread too\n", regrown].concat();
            assert_eq!(text(&bench.read()), expected, "{name}");
            bench.pass(Duration::from_secs(60));
            bench.append("log", "later\n");
            assert_eq!(bench.read(), ["later"], "{name}");
        }
    }
}

/// `compress` without `delaycompress`: what gzip has written so far is read from the whole copy instead.
#[test]
fn a_copy_that_is_being_compressed_is_read_where_it_is_whole() {
    let mut bench = Bench::with_log();
    bench.append("log", text(&many("old")));
    bench.poll();
    bench.lines.clear();
    bench.append("log", "unread\n");
    fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&fs::read(bench.path("log")).unwrap()).unwrap();
    let packed = encoder.finish().unwrap();
    bench.append("log.1.gz", &packed[..packed.len() / 2]);
    bench.truncate("log");
    assert_eq!(bench.read(), ["unread"]);
}

/// Nothing of it was handed on: its first bytes alone tell that they are gone.
#[test]
fn a_first_line_that_was_not_whole_before_the_truncation_is_read_in_the_copy_and_first() {
    for pattern in ["log", "log*"] {
        let mut bench = Bench::new(&[pattern]);
        bench.append("log", "");
        bench.poll();
        let half = "Nov  2 03:04:05 mail postfix/smtpd[77]: a line of which the logger has written a part";
        bench.append("log", half);
        bench.poll();
        bench.append("log", " and the rest\n");
        fs::copy(bench.path("log"), bench.path("log.1")).unwrap();
        bench.truncate("log");
        bench.append("log", "new\n");
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.read(), [&format!("{half} and the rest"), "new"], "{pattern}");
    }
}

#[test]
fn a_log_that_is_emptied_by_hand_is_not_sought_in_what_was_rotated_before() {
    let mut bench = Bench::with_log();
    bench.append("log.1", text(&many("before")));
    bench.append("log", text(&many("old")));
    bench.poll();
    bench.lines.clear();
    bench.truncate("log");
    bench.append("log", "new\n");
    assert_eq!(bench.read(), ["new"]);
}

#[test]
fn an_edited_file_is_read_again_but_is_not_live_as_far_as_it_was_read() {
    // Saved in place, and as a new file over the path; by an editor that has written little or much when we look.
    for in_place in [true, false] {
        for first in [0, 100, 500] {
            let mut bench = Bench::with_log();
            bench.append("log", text(&many("line")));
            bench.poll();
            bench.lines.clear();
            let edited = text(&many("line")).replace("line 39", "line 3x");
            if in_place {
                bench.truncate("log");
            } else {
                fs::remove_file(bench.path("log")).unwrap();
            }
            bench.append("log", &edited[..first]);
            bench.poll();
            bench.append("log", &edited[first..]);
            bench.append("log", "new\n");
            bench.poll();
            let live: Vec<_> = bench.lines.iter().filter(|line| line.live).map(|line| line.bytes.as_slice()).collect();
            assert_eq!(bench.lines.len(), 41);
            assert_eq!(live, [b"new"], "in place {in_place}, {first} bytes first");
        }
    }
}

#[test]
fn a_copy_that_a_pattern_finds_half_done_is_not_live() {
    let mut bench = Bench::new(&["log*"]);
    bench.append("log", "");
    bench.poll();
    bench.append("log", text(&many("line")));
    bench.poll();
    bench.lines.clear();
    let copy = text(&many("line"));
    bench.append("log.1", &copy[..1000]);
    bench.pass(Duration::from_secs(1));
    bench.poll();
    bench.append("log.1", &copy[1000..]);
    bench.poll();
    assert_eq!(bench.lines.iter().filter(|line| line.live).count(), 0);
}

#[test]
fn positions_of_an_earlier_run_are_taken_up_and_a_line_half_read_is_read_whole() {
    let mut bench = Bench::with_log();
    bench.append("log", text(&many("read")) + "half");
    bench.poll();
    bench.lines.clear();
    let bookmarks: Vec<_> = bench.follower.positions().collect();
    bench.append("log", " and half\nwritten while down\n");
    bench.follow(&["log"]);
    bench.follower.resume(bookmarks, SAVED);
    assert_eq!(bench.read(), ["half and half", "written while down"]);
}

#[test]
fn a_position_inside_an_overlong_line_skips_the_rest_of_it() {
    let mut bench = Bench::with_log();
    bench.append("log", format!("one\n{}", "x".repeat(20_000)));
    bench.poll();
    let bookmarks: Vec<_> = bench.follower.positions().collect();
    bench.lines.clear();
    bench.append("log", "still it\ntwo\n");
    bench.follow(&["log"]);
    bench.follower.resume(bookmarks, SAVED);
    assert_eq!(bench.read(), ["two"]);
}
