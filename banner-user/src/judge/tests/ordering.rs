//! In which order lines of one moment are read does not matter: two logs are read as it comes.

use std::{net::IpAddr, time::Duration};

use proptest::prelude::*;

use super::{doubling, policy, weekly};
use crate::{
    clock::{BootTime, Now, WallTime},
    event::{Attempt, Event, FileId, Position, User, Weight},
    judge::{
        Input, Judge, Line,
        policy::{Accounts, Customers, Fuse, Policy, Prefixes, Spraying},
        saved::TallyChange,
        tests::mail,
    },
};

fn now(second: u64) -> Now {
    let wall = WallTime(1_700_000_000_000_000_i64.saturating_add_unsigned(second * 1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(second), wall }
}

fn judge() -> Judge {
    let everything = Policy {
        increment: Some(doubling()),
        recidive: Some(weekly()),
        customers: Some(Customers::default()),
        accounts: Some(Accounts::default()),
        spraying: Some(Spraying::default()),
        prefixes: Some(Prefixes { members: 2, ..Prefixes::default() }),
        fuse: Some(Fuse::default()),
        ..policy([mail()])
    };
    Judge::new(everything).saved()
}

/// One line: the number of its source, which is also that of its account, and whether somebody logged in.
type Told = (u8, bool);

/// What came of lines that were read in this order, all those of one row in one second.
fn outcome(rows: &[Vec<Told>]) -> (Vec<String>, Vec<TallyChange>) {
    let mut judge = judge();
    for (second, row) in (0..).step_by(7).zip(rows) {
        for (number, is_login) in row {
            let now = now(second);
            let attempt = Attempt {
                filter: "cyrus".into(),
                // Two of each network.
                source: IpAddr::from([192, 0, number / 2, number % 2 + 1]),
                user: Some(User::new(format!("user{number}").as_bytes())),
                weight: Weight::ONE,
                at: now.wall.as_log_time(),
            };
            let event = if *is_login { Event::Success(attempt) } else { Event::Failure(attempt) };
            let position = Position { file: FileId(0), offset: 0 };
            let line = Line { events: &[event], bytes: b"", position, sources: &[0], live: true };
            let _ = judge.handle(Input::Line(line), now);
        }
    }
    let bans = judge.bans(None, 1_000).bans.into_iter();
    let bans = bans.map(|ban| format!("{} {:?} {:?} {:?}", ban.prefix, ban.since, ban.until, ban.services));
    let changes = judge.everything();
    (bans.collect(), changes.tallies)
}

fn rows() -> impl Strategy<Value = (Vec<Vec<Told>>, Vec<Vec<Told>>)> {
    // Of each source one line a second: its own lines do have an order.
    let row = prop::collection::btree_map(0_u8..12, any::<bool>(), 0..10)
        .prop_map(|row| row.into_iter().map(|(number, more)| (number, more && number % 5 == 0)).collect::<Vec<Told>>());
    let shuffled = row.prop_flat_map(|row| (Just(row.clone()), Just(row).prop_shuffle()));
    prop::collection::vec(shuffled, 1..12).prop_map(|rows| rows.into_iter().unzip())
}

proptest! {
    #[test]
    fn lines_of_one_moment_come_to_the_same_in_any_order((sorted, shuffled) in rows()) {
        prop_assert_eq!(outcome(&sorted), outcome(&shuffled));
    }
}
