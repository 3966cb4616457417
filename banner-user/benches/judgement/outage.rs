//! On the second of three days the users' database is gone from ten to ten past ten, and every right password is logged as a wrong
//! one.
//!
//! 3,000 customers at addresses of their own ask for mail every 15 minutes. A program that fails asks again, each at its own
//! interval of 30 to 120 seconds, until it gets in. 100 attackers guess one account each, once a minute, all the time.

use std::collections::BTreeMap;

use super::stream::{ATTACKERS, DAY, HOUR, MINUTE, Random, Stream, Try, scattered};

pub(crate) fn stream(random: &mut Random, scale: u64) -> Stream {
    let mut stream = Stream::default();
    let scale32 = u32::try_from(scale).unwrap_or(u32::MAX);
    let days = 3;
    let (from, until) = (DAY + 10 * HOUR, DAY + 10 * HOUR + 10 * MINUTE);
    stream.customers(random, 3_000 / scale32, days, 15 * MINUTE);
    fail(&mut stream, random, from, until);
    for attacker in 0..100 / scale32 {
        let mut at = random.below(MINUTE);
        while at < days * DAY {
            stream.attack(at, scattered(ATTACKERS + attacker), attacker);
            at += MINUTE;
        }
    }
    stream.outage = Some((from, until));
    stream.sorted()
}

/// What falls into the outage fails, and is tried again.
fn fail(stream: &mut Stream, random: &mut Random, from: u64, until: u64) {
    let mut first = BTreeMap::<u32, Try>::new();
    for tried in stream.tries.iter().filter(|tried| (from..until).contains(&tried.at)) {
        let earliest = first.entry(tried.account).or_insert(*tried);
        if tried.at < earliest.at {
            *earliest = *tried;
        }
    }
    stream.tries.retain(|tried| !(from..until).contains(&tried.at));
    for tried in first.into_values() {
        let interval = random.between(30, 120);
        let mut at = tried.at;
        while at < until {
            stream.tries.push(Try { at, succeeds: false, ..tried });
            at += interval;
        }
        stream.tries.push(Try { at, succeeds: true, ..tried });
    }
}
