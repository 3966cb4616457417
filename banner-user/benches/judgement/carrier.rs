//! A mobile carrier: 20,000 customers behind 64 addresses, for a week.
//!
//! Each uses mail six times a day for 5 to 20 minutes, from whatever address the carrier gives, and types the password every tenth
//! time. One in a thousand telephones has an old password for two days; it keeps an address for four hours.

use std::net::Ipv4Addr;

use super::stream::{DAY, HOUR, MINUTE, Random, Stream};

pub(crate) fn stream(random: &mut Random, scale: u64) -> Stream {
    let mut stream = Stream::default();
    let customers = 20_000 / u32::try_from(scale).unwrap_or(u32::MAX);
    let days = if scale == 1 { 7 } else { 1 };
    for customer in 0..customers {
        for day in 0..days {
            for _ in 0..6 {
                let at = day * DAY + 7 * HOUR + random.below(16 * HOUR);
                let source = address(random);
                stream.present(source, at, at + random.between(5 * MINUTE, 20 * MINUTE));
                if random.percent(10) {
                    stream.typed(random, at, source, customer);
                } else {
                    stream.login(at, source, customer);
                }
            }
        }
    }
    for _ in 0..customers / 1_000 {
        let customer = random.pick(customers);
        let start = random.below(days * DAY);
        for part in 0..12 {
            let from = start + part * 4 * HOUR;
            let source = address(random);
            stream.old_password(random, from, from + 4 * HOUR, source, customer);
        }
    }
    stream.sorted()
}

fn address(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 100, 0)) + random.pick(64))
}
