//! Points and lengths of time, as they are written in JSON.

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{LogTime, WallTime};

/// A point in time: RFC 3339 in UTC, with a fraction where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub Timestamp);

impl Time {
    /// Microseconds since the Unix epoch; the nearest time that RFC 3339 can write, where it cannot (years −9999 to 9999).
    fn from_micros(micros: i64) -> Self {
        let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self(Timestamp::from_microsecond(micros).unwrap_or(nearest))
    }
}

impl From<WallTime> for Time {
    fn from(at: WallTime) -> Self {
        Self::from_micros(at.0)
    }
}

impl From<LogTime> for Time {
    fn from(at: LogTime) -> Self {
        Self::from_micros(at.0)
    }
}

/// How long a ban lasts: a number of seconds (from 1 up), or `"permanent"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "a ban lasts a number of seconds, at least 1, or \"permanent\"")]
pub enum BanTime {
    /// Until it is lifted.
    Permanent,
    /// That many seconds from now.
    #[serde(untagged)]
    Seconds(NonZeroU32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_in_utc() {
        let json = |micros| serde_json::to_string(&Time::from(WallTime(micros))).unwrap();
        assert_eq!(json(1_795_353_300_000_000), "\"2026-11-22T13:15:00Z\"");
        assert_eq!(json(1_795_353_300_250_000), "\"2026-11-22T13:15:00.25Z\"");
        assert_eq!(json(i64::MAX), format!("\"{}\"", Timestamp::MAX));
        assert_eq!(json(i64::MIN), format!("\"{}\"", Timestamp::MIN));
    }

    #[test]
    fn a_ban_time_is_seconds_or_permanent() {
        let read = |json| serde_json::from_str::<BanTime>(json).map_err(|error| error.to_string());
        assert_eq!(read("600"), Ok(BanTime::Seconds(NonZeroU32::new(600).unwrap())));
        assert_eq!(read("\"permanent\""), Ok(BanTime::Permanent));
        for refused in ["0", "-1", "0.5", "\"10m\"", "null", "4294967296"] {
            let error = read(refused).unwrap_err();
            assert!(error.contains("at least 1, or \"permanent\""), "{refused}: {error}");
        }
        assert_eq!(serde_json::to_string(&BanTime::Permanent).unwrap(), "\"permanent\"");
        assert_eq!(serde_json::to_string(&read("600").unwrap()).unwrap(), "600");
    }
}
