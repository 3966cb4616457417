//! How much of each kind of message is logged: a burst, then a few a second, and the number of the rest. A botnet that brings
//! a hundred thousand bans does not fill the journal, and the one error among them is not lost.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
    time::{Duration, Instant},
};

use tracing::Level;

/// So many messages of a kind are logged at once.
const BURST: u32 = 200;

/// And then one in so much time: 3,600 an hour, far below what journald takes from a unit (10,000 in 30 s).
const STEADY: Duration = Duration::from_secs(1);

/// How long messages are counted before their number is told.
const SUMMED_UP_AFTER: Duration = Duration::from_secs(60);

/// How much of a message is quoted, in characters.
const QUOTED: usize = 200;

/// What was let through and what was not, for each kind. There are as many kinds as places in the source that log.
#[derive(Debug)]
pub(super) struct Limit<K, H> {
    kinds: HashMap<K, Kind, H>,
}

impl<K, H: Default> Default for Limit<K, H> {
    fn default() -> Self {
        Self { kinds: HashMap::default() }
    }
}

/// A token bucket, and what did not get one.
#[derive(Debug)]
struct Kind {
    tokens: u32,
    /// Until when tokens were given out.
    filled: Instant,
    withheld: Option<Summary>,
    since: Instant,
}

/// What was not logged of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// As what it would have been logged.
    pub(super) level: Level,
    /// How many.
    count: u64,
    /// Within this time.
    within: Duration,
    /// The first of them.
    first: String,
}

impl<K: Eq + Hash, H: BuildHasher> Limit<K, H> {
    /// Whether a message may be logged. `text` is asked for the first of those that may not.
    pub(super) fn admit(&mut self, kind: K, level: Level, now: Instant, text: impl FnOnce() -> String) -> bool {
        let kind = self.kinds.entry(kind).or_insert(Kind { tokens: BURST, filled: now, withheld: None, since: now });
        kind.fill(now);
        if let Some(tokens) = kind.tokens.checked_sub(1) {
            kind.tokens = tokens;
            return true;
        }
        if let Some(withheld) = &mut kind.withheld {
            withheld.count = withheld.count.saturating_add(1);
        } else {
            let first = text().chars().take(QUOTED).collect();
            (kind.withheld, kind.since) = (Some(Summary { level, count: 1, within: Duration::ZERO, first }), now);
        }
        false
    }

    /// What was withheld over the last minute, and is told now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Summary> {
        self.take(now, SUMMED_UP_AFTER)
    }

    /// All that was withheld and not told.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<Summary> {
        self.take(now, Duration::ZERO)
    }

    fn take(&mut self, now: Instant, after: Duration) -> Vec<Summary> {
        let due = self.kinds.values_mut().filter(|kind| now.duration_since(kind.since) >= after);
        due.filter_map(|kind| {
            let withheld = kind.withheld.take()?;
            Some(Summary { within: now.duration_since(kind.since), ..withheld })
        })
        .collect()
    }
}

impl Kind {
    fn fill(&mut self, now: Instant) {
        let due = now.duration_since(self.filled).as_secs() / STEADY.as_secs();
        let room = BURST - self.tokens;
        match u32::try_from(due) {
            Ok(due) if due < room => {
                self.tokens += due;
                self.filled += STEADY * due;
            }
            _ => (self.tokens, self.filled) = (BURST, now),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "message like this was" } else { "messages like this were" };
        write!(f, "{} {plural} not logged within {} s: {}", self.count, self.within.as_secs(), self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    /// When messages of the kind "ban" come (milliseconds, how many), and how many of them are logged.
    #[test]
    fn a_kind_has_a_burst_then_a_steady_rate_then_again_a_burst() {
        let burst = u64::from(BURST);
        let table: [(u64, u64, u64); 8] = [
            (0, 1, 1),
            (0, burst - 1, burst - 1),
            (0, 100_000, 0),
            (999, 5, 0),
            (1000, 5, 1),
            (5500, 10, 4),
            (6000, 1, 1),
            (6000 + 1000 * burst, 2 * burst, burst),
        ];
        let (mut limit, start) = (Limit::<_, RandomState>::default(), Instant::now());
        for (at, messages, logged) in table {
            let now = start + Duration::from_millis(at);
            let admitted = (0..messages).filter(|_| limit.admit("ban", Level::INFO, now, String::new)).count();
            assert_eq!(admitted as u64, logged, "at {at} ms");
        }
    }

    #[test]
    fn a_flood_of_one_kind_leaves_room_for_every_other() {
        let (mut limit, now) = (Limit::<_, RandomState>::default(), Instant::now());
        for _ in 0..100_000 {
            limit.admit("ban", Level::INFO, now, String::new);
        }
        assert!(limit.admit("error", Level::ERROR, now, String::new));
    }

    #[test]
    fn what_was_not_logged_is_summed_up_once_a_minute_and_at_the_end() {
        let (mut limit, start) = (Limit::<_, RandomState>::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut texts = 0;
        for number in 0..BURST + 1000 {
            let text = || {
                texts += 1;
                format!("ban {number} {}", "x".repeat(2 * QUOTED))
            };
            limit.admit("ban", Level::WARN, start, text);
        }
        assert_eq!(texts, 1, "a message that is not logged is not written either");
        assert_eq!(limit.due(at(59)), []);
        let due = limit.due(at(60));
        let said: Vec<_> = due.iter().map(|summary| (summary.level, summary.to_string())).collect();
        let expected = format!("1000 messages like this were not logged within 60 s: ban {BURST} xxx");
        assert!(matches!(&*said, [(Level::WARN, said)] if said.starts_with(&expected) && said.len() < 300), "{said:?}");
        assert_eq!(limit.due(at(120)), [], "told once");

        for _ in 0..BURST {
            limit.admit("ban", Level::WARN, at(121), String::new);
        }
        let left = limit.rest(at(122));
        assert!(matches!(&*left, [Summary { count, .. }] if *count > 0), "{left:?}");
        assert_eq!(limit.rest(at(122)), []);
    }
}
