//! Sources that try many accounts, for a week, beside 1,000 customers.
//!
//! Ten try every ten seconds, 50 every 151 seconds, which fail2ban's rule never sees, and 200 every half an hour. Each goes through
//! a list of 2,000 accounts, half of which exist.

use super::stream::{ATTACKERS, DAY, HOUR, MINUTE, NOBODY, Random, Stream, scattered};

pub(crate) fn stream(random: &mut Random, scale: u64) -> Stream {
    let mut stream = Stream::default();
    let scale32 = u32::try_from(scale).unwrap_or(u32::MAX);
    let days = if scale == 1 { 7 } else { 1 };
    stream.customers(random, 1_000 / scale32, days, HOUR);
    let mut source = ATTACKERS;
    for (sources, period) in [(10, 10), (50, 151), (200, 30 * MINUTE)] {
        for _ in 0..(sources / scale32).max(1) {
            source += 1;
            let mut account = random.pick(2_000);
            let mut at = random.below(period);
            while at < days * DAY {
                account = (account + 1) % 2_000;
                stream.attack(at, scattered(source), if account < 1_000 { account } else { NOBODY + account });
                at += period;
            }
        }
    }
    stream.sorted()
}
