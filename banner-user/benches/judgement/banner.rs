//! banner's judge by the policy of an empty configuration, on a clock of the stream's, and with maps that take every entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use banner_user::{
    clock::{BootTime, Now, WallTime},
    config::Config,
    event::{Attempt, Event, FileId, FilterName, Position, User, Weight},
    judge::{
        Effect, Input, Judge, Line,
        effect::{Entry, Until},
    },
    service::ServiceMask,
};
use ipnet::{IpNet, Ipv4Net};

use super::{rule::Rule, stream::Try};

/// The clock at the start of a stream.
const START: i64 = 1_700_000_000;

/// What the lines of a log tell.
#[derive(Clone, Copy)]
pub(crate) enum Told {
    Everything,
    /// Failures do not say the account: Postfix before 3.7.8 and its like.
    NoNames,
    /// Logins are not told at all: filters imported from fail2ban, and servers that log no logins.
    NoLogins,
}

pub(crate) struct Banner {
    told: Told,
    judge: Judge,
    filter: FilterName,
    entries: BTreeMap<IpNet, (Entry, u64)>,
    lengths: BTreeSet<u8>,
    bans: Vec<(IpNet, u64, u64)>,
    lines: u64,
}

impl Banner {
    pub(crate) fn new(told: Told) -> Self {
        let mut policy = Config::default().policy;
        for jail in &mut policy.jails {
            jail.hears_logins = !matches!(told, Told::NoLogins); // As the catalogue says of the filters.
        }
        let filter = policy.jails.iter().flat_map(|jail| &jail.filters).next().cloned().unwrap_or_default();
        Self {
            told,
            judge: Judge::new(policy),
            filter,
            entries: BTreeMap::new(),
            lengths: BTreeSet::new(),
            bans: Vec::new(),
            lines: 0,
        }
    }

    /// Hands in what is due until then.
    fn pass(&mut self, at: u64) {
        while let Some(deadline) = self.judge.next_deadline() {
            let due = u64::try_from(deadline.0).unwrap_or_default().div_ceil(1_000_000_000);
            if due > at {
                break;
            }
            let effects = self.judge.handle(Input::Tick, now(due));
            self.carry_out(effects, due);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>, at: u64) {
        for effect in effects {
            match effect {
                Effect::Write(entry) => {
                    let prefix = entry.slot.prefix();
                    self.lengths.insert(prefix.prefix_len());
                    let drops = entry.services != ServiceMask::NONE && !entry.observe;
                    match self.entries.get_mut(&prefix) {
                        Some((old, _)) if drops => *old = entry,
                        Some(_) => self.end(prefix, at),
                        None if drops => drop(self.entries.insert(prefix, (entry, at))),
                        None => {}
                    }
                }
                Effect::Remove(slot) => self.end(slot.prefix(), at),
                Effect::Report(_) => {}
            }
        }
    }

    fn end(&mut self, prefix: IpNet, at: u64) {
        if let Some((_, from)) = self.entries.remove(&prefix) {
            self.bans.push((prefix, from, at));
        }
    }
}

impl Rule for Banner {
    fn is_banned(&mut self, source: Ipv4Addr, at: u64) -> bool {
        self.pass(at);
        self.lengths.iter().filter_map(|length| Ipv4Net::new(source, *length).ok()).any(|net| {
            let entry = self.entries.get(&IpNet::V4(net.trunc()));
            entry.is_some_and(|(entry, _)| entry.until > Until::Boot(now(at).boot))
        })
    }

    fn answered(&mut self, tried: &Try) {
        self.pass(tried.at);
        let now = now(tried.at);
        if tried.succeeds && matches!(self.told, Told::NoLogins) {
            return;
        }
        let is_named = tried.succeeds || !matches!(self.told, Told::NoNames);
        let user = is_named.then(|| User::new(format!("user{}", tried.account).as_bytes()));
        let attempt = Attempt {
            filter: self.filter.clone(),
            source: tried.source.into(),
            user,
            weight: Weight::ONE,
            at: now.wall.as_log_time(),
        };
        let event = if tried.succeeds { Event::Success(attempt) } else { Event::Failure(attempt) };
        self.lines += 1;
        let position = Position { file: FileId(0), offset: self.lines };
        let line = Line { events: &[event], bytes: b"", position, sources: &[0], live: true };
        let effects = self.judge.handle(Input::Line(line), now);
        self.carry_out(effects, tried.at);
    }

    fn bans(&mut self, end: u64) -> Vec<(IpNet, u64, u64)> {
        self.pass(end);
        let open = self.entries.iter().map(|(prefix, (_, from))| (*prefix, *from, end));
        self.bans.iter().copied().chain(open).collect()
    }
}

fn now(at: u64) -> Now {
    let wall = WallTime(START.saturating_add_unsigned(at).saturating_mul(1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(at), wall }
}
