//! The policy as tables. A script has one input a line, at a second since boot, and after `->` the effects that it must have,
//! all of them and in order:
//!
//! ```text
//! 0   fail 192.0.2.1
//! 1   fail 192.0.2.1
//! 2   fail 192.0.2.1   -> write hash 192.0.2.1/32 mail until 602; banned 192.0.2.1/32 by jail mail until 602
//! 602 tick             -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over
//! ```

mod accounts;
mod adopting;
mod capacity;
mod counting;
mod customers;
mod disk;
mod escalating;
mod foreign;
mod fuse;
pub(super) mod kernel;
mod late;
mod lists;
mod manual;
mod no_room;
mod ordering;
mod outages;
mod prefixes;
mod protecting;
mod queries;
mod reload;
mod saving;
mod whole;
mod world;

use std::{sync::Arc, time::Duration};

use self::world::World;
use super::policy::{BanTime, Increment, Jail, Limits, Policy, Recidive};
use crate::service::ServiceMask;

pub(crate) const SMTP: ServiceMask = ServiceMask(1);
pub(crate) const IMAP: ServiceMask = ServiceMask(2);
pub(crate) const MAIL: ServiceMask = ServiceMask(3);

/// The default jail: three failures in ten minutes, ten minutes of ban.
pub(crate) fn mail() -> Jail {
    Jail {
        name: "mail".into(),
        filters: vec!["postfix-sasl".into(), "cyrus".into()],
        source: vec!["/var/log/mail.log".into()],
        maxretry: 3,
        findtime: Duration::from_secs(600),
        bantime: BanTime::For(Duration::from_secs(600)),
        services: MAIL,
        ignoreip: Vec::new(),
        observe: false,
        hears_logins: true,
    }
}

fn jail(name: &str, filter: &str, services: ServiceMask) -> Jail {
    Jail { name: name.into(), filters: vec![filter.into()], services, ..mail() }
}

fn policy(jails: impl Into<Vec<Jail>>) -> Policy {
    let limits = Limits { sources: 1000, evidence: 10, customers: 100 };
    Policy { limits, ..Policy::plain(jails.into()) }
}

/// Bans that grow, whether or not logins are known.
fn doubling() -> Increment {
    Increment { without_logins: true, ..Increment::default() }
}

/// Who is banned again and again is banned for a week, whether or not logins are known.
fn weekly() -> Recidive {
    Recidive { without_logins: true, ..Recidive::default() }
}

/// Runs a script against the default jail.
#[track_caller]
fn check(script: &str) -> World {
    check_with(policy([mail()]), script)
}

/// Runs a script.
#[track_caller]
fn check_with(policy: Policy, script: &str) -> World {
    let mut world = World::new(policy);
    world.check(script);
    world
}

fn nets(list: &[&str]) -> Vec<ipnet::IpNet> {
    list.iter().map(|net| net.parse().unwrap()).collect()
}

fn seconds(seconds: u64) -> BanTime {
    BanTime::For(Duration::from_secs(seconds))
}

fn name(name: &str) -> Arc<str> {
    name.into()
}
