//! 500 users behind one address, five days a week.
//!
//! They come between eight and half past nine, most of them around half past eight, and go between four and six. Each types a
//! password on coming and three times more in a day; each one's program logs in every twenty minutes. Every ten days one of them
//! changes the password and forgets a telephone, which goes on with the old one for two days.

use std::net::Ipv4Addr;

use super::stream::{DAY, HOUR, MINUTE, Random, Stream};

const OFFICE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) fn stream(random: &mut Random, scale: u64) -> Stream {
    let mut stream = Stream::default();
    let users = 500 / u32::try_from(scale).unwrap_or(u32::MAX);
    let days = if scale == 1 { 30 } else { 2 };
    for day in (0..days).filter(|day| day % 7 < 5) {
        for user in 0..users {
            let coming = day * DAY + 8 * HOUR + random.below(45 * MINUTE) + random.below(45 * MINUTE);
            let going = day * DAY + 16 * HOUR + random.below(2 * HOUR);
            stream.present(OFFICE, coming, going);
            stream.typed(random, coming, OFFICE, user);
            for _ in 0..3 {
                let at = coming + random.below(going - coming);
                stream.typed(random, at, OFFICE, user);
            }
            let mut at = coming + random.below(20 * MINUTE);
            while at < going {
                stream.login(at, OFFICE, user);
                at += random.between(18 * MINUTE, 22 * MINUTE);
            }
        }
    }
    for start in (1..days).step_by(10) {
        let from = start * DAY + 9 * HOUR;
        let user = random.pick(users);
        stream.old_password(random, from, from + 2 * DAY, OFFICE, user);
    }
    stream.sorted()
}
