//! Durations as operators write and read them: `10m`, `1h30m`, `1d`, or whole seconds.

use std::{fmt, time::Duration};

use jiff::{Span, SpanRelativeTo, fmt::friendly::SpanParser};

/// The shortest duration that can be configured.
pub const MIN: Duration = Duration::from_secs(1);
/// The longest: ten years of 365 days. Who wants longer wants `permanent`.
pub const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not in the format.
    #[error("not a duration")]
    Unreadable,
    /// With months or years, whose length depends on when they begin.
    #[error("months and years differ in length")]
    Calendar,
    /// Below [`MIN`] or above [`MAX`].
    #[error("a duration is at least 1 second and at most 10 years")]
    OutOfRange,
}

impl DurationError {
    /// What to write instead.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Unreadable => "write `10m`, `1h30m`, `1d`, or seconds as a number",
            Self::Calendar => "write days: `30d`, `365d`",
            Self::OutOfRange => "expected `1s` to `3650d`",
        }
    }
}

/// Reads `10m`, `1h30m`, `1h 30m`, `2 weeks`, `01:30:00` (jiff's "friendly" format) or digits alone, which are seconds as in
/// fail2ban. A day has 24 hours.
///
/// # Errors
/// Where the text is no duration, has a unit without a fixed length, or is not within [`MIN`] and [`MAX`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only by being too many.
        return text.parse().map_err(|_| DurationError::OutOfRange).and_then(from_seconds);
    }
    let span = SpanParser::new().parse_span(text).map_err(|_| DurationError::Unreadable)?;
    if has_calendar_units(&span) {
        return Err(DurationError::Calendar);
    }
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| DurationError::OutOfRange)?;
    Duration::try_from(signed).map_err(|_| DurationError::OutOfRange).and_then(within_bounds)
}

/// A number of seconds within the bounds.
///
/// # Errors
/// [`DurationError::OutOfRange`].
pub fn from_seconds(seconds: u64) -> Result<Duration, DurationError> {
    within_bounds(Duration::from_secs(seconds))
}

fn has_calendar_units(span: &Span) -> bool {
    span.get_years() != 0 || span.get_months() != 0
}

fn within_bounds(duration: Duration) -> Result<Duration, DurationError> {
    if (MIN..=MAX).contains(&duration) { Ok(duration) } else { Err(DurationError::OutOfRange) }
}

/// Shows a duration to the second, as [`parse`] reads it: `9m 12s`, `1d 2h`, `0s`. What is below a second is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds == 0 {
            return f.write_str("0s");
        }
        let parts =
            [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
        for (index, (count, unit)) in parts.into_iter().filter(|(count, _)| *count != 0).enumerate() {
            write!(f, "{}{count}{unit}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_operators_write_them() {
        let minutes = |count: u64| Ok(Duration::from_secs(count * 60));
        for (text, expected) in [
            ("10m", minutes(10)),
            ("1h30m", minutes(90)),
            ("1h 30m", minutes(90)),
            ("1.5h", minutes(90)),
            ("01:30:00", minutes(90)),
            ("10 minutes", minutes(10)),
            ("1d", minutes(24 * 60)),
            ("1w", minutes(7 * 24 * 60)),
            ("600", minutes(10)),
            ("1s", Ok(MIN)),
            ("3650d", Ok(MAX)),
            ("", Err(DurationError::Unreadable)),
            ("m", Err(DurationError::Unreadable)),
            ("10x", Err(DurationError::Unreadable)),
            ("10M", Err(DurationError::Unreadable)),
            ("30m1h", Err(DurationError::Unreadable)),
            ("1h 30", Err(DurationError::Unreadable)),
            ("permanent", Err(DurationError::Unreadable)),
            ("1mo", Err(DurationError::Calendar)),
            ("1y", Err(DurationError::Calendar)),
            ("0", Err(DurationError::OutOfRange)),
            ("0s", Err(DurationError::OutOfRange)),
            ("999ms", Err(DurationError::OutOfRange)),
            ("-5m", Err(DurationError::OutOfRange)),
            ("10 minutes ago", Err(DurationError::OutOfRange)),
            ("3650d 1s", Err(DurationError::OutOfRange)),
            ("99999999999999999999", Err(DurationError::OutOfRange)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_shown_to_the_second() {
        for (millis, expected) in [
            (0, "0s"),
            (999, "0s"),
            (1_000, "1s"),
            (552_900, "9m 12s"),
            (600_000, "10m"),
            (5_400_000, "1h 30m"),
            (86_400_000, "1d"),
            (93_600_000, "1d 2h"),
        ] {
            assert_eq!(Human(Duration::from_millis(millis)).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(seconds in 1..=MAX.as_secs()) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&Human(duration).to_string()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
