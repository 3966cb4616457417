//! Near which time the stamps of an old log are, that have no year.

use std::time::Duration;

use crate::{
    clock::{LogTime, WallTime},
    detect::Detector,
};

/// A file may be written on while it is read, and a logger's clock be wrong by its zone.
const SLACK: Duration = Duration::from_hours(24);
const HALF_A_YEAR: Duration = Duration::from_hours(24 * 365 / 2);

/// Follows the time through the lines of one log, so that each stamp without a year (RFC 3164) can be read as the time nearest
/// to that of the line before.
///
/// The first stamp is taken for the newest time that is not after the file was last written, give or take a day. From there on
/// time goes from line to line, over a New Year and, in the hour that is shown twice when clocks go back, into its second pass.
/// A line that is older than the one before it, as several writers make them, is read as such.
///
/// What cannot be known: the year of a file that was copied a year later without its time (`cp -p` and logrotate keep it), or
/// that begins more than a year before it was last written; the years after a silence of more than half a year; and in the hour
/// that is shown twice the pass of a line that is half an hour or more from the one before it.
///
/// Where stamps have years, none of this matters.
#[derive(Clone, Debug)]
pub struct Chronology {
    written: WallTime,
    near: Option<WallTime>,
    /// The stamp of the last line that was read for its time, to the minute.
    minute: Option<[u8; MINUTE]>,
}

/// The length of `Nov  2 03:04`.
const MINUTE: usize = 12;

impl Chronology {
    /// Of a log that was last written at this time: now, where it comes from a pipe.
    #[must_use]
    pub fn of(written: WallTime) -> Self {
        Self { written, near: None, minute: None }
    }

    /// Near which time a line's stamp is: what [`Detector::handle`] needs to know. To be asked for every line, in their order.
    pub fn near(&mut self, detector: &mut Detector, line: &[u8]) -> WallTime {
        let minute = minute(line);
        // Within a minute nothing changes, so that a busy log costs next to nothing.
        if minute.is_some() && (minute != self.minute || self.near.is_none()) {
            self.minute = minute;
            let mut time = |near| detector.time(line, near);
            let next = match self.near {
                None => self.first(time),
                Some(near) => time(near),
            };
            self.near = next.map(|LogTime(next)| WallTime(next)).or(self.near);
        }
        self.near.unwrap_or(self.written)
    }

    /// The newest time of a first line that is not after the last writing.
    fn first(&self, mut time: impl FnMut(WallTime) -> Option<LogTime>) -> Option<LogTime> {
        let latest = add(self.written, SLACK);
        // To half a year before the latest, the nearest of a stamp's times is the newest that is not after it; but for a leap
        // year's additional day, in half of which it is after it.
        let middle = subtract(latest, HALF_A_YEAR);
        let first = time(middle)?;
        if first.0 > latest.0 { time(subtract(middle, SLACK)) } else { Some(first) }
    }
}

/// The text of a year-less stamp without its seconds, behind a priority if there is one. Of another stamp some of its text; none
/// where a line is too short to have any.
fn minute(line: &[u8]) -> Option<[u8; MINUTE]> {
    let stamp = match line {
        [b'<', rest @ ..] => rest.get(memchr::memchr(b'>', rest.get(..4).unwrap_or(rest))? + 1..)?,
        stamp => stamp,
    };
    stamp.first_chunk().copied()
}

fn add(time: WallTime, duration: Duration) -> WallTime {
    WallTime(time.0.saturating_add(micros(duration)))
}

fn subtract(time: WallTime, duration: Duration) -> WallTime {
    WallTime(time.0.saturating_sub(micros(duration)))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};

    use super::*;

    /// What each line's time is read as, in a log that was last written at `written`. Clocks as in central Europe: back from
    /// 03:00 to 02:00 on 25 October 2026, forward from 02:00 on 28 March 2027.
    fn read(written: &str, lines: &[&str]) -> Vec<String> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut detector = Detector::new(Vec::new(), zone);
        let mut chronology = Chronology::of(WallTime(written.parse::<Timestamp>().unwrap().as_microsecond()));
        let mut time = |stamp: &&str| {
            let line = format!("{stamp} mail postfix/smtpd[4711]: connect from unknown[192.0.2.1]");
            let near = chronology.near(&mut detector, line.as_bytes());
            detector.time(line.as_bytes(), near).unwrap().to_string()
        };
        lines.iter().map(&mut time).collect()
    }

    #[test]
    fn stamps_without_a_year_are_read_in_the_order_of_their_lines() {
        /// A name, when it was last written, and each line's stamp with the time that it means.
        type Log = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
        let table: [Log; 12] = [
            ("today", "2026-11-22T12:00:00Z", &[("Nov 22 12:59:00", "2026-11-22T11:59:00Z")]),
            (
                "over New Year",
                "2027-01-01T01:00:00Z",
                &[("Dec 31 23:59:59", "2026-12-31T22:59:59Z"), ("Jan  1 00:00:00", "2026-12-31T23:00:00Z")],
            ),
            (
                "of eleven months, over New Year",
                "2026-11-22T12:00:00Z",
                &[
                    ("Dec 22 12:00:00", "2025-12-22T11:00:00Z"),
                    ("Mar 22 12:00:00", "2026-03-22T11:00:00Z"),
                    ("Jul 22 12:00:00", "2026-07-22T10:00:00Z"),
                    ("Nov 22 12:00:00", "2026-11-22T11:00:00Z"),
                ],
            ),
            ("older than half a year", "2025-03-01T12:00:00Z", &[("Feb 27 12:00:00", "2025-02-27T11:00:00Z")]),
            ("of a logger a zone ahead", "2026-11-22T12:00:00Z", &[("Nov 23 11:00:00", "2026-11-23T10:00:00Z")]),
            ("later in the year than its end", "2026-11-22T12:00:00Z", &[("Nov 25 12:00:00", "2025-11-25T11:00:00Z")]),
            (
                "over 29 February",
                "2028-03-02T12:00:00Z",
                &[
                    ("Feb 28 12:00:00", "2028-02-28T11:00:00Z"),
                    ("Feb 29 12:00:00", "2028-02-29T11:00:00Z"),
                    ("Mar  1 12:00:00", "2028-03-01T11:00:00Z"),
                ],
            ),
            (
                "from 29 February, ten months later",
                "2028-12-30T12:00:00Z",
                &[("Feb 29 12:00:00", "2028-02-29T11:00:00Z")],
            ),
            (
                "over the hour that is shown twice",
                "2026-10-25T12:00:00Z",
                &[
                    ("Oct 25 02:10:00", "2026-10-25T00:10:00Z"),
                    ("Oct 25 02:59:59", "2026-10-25T00:59:59Z"),
                    ("Oct 25 02:00:00", "2026-10-25T01:00:00Z"),
                    ("Oct 25 02:25:00", "2026-10-25T01:25:00Z"),
                    ("Oct 25 02:50:00", "2026-10-25T01:50:00Z"),
                    ("Oct 25 02:59:59", "2026-10-25T01:59:59Z"),
                    ("Oct 25 03:00:00", "2026-10-25T02:00:00Z"),
                ],
            ),
            (
                "over the hour that is missing",
                "2027-03-28T12:00:00Z",
                &[("Mar 28 01:59:59", "2027-03-28T00:59:59Z"), ("Mar 28 03:00:00", "2027-03-28T01:00:00Z")],
            ),
            (
                "not quite in order, over New Year",
                "2027-01-02T12:00:00Z",
                &[
                    ("Dec 31 23:59:59", "2026-12-31T22:59:59Z"),
                    ("Jan  1 00:00:01", "2026-12-31T23:00:01Z"),
                    ("Dec 31 23:59:58", "2026-12-31T22:59:58Z"),
                    ("Jan  1 00:00:02", "2026-12-31T23:00:02Z"),
                ],
            ),
            (
                "copied later, without its time",
                "2026-11-22T12:00:00Z",
                &[("Dec 31 23:59:59", "2025-12-31T22:59:59Z"), ("Jan  1 00:00:00", "2025-12-31T23:00:00Z")],
            ),
        ];
        for (log, written, lines) in table {
            let (stamps, times): (Vec<_>, Vec<_>) = lines.iter().copied().unzip();
            assert_eq!(read(written, &stamps), times, "{log}");
        }
    }

    #[test]
    fn lines_without_a_time_change_nothing() {
        let mut detector = Detector::new(Vec::new(), TimeZone::UTC);
        let written = WallTime(1_700_000_000_000_000);
        let mut chronology = Chronology::of(written);
        let mut near = |line: &str| chronology.near(&mut detector, line.as_bytes());
        assert_eq!(near("\tat line one of a trace"), written);
        let first = near("<22>Nov 10 00:00:00 mail postfix/smtpd[1]: m");
        assert_eq!(first.to_string(), "2023-11-10T00:00:00Z");
        for line in ["", "Nov 10", "garbage that is long enough", "<22>1 - mail postfix 4711 - - m", "\0\0\0"] {
            assert_eq!(near(line), first, "{line}");
        }
    }
}
