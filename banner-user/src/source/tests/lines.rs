//! From bytes to lines: what is whole, what is too long, where it stands, whether it is live.

use super::*;
use crate::source::{LATE, LINE_MAX, file::CHUNK};

#[test]
fn a_line_is_handed_on_when_its_newline_is_there_and_in_one_piece() {
    let mut bench = Bench::with_log();
    for (piece, expected) in [
        ("one", vec![]),
        (" and a half", vec![]),
        ("\ntwo\nthr", vec!["one and a half", "two"]),
        ("ee\n", vec!["three"]),
    ] {
        bench.append("log", piece);
        assert_eq!(bench.read(), expected, "after {piece:?}");
        assert_eq!(bench.read(), Vec::<String>::new(), "a second poll finds nothing new");
    }
}

#[test]
fn bytes_are_handed_on_as_they_are_with_the_place_of_their_first() {
    let mut bench = Bench::with_log();
    let cases: [(&[u8], &[u8]); 6] = [
        (b"plain\n", b"plain"),
        (b"\n", b""),
        (b"windows\r\n", b"windows\r"),
        (b"\xff\xfe\x80 \xc3(\n", b"\xff\xfe\x80 \xc3("),
        (b"nul \0 and escape \x1b[31m\n", b"nul \0 and escape \x1b[31m"),
        (b"last\n", b"last"),
    ];
    let mut offset = 0;
    for (written, expected) in cases {
        bench.append("log", written);
        bench.poll();
        let seen = bench.lines.pop().unwrap();
        assert_eq!((seen.bytes.as_slice(), seen.offset), (expected, offset));
        offset += written.len() as u64;
    }
    assert!(bench.lines.is_empty());
    assert_eq!(bench.status("log").offset, Some(offset));
}

#[test]
fn a_line_longer_than_the_cap_is_dropped_whole_and_counted() {
    for (length, dropped) in
        [(LINE_MAX - 1, false), (LINE_MAX, false), (LINE_MAX + 1, true), (LINE_MAX * 2, true), (CHUNK * 3, true)]
    {
        // Written at once, and in pieces with a poll after each.
        for piece in [usize::MAX, 1000] {
            let mut bench = Bench::with_log();
            let long = "x".repeat(length);
            for bytes in format!("before\n{long}\nafter\n").as_bytes().chunks(piece) {
                bench.append("log", bytes);
                bench.poll();
            }
            let lines = bench.read();
            let expected = if dropped { vec!["before", "after"] } else { vec!["before", &long, "after"] };
            assert!(lines == expected, "{length} bytes in pieces of {piece}: {} lines", lines.len());
            assert_eq!(bench.status("log").counters.overlong, u64::from(dropped));
            let told = Notice::OverlongLine { path: bench.path("log"), offset: 7, bytes: length as u64, lines: 1 };
            assert_eq!(bench.take_notices().contains(&told), dropped);
        }
    }
}

#[test]
fn overlong_lines_are_told_once_a_minute() {
    let mut bench = Bench::with_log();
    bench.take_notices();
    let long = format!("{}\n", "x".repeat(LINE_MAX + 1));
    for _ in 0..5 {
        bench.append("log", &long);
        bench.poll();
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.take_notices().len(), 1);
    bench.pass(Duration::from_secs(60));
    bench.append("log", &long);
    bench.poll();
    assert!(matches!(bench.take_notices().as_slice(), [Notice::OverlongLine { lines: 5, .. }]));
}

#[test]
fn what_was_there_before_us_is_skipped_but_for_the_line_being_written() {
    for (there, offset) in [
        (String::new(), 0),
        ("old\n".to_owned(), 4),
        ("old\npart".to_owned(), 4),
        ("part".to_owned(), 0),
        (format!("{}\n{}", "y".repeat(300), "x".repeat(LINE_MAX - 4)), 301),
    ] {
        let mut bench = Bench::new(&["log"]);
        bench.append("log", &there);
        assert_eq!(bench.read(), Vec::<String>::new());
        bench.append("log", " new\n");
        bench.poll();
        let seen = bench.lines.pop().unwrap();
        assert!(bench.lines.is_empty());
        assert_eq!(seen.offset, offset as u64);
        assert_eq!(seen.bytes, format!("{} new", &there[offset..]).as_bytes());
        assert!(seen.live, "it was completed before our eyes");
    }
}

#[test]
fn the_rest_of_an_overlong_line_that_was_there_before_us_is_no_line() {
    let mut bench = Bench::new(&["log"]);
    bench.append("log", "x".repeat(LINE_MAX + 500));
    bench.poll();
    bench.append("log", "Nov  2 03:04:05 mail postfix/smtpd[1]: forged\ntrue\n");
    assert_eq!(bench.read(), ["true"]);
}

#[test]
fn what_stood_in_a_file_when_it_was_opened_is_not_live() {
    let mut bench = Bench::new(&["log"]);
    bench.poll();
    bench.append("log", "there\nbegun");
    bench.poll();
    bench.append("log", " and done\nnew\n");
    bench.poll();
    let live: Vec<_> = bench.lines.iter().map(|line| (line.bytes.as_slice(), line.live)).collect();
    assert_eq!(live, [(b"there".as_slice(), false), (b"begun and done", true), (b"new", true)]);
}

#[test]
fn a_poll_keeps_to_its_budget_and_no_file_starves() {
    let mut bench = Bench::new(&["flood", "quiet"]);
    bench.append("flood", "");
    bench.append("quiet", "");
    bench.poll();
    bench.append("flood", text(&numbered("flood", 100_000)));
    bench.append("quiet", "quiet\n");
    for _ in 0..3 {
        let before = bench.follower.files().map(|file| file.counters.bytes).sum::<u64>();
        assert_eq!(bench.poll_once(CHUNK), Progress::More);
        let after = bench.follower.files().map(|file| file.counters.bytes).sum::<u64>();
        assert!(after - before <= CHUNK as u64, "{} bytes", after - before);
    }
    assert!(bench.lines.iter().any(|line| line.bytes == b"quiet"));
    bench.poll();
    assert_eq!(bench.lines.len(), 100_001);
}

#[test]
fn what_was_written_while_reading_was_held_up_is_not_live() {
    let mut bench = Bench::with_log();
    let second = Duration::from_secs(1);
    for (pause, live) in [(second, true), (LATE - second, true), (LATE, false), (second, true)] {
        bench.append("log", "line\n");
        bench.pass(pause);
        bench.poll();
        assert_eq!(bench.lines.pop().map(|line| line.live), Some(live), "after {pause:?}");
    }
    // A flood that comes faster than it is read: the end is not reached.
    bench.append("log", "line\n".repeat(10));
    for live in [true, true, true, false, false] {
        bench.poll_once(5);
        assert_eq!(bench.lines.pop().map(|line| line.live), Some(live));
        bench.pass(LATE / 3);
    }
}
