use jiff::{Timestamp, tz::TimeZone};

use super::{super::super::stamp::Stamps, *};
use crate::clock::WallTime;

/// The time and what is left of a line.
fn read(patterns: &[&str], line: &str) -> Option<(String, String)> {
    let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let dated = Dates::compile(&patterns).unwrap().find(line.as_bytes())?;
    let near = WallTime("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond());
    let time = Stamps::new(TimeZone::UTC).resolve(dated.stamp, near)?;
    let time = Timestamp::from_microsecond(time.0).unwrap();
    Some((time.to_string(), format!("{}{}", &line[..dated.start], &line[dated.end..])))
}

#[test]
fn the_usual_times_are_cut_out_of_a_line() {
    for (line, time, rest) in [
        ("Nov  2 03:04:05 mail x: m", "2026-11-02T03:04:05Z", " mail x: m"),
        ("Nov 2 03:04:05 mail x: m", "2026-11-02T03:04:05Z", " mail x: m"),
        ("2026-11-02T03:04:05.5+01:00 mail x: m", "2026-11-02T02:04:05.5Z", " mail x: m"),
        ("2026-11-02T03:04:05 mail x: m", "2026-11-02T03:04:05Z", " mail x: m"),
        ("2026-11-02 03:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("2026-11-02  3:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("2026-11-02 03:04:05 +01:00 m", "2026-11-02T02:04:05Z", " m"),
        ("2026-11-02 03:04:05: m", "2026-11-02T03:04:05Z", ": m"),
        ("2026-11-02 03:04:05,5 m", "2026-11-02T03:04:05.5Z", " m"),
        ("2026-11-02 03:04:05.5 +0100 m", "2026-11-02T02:04:05.5Z", " m"),
        ("2026/11/02 03:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("[2026-11-02 03:04:05]m", "2026-11-02T03:04:05Z", "[]m"),
        ("[02-Nov-2026 03:04:05 +0100]: m", "2026-11-02T02:04:05Z", "[]: m"),
        ("[02/Nov/2026:03:04:05 +0100] m", "2026-11-02T02:04:05Z", "[] m"),
        ("Mon Nov  2 03:04:05 2026 - m", "2026-11-02T03:04:05Z", " - m"),
        ("Nov  2 03:04:05 2025 m", "2025-11-02T03:04:05Z", " m"),
        ("02-11-2026 03:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("02/11/26 03:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("Nov-02-26 03:04:05 m", "2026-11-02T03:04:05Z", " m"),
        ("Nov 2, 2026 3:04:05 PM m", "2026-11-02T15:04:05Z", " m"),
        ("20261102 030405 m", "2026-11-02T03:04:05Z", " m"),
        ("@400000006726d2f51d9f0a2c m", "2024-11-03T01:33:31.496962Z", " m"),
        ("[1:2] 2026-11-02 03:04:05 m", "2026-11-02T03:04:05Z", "[1:2]  m"),
    ] {
        assert_eq!(read(&[], line), Some((time.to_owned(), rest.to_owned())), "{line}");
    }
    for line in ["", "m", "Foo  2 03:04:05 mail x: m", "Nov 42 03:04:05 m", "a2026-11-02 03:04:05 m"] {
        assert_eq!(read(&[], line), None, "{line}");
    }
    assert_eq!(read(&["{^LN-BEG}"], "[1:2] 2026-11-02 03:04:05 m"), None);
}

#[test]
fn patterns_of_a_filter_are_read() {
    for (pattern, line, time, rest) in [
        ("^%m/%d/%Y %H:%M:%S", "10/06/2026 15:50:41 m", "2026-10-06T15:50:41Z", " m"),
        (r"^\[%d/%b/%Y %H:%M:%S\]", "[17/Jun/2026 17:00:45] m", "2026-06-17T17:00:45Z", " m"),
        ("^<co ts=\"{DATE}\"\\s+", "<co ts=\"2026-06-02T22:02:13.94\" m", "2026-06-02T22:02:13.94Z", "m"),
        ("^a-b - ({DATE})", "a-b - 2026-01-13T05:02:22+00:00 m", "2026-01-13T05:02:22Z", "a-b -  m"),
        (
            "{^LN-BEG}%ExY(?P<_sep>[-/.])%m(?P=_sep)%d[T ]%H:%M:%S(?:[.,]%f)?(?:\\s*%z)?",
            "2026.11.02 03:04:05,5 m",
            "2026-11-02T03:04:05.5Z",
            " m",
        ),
        (r"^<\d+>\d+\s+{DATE}", "<22>1 2026-11-02T03:04:05Z m", "2026-11-02T03:04:05Z", " m"),
    ] {
        assert_eq!(read(&[pattern], line), Some((time.to_owned(), rest.to_owned())), "{pattern}");
    }
}

#[test]
fn patterns_that_need_more_are_refused_by_name() {
    for (pattern, part) in [
        ("{NONE}", "{NONE}"),
        ("EPOCH", "EPOCH"),
        ("^{LEPOCH}", "^{LEPOCH}"),
        ("^%H:%M:%S", "%H:%M:%S"),
        ("^%Z %b %d %H:%M:%S", "%Z"),
        ("time", "time"),
    ] {
        let refused = Dates::compile(&[pattern.to_owned()]).unwrap_err();
        let ImportRefused::Date { place: Place::Datepattern(1), part: found, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(found, part, "{pattern}");
    }
}
