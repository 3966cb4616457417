//! 20,000 sources all over the network with one try a day each for 30 days, beside 2,000 customers.
//!
//! Each try is at any time of the day and on any of 500 accounts, half of which exist.

use super::stream::{ATTACKERS, DAY, HOUR, NOBODY, Random, Stream, scattered};

pub(crate) fn stream(random: &mut Random, scale: u64) -> Stream {
    let mut stream = Stream::default();
    let scale32 = u32::try_from(scale).unwrap_or(u32::MAX);
    let days = if scale == 1 { 30 } else { 3 };
    stream.customers(random, 2_000 / scale32, days, HOUR);
    for bot in 0..20_000 / scale32 {
        for day in 0..days {
            let account = random.pick(500);
            let account = if account < 250 { account } else { NOBODY + account };
            stream.attack(day * DAY + random.below(DAY), scattered(ATTACKERS + bot), account);
        }
    }
    stream.sorted()
}
