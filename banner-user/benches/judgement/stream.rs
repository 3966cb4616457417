//! What happens at a relay: tries to log in, and when innocent users want to use mail. The same for every rule.

use std::net::Ipv4Addr;

pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// How many of a hundred typed passwords are wrong, and of a hundred that are typed again at once after that.
const MISTYPED: u64 = 1;
const MISTYPED_AGAIN: u64 = 30;

/// One try. Times are seconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Try {
    pub(crate) at: u64,
    pub(crate) source: Ipv4Addr,
    /// The number of the account.
    pub(crate) account: u32,
    /// What the server answers, if the try gets there.
    pub(crate) succeeds: bool,
    pub(crate) attacker: bool,
}

/// An innocent user wants to use mail from a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presence {
    pub(crate) source: Ipv4Addr,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// All that happens, in the order of time once it is [`sorted`](Self::sorted).
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) tries: Vec<Try>,
    pub(crate) presences: Vec<Presence>,
    /// Within which a ban of a source that is known to be good is the outage's fault.
    pub(crate) outage: Option<(u64, u64)>,
}

impl Stream {
    pub(crate) fn sorted(mut self) -> Self {
        self.tries.sort_unstable();
        self
    }

    /// A program or a telephone logs in by a saved password.
    pub(crate) fn login(&mut self, at: u64, source: Ipv4Addr, account: u32) {
        self.tries.push(Try { at, source, account, succeeds: true, attacker: false });
    }

    /// Somebody types a password, and again until it is right.
    pub(crate) fn typed(&mut self, random: &mut Random, mut at: u64, source: Ipv4Addr, account: u32) {
        let mut wrong = random.percent(MISTYPED);
        while wrong {
            self.tries.push(Try { at, source, account, succeeds: false, attacker: false });
            at += random.between(3, 20);
            wrong = random.percent(MISTYPED_AGAIN);
        }
        self.login(at, source, account);
    }

    /// A telephone with an old password: each five minutes, once for receiving and once for sending.
    pub(crate) fn old_password(&mut self, random: &mut Random, from: u64, until: u64, source: Ipv4Addr, account: u32) {
        let mut at = from;
        while at < until {
            for second in [0, 1] {
                self.tries.push(Try { at: at + second, source, account, succeeds: false, attacker: false });
            }
            at += random.between(4 * MINUTE + 45, 5 * MINUTE + 15);
        }
    }

    pub(crate) fn attack(&mut self, at: u64, source: Ipv4Addr, account: u32) {
        self.tries.push(Try { at, source, account, succeeds: false, attacker: true });
    }

    pub(crate) fn present(&mut self, source: Ipv4Addr, from: u64, until: u64) {
        self.presences.push(Presence { source, from, until });
    }

    /// Customers at addresses of their own, whose programs ask for mail every `period` from seven to eleven at night, and who
    /// type a password once a day.
    pub(crate) fn customers(&mut self, random: &mut Random, customers: u32, days: u64, period: u64) {
        for customer in 0..customers {
            let source = scattered(customer);
            for day in 0..days {
                let from = day * DAY + 7 * HOUR + random.below(period);
                let until = day * DAY + 23 * HOUR;
                self.present(source, from, until);
                let at = from + random.below(until - from);
                self.typed(random, at, source, customer);
                let mut at = from;
                while at < until {
                    self.login(at, source, customer);
                    at += period - period / 10 + random.below(period / 5);
                }
            }
        }
    }
}

/// Addresses all over 16.0.0.0/4, each once: an odd factor permutes the numbers of 28 bits. Attackers are numbered from
/// [`ATTACKERS`] on.
pub(crate) fn scattered(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1000_0000 | (number.wrapping_mul(2_654_435_761) & 0x0FFF_FFFF))
}

pub(crate) const ATTACKERS: u32 = 1_000_000;

/// Accounts that nobody has are numbered from here on.
pub(crate) const NOBODY: u32 = 10_000_000;

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers for a seed on every machine and for ever.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is small beside 2^64, so that the remainder's bias is nothing.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn pick(&mut self, count: u32) -> u32 {
        u32::try_from(self.below(u64::from(count))).unwrap_or_default()
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
