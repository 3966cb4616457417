//! Where a log is begun that was there before us.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::{clock::LogTime, source::READ_BACK_MAX};

const NOW: WallTime = WallTime(1_700_000_000_000_000);
const WINDOW: Duration = Duration::from_secs(600);

/// A line of so many seconds before now.
fn line(age: i64) -> String {
    format!("{} mail postfix/smtpd[77]: {}\n", NOW.0 / 1_000_000 - age, "x".repeat(60))
}

/// Such a line's time, and none of other lines.
fn time_of(line: &[u8], _near: WallTime) -> Option<LogTime> {
    let seconds: i64 = str::from_utf8(line.get(..10)?).ok()?.parse().ok()?;
    Some(LogTime(seconds * 1_000_000))
}

impl Bench {
    fn remember(&mut self) {
        self.follow(&["log"]);
        self.follower.set_memory(NOW, WINDOW, WallTime(i64::MIN), Box::new(time_of));
    }

    /// The ages of the lines that are read of a log with this text.
    fn remembered(text: impl AsRef<[u8]>) -> Vec<i64> {
        let mut bench = Self::new(&["log"]);
        bench.append("log", text);
        bench.remember();
        bench.poll();
        assert!(bench.lines.iter().all(|line| !line.live));
        assert_eq!(bench.notices, []);
        bench
            .lines
            .iter()
            .map(|line| time_of(&line.bytes, NOW).map_or(-1, |time| (NOW.0 - time.0) / 1_000_000))
            .collect()
    }
}

fn log(ages: impl IntoIterator<Item = i64>) -> String {
    ages.into_iter().map(line).collect()
}

#[test]
fn a_log_is_read_from_its_first_line_within_the_window() {
    for (case, text, expected) in [
        ("empty", String::new(), vec![]),
        ("all within", log((0..600).rev()), (0..600).rev().collect::<Vec<_>>()),
        ("none within", log((601..2000).rev()), vec![]),
        ("a long one", log((0..100_000).rev()), (0..=600).rev().collect()),
        ("just one within", log((600..3000).rev()), vec![600]),
        ("a pause before the end", log((300..5000).rev()), (300..=600).rev().collect()),
        ("no stamps", "no stamp at all\n".repeat(50_000), vec![]),
        ("lines without stamps among others", log((0..9000).rev()).replace('\n', "\n\tat line 1\n"), {
            (0..=600).rev().flat_map(|age| [age, -1]).collect()
        }),
        ("a hole before", "\0".repeat(1_000_000) + &log((0..9000).rev()), (0..=600).rev().collect()),
        ("an hour ahead", log((-3599..9000).rev()), (-3599..=-2995).rev().collect()),
        ("an hour ahead, with pauses", log([0, -1800, -3000, -3599, -3600]), vec![-3000, -3599, -3600]),
        ("a year ahead", log((-40_000_000..-39_990_000).rev()), vec![]),
    ] {
        assert!(Bench::remembered(&text) == expected, "{case}");
    }
}

#[test]
fn lines_out_of_order_neither_lose_others_nor_read_the_whole_log() {
    // Of each hundred one line is a day late, and one is a day ahead.
    let mut ages: Vec<i64> = (0..100_000).rev().collect();
    for (index, age) in ages.iter_mut().enumerate() {
        match index % 100 {
            50 => *age += 86_400,
            70 => *age -= 86_000,
            _ => {}
        }
    }
    let text = log(ages.iter().copied());
    let read = Bench::remembered(text);
    for age in ages.iter().skip(99_400) {
        assert!(read.contains(age), "{age}");
    }
    assert!(read.len() < 2_000, "{}", read.len());
}

#[test]
fn the_last_line_is_read_whole_when_its_newline_comes() {
    let mut bench = Bench::new(&["log"]);
    bench.append("log", log((0..10).rev()) + "half");
    bench.remember();
    assert_eq!(bench.read().len(), 10);
    bench.append("log", " and half\n");
    assert_eq!(bench.read(), ["half and half"]);
}

#[test]
fn of_five_gigabytes_a_few_blocks_are_looked_at_and_no_more_than_the_bound_is_read() {
    let mut bench = Bench::new(&["log"]);
    let file = bench.open("log");
    let size = 5 << 30;
    file.set_len(size).unwrap();
    // Old lines at the beginning, a hole, and the last minutes.
    file.write_all_at(log((50_000..51_000).rev()).as_bytes(), 0).unwrap();
    file.write_all_at(log((0..10_000).rev()).as_bytes(), size).unwrap();
    bench.remember();
    let start = std::time::Instant::now();
    bench.poll();
    let taken = start.elapsed();
    assert_eq!(bench.lines.len(), 601);
    assert!(bench.status("log").counters.bytes < 1 << 20, "{} bytes", bench.status("log").counters.bytes);
    eprintln!("a log of 5 GB: {taken:?}");
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn more_than_the_bound_is_cut_and_told() {
    let mut bench = Bench::new(&["log"]);
    let (mut written, block) = (0, log([1]).repeat(10_000));
    let mut file = bench.open("log");
    while written <= READ_BACK_MAX + 10_000_000 {
        file.write_all(block.as_bytes()).unwrap();
        written += block.len() as u64;
    }
    bench.remember();
    assert_eq!(bench.poll_once(1 << 20), Progress::More);
    assert_eq!(bench.take_notices(), [Notice::MemoryCut { path: bench.path("log"), bytes: READ_BACK_MAX }]);
    let first = &bench.lines[0];
    let behind = written - READ_BACK_MAX;
    assert!((behind..behind + 200).contains(&first.offset), "{} of {written}", first.offset);
    assert_eq!(first.bytes.len() + 1, line(1).len());
}

#[test]
fn what_a_bookmark_knows_is_not_remembered_but_what_is_configured_anew_is() {
    let mut bench = Bench::new(&["log"]);
    bench.append("log", log((0..100).rev()));
    bench.poll();
    let saved: Vec<_> = bench.follower.positions().collect();
    bench.append("log", log([0]));
    bench.append("other", log((0..5000).rev()));
    bench.remember();
    bench.follower.resume(saved, SAVED);
    assert_eq!(bench.read().len(), 1);
    bench.follower.set_memory(NOW, WINDOW, WallTime(i64::MIN), Box::new(time_of));
    let patterns = bench.below(&["log", "other"]);
    bench.follower.configure(patterns).unwrap();
    assert_eq!(bench.read().len(), 601);
}

#[test]
fn nothing_older_than_the_floor_is_remembered() {
    for (floor, read) in [(100, 101), (600, 601), (5000, 601), (0, 1), (-1, 0)] {
        let mut bench = Bench::new(&["log"]);
        bench.append("log", log((0..9000).rev()));
        bench.follow(&["log"]);
        let floor = WallTime(NOW.0 - floor * 1_000_000);
        bench.follower.set_memory(NOW, WINDOW, floor, Box::new(time_of));
        bench.poll();
        assert_eq!(bench.lines.len(), read, "{floor:?}");
    }
}
