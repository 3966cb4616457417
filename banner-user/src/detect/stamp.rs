//! When a line says that it was written.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use crate::clock::{LogTime, WallTime};

const SECOND: i64 = 1_000_000;
const DAY: u64 = 86_400_000_000;

/// A stamp as it stands in the line; only an event's is worth reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp<'a> {
    /// RFC 3164's `Nov  2 03:04:05`: local time without a year.
    Local([u8; 15]),
    /// RFC 3339's `2026-11-02T03:04:05.123456+01:00`, and ISO 8601's `+0100` in its place.
    Absolute(&'a [u8]),
    /// `2026-11-02 03:04:05`, `2026-11-02 03:04:05.123 +0100`: local time where it has no offset.
    Civil(&'a [u8]),
    /// PHP's `02-Nov-2026 03:04:05 +0100`: local time where it has no offset.
    Bracketed(&'a [u8]),
    /// multilog's label: seconds since 1970 TAI with 2^62 added, and nanoseconds, in hexadecimal.
    Tai64n(&'a [u8; 24]),
    /// Any other, read already: local time where it has no offset.
    Parts(Parts),
    /// RFC 5424's `-`: the logger had no clock.
    Absent,
}

/// A time as a line writes it, of any range: what is none, [`Stamps::resolve`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) year: Option<i16>,
    pub(super) month: i8,
    pub(super) day: i8,
    pub(super) hour: i8,
    pub(super) minute: i8,
    /// 60 is the second after.
    pub(super) second: i8,
    pub(super) micros: i64,
    pub(super) offset: Option<Offset>,
}

/// Turns stamps into times.
#[derive(Debug)]
pub(super) struct Stamps {
    zone: TimeZone,
    minute: Option<Minute>,
}

/// The times that a stamp's minute can mean: one in each of three years, two of them where clocks go back in it.
#[derive(Debug)]
struct Minute {
    /// `Nov  2 03:04`.
    text: [u8; 12],
    /// The time whose neighbouring years `candidates` are in.
    near: WallTime,
    candidates: Vec<i64>,
}

impl Stamps {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, minute: None }
    }

    /// The time that a stamp means. None where it is no stamp at all.
    pub(super) fn resolve(&mut self, stamp: Stamp<'_>, near: WallTime) -> Option<LogTime> {
        match stamp {
            Stamp::Local(text) => self.local(&text, near),
            Stamp::Absolute(text) => rfc3339(text),
            Stamp::Civil(text) => self.civil(text, near),
            Stamp::Bracketed(text) => self.bracketed(text, near),
            Stamp::Tai64n(label) => tai64n(label),
            Stamp::Parts(parts) => self.parts(parts, near),
            Stamp::Absent => Some(near.as_log_time()),
        }
    }

    /// Of the times that the parts can mean, the one nearest to `near`.
    fn parts(&self, parts: Parts, near: WallTime) -> Option<LogTime> {
        let this_year = self.zone.to_datetime(Timestamp::from_microsecond(near.0).ok()?).year();
        let years = match parts.year {
            Some(year) => [Some(year), None, None],
            None => [this_year.checked_sub(1), Some(this_year), this_year.checked_add(1)],
        };
        let minutes = years
            .into_iter()
            .flatten()
            .filter_map(|year| DateTime::new(year, parts.month, parts.day, parts.hour, parts.minute, 0, 0).ok());
        let times = minutes.flat_map(|minute| match parts.offset {
            Some(offset) => offset.to_timestamp(minute).ok().map(Timestamp::as_microsecond).into_iter().collect(),
            None => times_of(&self.zone, minute),
        });
        let times = times.map(|minute| minute + i64::from(parts.second) * SECOND + parts.micros);
        times.min_by_key(|time| time.abs_diff(near.0)).map(LogTime)
    }

    fn civil(&self, text: &[u8], near: WallTime) -> Option<LogTime> {
        let (date, rest) = text.split_first_chunk::<10>()?;
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
        let year = i16::from(two_digits(y1, y2)?) * 100 + i16::from(two_digits(y3, y4)?);
        let date = Date::new(year, two_digits(m1, m2)?, two_digits(d1, d2)?).ok()?;
        self.dated(date, rest.strip_prefix(b" ")?, near)
    }

    fn bracketed(&self, text: &[u8], near: WallTime) -> Option<LogTime> {
        let (date, rest) = text.split_first_chunk::<11>()?;
        let [d1, d2, b'-', m1, m2, m3, b'-', y1, y2, y3, y4] = *date else { return None };
        let year = i16::from(two_digits(y1, y2)?) * 100 + i16::from(two_digits(y3, y4)?);
        let date = Date::new(year, month([m1, m2, m3])?, two_digits(d1, d2)?).ok()?;
        self.dated(date, rest.strip_prefix(b" ")?, near)
    }

    /// `03:04:05`, with a fraction, with `+0100` after a space, on a date. In the hour that is repeated when clocks go back, the
    /// pass nearest to `near`.
    fn dated(&self, date: Date, time: &[u8], near: WallTime) -> Option<LogTime> {
        let ([h1, h2, b':', n1, n2, b':', s1, s2], rest) = time.split_first_chunk()? else { return None };
        let second = two_digits(*s1, *s2).filter(|second| *second <= 60)?;
        let minute = date.at(0, 0, 0, 0).with().hour(two_digits(*h1, *h2)?).minute(two_digits(*n1, *n2)?);
        let minute = minute.build().ok()?;
        let (fraction, rest) = fraction(rest)?;
        let times = match rest {
            [] => times_of(&self.zone, minute),
            [b' ', sign, h1, h2, m1, m2] => {
                vec![offset(&[*sign, *h1, *h2, b':', *m1, *m2])?.to_timestamp(minute).ok()?.as_microsecond()]
            }
            _ => return None,
        };
        let times = times.into_iter().map(|minute| minute + i64::from(second) * SECOND + fraction);
        times.min_by_key(|time| time.abs_diff(near.0)).map(LogTime)
    }

    /// Of the times that a year-less local stamp can mean, the one nearest to `near`: in December's and January's lines the
    /// year that fits, in the hour that is repeated when clocks go back the pass that fits.
    fn local(&mut self, stamp: &[u8; 15], near: WallTime) -> Option<LogTime> {
        let (text, [b':', tens, ones]) = stamp.split_first_chunk::<12>()? else { return None };
        let second = i64::from(two_digits(*tens, *ones).filter(|second| *second <= 60)?) * SECOND;
        // The candidates lie up to a year around; a day's drift of `near` changes which is nearest, not what they are.
        let known = self.minute.take().filter(|known| known.text == *text && known.near.0.abs_diff(near.0) < DAY);
        let known = match known {
            Some(known) => known,
            None => Minute { text: *text, near, candidates: candidates(text, near, &self.zone)? },
        };
        let nearest = known.candidates.iter().map(|minute| minute + second).min_by_key(|time| time.abs_diff(near.0));
        self.minute = Some(known);
        nearest.map(LogTime)
    }
}

fn candidates(minute: &[u8; 12], near: WallTime, zone: &TimeZone) -> Option<Vec<i64>> {
    let [m1, m2, m3, b' ', d1, d2, b' ', h1, h2, b':', n1, n2] = *minute else { return None };
    let month = month([m1, m2, m3])?;
    let day = two_digits(if d1 == b' ' { b'0' } else { d1 }, d2)?;
    let (hour, minute) = (two_digits(h1, h2)?, two_digits(n1, n2)?);
    let near = Timestamp::from_microsecond(near.0).ok()?;
    let this_year = zone.to_datetime(near).year();
    let mut candidates = Vec::new();
    for year in [this_year.checked_sub(1)?, this_year, this_year.checked_add(1)?] {
        // 29 February is no date in most years.
        let Ok(local) = DateTime::new(year, month, day, hour, minute, 0, 0) else { continue };
        candidates.extend(times_of(zone, local));
    }
    Some(candidates)
}

/// The times at which clocks show this.
fn times_of(zone: &TimeZone, local: DateTime) -> Vec<i64> {
    let offsets = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
        // Clocks never show a time in a gap; a logger that does has its zone wrong by that hour.
        AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
    };
    let times = offsets.into_iter().flatten().filter_map(|offset| offset.to_timestamp(local).ok());
    times.map(Timestamp::as_microsecond).collect()
}

/// A TAI64N label (D. J. Bernstein, libtai's `tai64n`). multilog takes TAI to be 10 s ahead of UTC, as at the epoch.
fn tai64n(label: &[u8; 24]) -> Option<LogTime> {
    // from_str_radix would take a sign.
    let label = str::from_utf8(label).ok().filter(|label| label.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let (seconds, nanos) = label.split_at_checked(16)?;
    let seconds = i64::from_str_radix(seconds, 16).ok()?.checked_sub((1 << 62) + 10)?;
    let nanos = i64::from_str_radix(nanos, 16).ok().filter(|nanos| (0..1_000_000_000).contains(nanos))?;
    seconds.checked_mul(SECOND)?.checked_add(nanos / 1_000).map(LogTime)
}

/// RFC 3339, as RFC 5424 narrows it but for the offset's colon: an upper-case `T` and `Z`, a fraction of any length, read to the microsecond.
fn rfc3339(text: &[u8]) -> Option<LogTime> {
    let (whole, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *whole else {
        return None;
    };
    let year = i16::from(two_digits(y1, y2)?) * 100 + i16::from(two_digits(y3, y4)?);
    let second = two_digits(s1, s2).filter(|second| *second <= 60)?;
    // A leap second, which POSIX time does not have, is the second after.
    let (second, leap) = if second == 60 { (59, SECOND) } else { (second, 0) };
    let local = DateTime::new(
        year,
        two_digits(m1, m2)?,
        two_digits(d1, d2)?,
        two_digits(h1, h2)?,
        two_digits(n1, n2)?,
        second,
        0,
    );
    let (fraction, rest) = fraction(rest)?;
    let time = offset(rest)?.to_timestamp(local.ok()?).ok()?;
    Some(LogTime(time.as_microsecond() + fraction + leap))
}

/// `.123456` in microseconds and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
    let micros = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    Some((micros.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')), rest))
}

/// `Z`, `+01:00` or `+0100` (as `journalctl --output=short-iso` writes it), to the end.
pub(super) fn offset(text: &[u8]) -> Option<Offset> {
    let (sign, digits) = match text {
        b"Z" => return Some(Offset::UTC),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let ([h1, h2, b':', m1, m2] | [h1, h2, m1, m2]) = digits else { return None };
    let hours = two_digits(*h1, *h2).filter(|hours| *hours <= 23)?;
    let minutes = two_digits(*m1, *m2).filter(|minutes| *minutes <= 59)?;
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
}

pub(super) fn month(name: [u8; 3]) -> Option<i8> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

pub(super) fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    i8::try_from(digit(tens)? * 10 + digit(ones)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> WallTime {
        WallTime(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn log(text: &str) -> LogTime {
        wall(text).as_log_time()
    }

    /// Central Europe's rules: clocks go back from 03:00 to 02:00 on 25 October 2026, forward from 02:00 on 28 March 2027.
    fn stamps() -> Stamps {
        Stamps::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
    }

    fn local(stamps: &mut Stamps, stamp: &str, near: &str) -> Option<LogTime> {
        stamps.resolve(Stamp::Local(stamp.as_bytes().try_into().unwrap()), wall(near))
    }

    #[test]
    fn a_stamp_without_a_year_is_the_nearest_time() {
        let mut stamps = stamps();
        for (stamp, near, expected) in [
            ("Nov  2 03:04:05", "2026-11-02T03:00:00Z", "2026-11-02T02:04:05Z"),
            ("Nov 02 03:04:05", "2026-11-02T03:00:00Z", "2026-11-02T02:04:05Z"),
            ("Jul  2 03:04:05", "2026-11-02T03:00:00Z", "2026-07-02T01:04:05Z"),
            ("Dec 31 23:59:59", "2027-01-01T00:00:00Z", "2026-12-31T22:59:59Z"),
            ("Jan  1 00:00:10", "2026-12-31T22:59:00Z", "2026-12-31T23:00:10Z"),
            ("Feb 29 12:00:00", "2027-12-01T00:00:00Z", "2028-02-29T11:00:00Z"),
            ("Nov  2 03:04:60", "2026-11-02T03:00:00Z", "2026-11-02T02:05:00Z"),
        ] {
            assert_eq!(local(&mut stamps, stamp, near), Some(log(expected)), "{stamp} near {near}");
        }
    }

    #[test]
    fn the_repeated_hour_takes_the_pass_that_is_near() {
        let mut stamps = stamps();
        assert_eq!(local(&mut stamps, "Oct 25 02:30:00", "2026-10-25T00:31:00Z"), Some(log("2026-10-25T00:30:00Z")));
        assert_eq!(local(&mut stamps, "Oct 25 02:30:00", "2026-10-25T01:29:00Z"), Some(log("2026-10-25T01:30:00Z")));
        // The missing hour, by either offset.
        assert_eq!(local(&mut stamps, "Mar 28 02:30:00", "2027-03-28T00:30:00Z"), Some(log("2027-03-28T00:30:00Z")));
        assert_eq!(local(&mut stamps, "Mar 28 02:30:00", "2027-03-28T01:30:00Z"), Some(log("2027-03-28T01:30:00Z")));
    }

    #[test]
    fn what_was_resolved_for_one_year_is_not_kept_for_another() {
        let mut stamps = stamps();
        assert_eq!(local(&mut stamps, "Nov  2 03:04:05", "2026-11-02T03:00:00Z"), Some(log("2026-11-02T02:04:05Z")));
        assert_eq!(local(&mut stamps, "Nov  2 03:04:06", "2031-11-02T03:00:00Z"), Some(log("2031-11-02T02:04:06Z")));
    }

    #[test]
    fn absolute_stamps_are_read_to_the_microsecond() {
        for (stamp, expected) in [
            ("2026-11-02T03:04:05Z", "2026-11-02T03:04:05Z"),
            ("2026-11-02T03:04:05.123456+01:00", "2026-11-02T02:04:05.123456Z"),
            ("2026-11-02T03:04:05+0100", "2026-11-02T02:04:05Z"),
            ("2026-11-02T03:04:05.123456-0130", "2026-11-02T04:34:05.123456Z"),
            ("2026-11-02T03:04:05.1-09:30", "2026-11-02T12:34:05.1Z"),
            ("2026-11-02T03:04:05.123456789Z", "2026-11-02T03:04:05.123456Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            let resolved = stamps().resolve(Stamp::Absolute(stamp.as_bytes()), WallTime(0));
            assert_eq!(resolved, Some(log(expected)), "{stamp}");
        }
    }

    #[test]
    fn what_servers_write_into_their_own_files_is_read() {
        let near = "2026-11-02T03:00:00Z";
        for (stamp, near, expected) in [
            (Stamp::Civil(b"2026-11-02 03:04:05"), near, "2026-11-02T02:04:05Z"),
            (Stamp::Civil(b"2026-11-02 03:04:05.123"), near, "2026-11-02T02:04:05.123Z"),
            (Stamp::Civil(b"2026-11-02 03:04:05.123 +0530"), near, "2026-11-01T21:34:05.123Z"),
            (Stamp::Civil(b"2026-10-25 02:30:00"), "2026-10-25T00:31:00Z", "2026-10-25T00:30:00Z"),
            (Stamp::Civil(b"2026-10-25 02:30:00"), "2026-10-25T01:29:00Z", "2026-10-25T01:30:00Z"),
            (Stamp::Bracketed(b"02-Nov-2026 03:04:05"), near, "2026-11-02T02:04:05Z"),
            (Stamp::Bracketed(b"02-Nov-2026 03:04:05 -0100"), near, "2026-11-02T04:04:05Z"),
            (Stamp::Tai64n(b"400000006906f5fd1d9f0a2c"), near, "2025-11-02T06:10:59.496962Z"),
        ] {
            assert_eq!(stamps().resolve(stamp, wall(near)), Some(log(expected)), "{stamp:?}");
        }
        for stamp in [
            Stamp::Civil(b"2026-11-02 03:04"),
            Stamp::Civil(b"2026-02-29 03:04:05"),
            Stamp::Civil(b"2026-11-02 24:04:05"),
            Stamp::Civil(b"2026-11-02 03:04:61"),
            Stamp::Civil(b"2026-11-02 03:04:05 +2400"),
            Stamp::Civil(b"2026-11-02 03:04:05 0100 "),
            Stamp::Bracketed(b"02-Foo-2026 03:04:05 +0100"),
            Stamp::Bracketed(b"02-Nov-26 03:04:05 +0100"),
            Stamp::Tai64n(b"000000006906f5fd1d9f0a2c"),
            Stamp::Tai64n(b"400000006906f5fdffffffff"),
            Stamp::Tai64n(b"+4000006906f5fd1d9f0a2c0"),
            Stamp::Tai64n(b"400000006906f5fd+d9f0a2c"),
        ] {
            assert_eq!(stamps().resolve(stamp, wall(near)), None, "{stamp:?}");
        }
    }

    #[test]
    fn parts_are_the_nearest_time_that_they_can_mean() {
        let parts = Parts { year: None, month: 12, day: 31, hour: 23, minute: 59, second: 60, micros: 5, offset: None };
        let leap_day = Parts { month: 2, day: 29, ..parts };
        let dated = Parts { year: Some(2026), ..parts };
        let zoned = Parts { offset: Some(Offset::UTC), ..dated };
        for (parts, near, expected) in [
            (parts, "2027-01-01T00:00:00Z", Some("2026-12-31T23:00:00.000005Z")),
            (leap_day, "2027-01-01T00:00:00Z", Some("2028-02-29T23:00:00.000005Z")),
            (leap_day, "2026-01-01T00:00:00Z", None),
            (dated, "2000-01-01T00:00:00Z", Some("2026-12-31T23:00:00.000005Z")),
            (zoned, "2000-01-01T00:00:00Z", Some("2027-01-01T00:00:00.000005Z")),
            (Parts { month: 13, ..parts }, "2027-01-01T00:00:00Z", None),
            (Parts { hour: 24, ..dated }, "2027-01-01T00:00:00Z", None),
        ] {
            assert_eq!(stamps().resolve(Stamp::Parts(parts), wall(near)), expected.map(log), "{parts:?} near {near}");
        }
    }

    #[test]
    fn without_a_stamp_the_time_of_reading_counts() {
        assert_eq!(stamps().resolve(Stamp::Absent, WallTime(42)), Some(LogTime(42)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for stamp in [
            "Foo  2 03:04:05",
            "Nov 31 03:04:05",
            "Nov  2 24:04:05",
            "Nov  2 03:60:05",
            "Nov  2 03:04:61",
            "Nov  2 03.04.05",
        ] {
            assert_eq!(local(&mut stamps(), stamp, "2026-11-02T03:00:00Z"), None, "{stamp}");
        }
        for stamp in [
            "",
            "2026-11-02",
            "2026-11-02T03:04:05",
            "2026-11-02t03:04:05Z",
            "2026-11-02T03:04:05.Z",
            "2026-11-02T03:04:05,5Z",
            "2026-11-02T03:04:05Zx",
            "2026-11-02T03:04:05+010",
            "2026-11-02T03:04:05+01000",
            "2026-11-02T03:04:05+24:00",
            "2026-13-02T03:04:05Z",
            "2026-02-29T03:04:05Z",
            "2026-11-02T03:04:61Z",
        ] {
            assert_eq!(stamps().resolve(Stamp::Absolute(stamp.as_bytes()), WallTime(0)), None, "{stamp}");
        }
    }
}
