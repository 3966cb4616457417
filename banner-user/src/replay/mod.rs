//! What a policy would have done to a log that is already written: `banner replay`. Pure: events come in with their times and
//! in order, bans go out. No clock, no I/O; the judge is the daemon's.
//!
//! ```text
//! events ──> Clock ──> could it happen? ──yes──> Judge ──reports──> Watch ──> Ban, in the order of their beginnings
//!              │               └──no: prevented ───│──────────────────^
//!              └──ticks────────────────────────────┘  logins ─────────┘
//! ```
//!
//! # What counts as what
//! - **Time** is that of the lines. The clock never goes back: a line from more than a minute before one already read is judged
//!   as the daemon judges a line with an odd stamp, by its arrival. Between two lines every deadline is kept.
//! - **Prevented** is a line that a ban would have kept from being written: its source is banned by a jail that drops packets,
//!   from all that a jail which hears the line guards, and the line was not on its way when the ban began (two seconds). It is
//!   not judged, for it would not be there: a second jail does not add up what the first one stopped.
//! - **A likely false positive** is a ban whose source also logged in: from a day before the ban began to a day after it
//!   ended. The first login after it began is the evidence, else the last one before. An attacker who has found a password
//!   logs in too: it is a hint for whoever reads it.
//!
//! What only a running host knows is missing: its own addresses, gateways and resolvers are not protected, `ignoreip` is.

mod ban;
mod clock;
mod comparison;
mod logins;
mod maps;
mod merge;
pub mod protocol;
#[cfg(test)]
mod tests;
mod totals;
mod watch;

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

pub use self::{
    ban::{Ban, Login, Moment, USERS_MAX},
    comparison::{Comparison, Deviation, Difference, Side, Stand},
    merge::Merge,
    totals::Totals,
};
use self::{clock::Clock, logins::Logins, maps::Maps, totals::Sources, watch::Watch};
use crate::{
    clock::{LogTime, Now, WallTime},
    enforce::kernel::MapSizes,
    event::{Attempt, Event, FileId, Position, User},
    judge::{
        Input, Judge, Line, ON_THE_WAY, Origin, Report, StaleStamps, effect::Until, list::List, policy::Policy,
        report::Ended, status,
    },
};

/// How long before a ban and after it a login makes it a likely false positive.
pub const AROUND: Duration = Duration::from_secs(24 * 60 * 60);

/// One policy at work on a log.
#[derive(Debug)]
pub struct Replay {
    policy: Policy,
    /// Every source of the policy: each file is taken for all of them.
    sources: Arc<[usize]>,
    judge: Judge,
    maps: Maps,
    clock: Clock,
    logins: Logins,
    watch: Watch,
    banned: Sources,
    totals: Totals,
    stale: Vec<StaleStamps>,
}

impl Replay {
    /// Maps of these sizes fill up as the kernel's do. Nothing was logged after `latest`: a line that claims so is judged by its
    /// arrival too.
    #[must_use]
    pub fn new(policy: Policy, map_sizes: MapSizes, latest: WallTime) -> Self {
        Self {
            sources: (0..policy.sources().len()).collect(),
            judge: Judge::new(policy.clone()),
            maps: Maps::new(map_sizes),
            clock: Clock::new(latest),
            logins: Logins::default(),
            watch: Watch::default(),
            banned: Sources::default(),
            totals: Totals::default(),
            stale: Vec::new(),
            policy,
        }
    }

    /// With these lists in force from the beginning.
    #[must_use]
    pub fn with_lists(mut self, lists: Vec<List>) -> Self {
        let now = self.clock.now();
        self.decide(Input::RestoreLists(lists), now);
        self.decide(Input::Adopt(Vec::new()), now);
        self
    }

    /// Takes what one line tells, all of it of one time. `file` tells its file from others.
    pub fn line(&mut self, events: &[Event], file: FileId) {
        let Some(at) = events.first().map(Event::at) else { return };
        let now = self.wait_until(at);
        self.totals.count(events, now.wall);
        let stopped = events.iter().filter_map(attempt).find_map(|attempt| self.stopped_by(attempt, now));
        match stopped {
            Some(_) if !events.iter().any(is_failure) => {}
            Some((prefix, jail)) => {
                self.totals.prevented = self.totals.prevented.saturating_add(1);
                jail.iter().for_each(|jail| self.watch.prevented(prefix, jail));
            }
            None => {
                let sources = Arc::clone(&self.sources);
                // Nobody asks this judge for the line itself.
                let (bytes, position) = (b"".as_slice(), Position { file, offset: 0 });
                self.decide(Input::Line(Line { events, bytes, position, sources: &sources, live: true }), now);
            }
        }
        for event in events {
            if let Event::Success(attempt) = event {
                let address = self.judge.why(attempt.source).address;
                let (user, filter) = (attempt.user.clone(), attempt.filter.clone());
                let login = Login { at: now.wall, address, user, filter, moment: Moment::Before };
                self.watch.login(&login);
                self.logins.note(login);
            }
        }
    }

    /// The next ban of which nothing more is to be learned, in the order in which they began.
    pub fn settled(&mut self) -> Option<Ban> {
        let settled = self.watch.settled(self.clock.now().wall)?;
        if settled.cut_short {
            self.totals.cut_short = self.totals.cut_short.saturating_add(1);
        }
        Some(self.leave(settled.ban))
    }

    /// The next of the bans that are left when the log is over.
    pub fn left(&mut self) -> Option<Ban> {
        self.watch.first().map(|ban| self.leave(ban))
    }

    /// What was counted so far. Likely false positives are counted as their bans are handed out.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { evicted: self.judge.status().evicted, ..self.totals.clone() }
    }

    /// The files whose stamps have turned out to go back since this was last asked.
    pub fn take_stale(&mut self) -> Vec<StaleStamps> {
        std::mem::take(&mut self.stale)
    }

    fn leave(&mut self, ban: Ban) -> Ban {
        if ban.login.is_some() {
            self.totals.false_positives = self.totals.false_positives.saturating_add(1);
        }
        ban
    }

    /// Lets time pass, with everything that is due on the way.
    fn wait_until(&mut self, at: LogTime) -> Now {
        let then = self.clock.of(at);
        while let Some(deadline) = self.judge.next_deadline().filter(|deadline| *deadline <= then) {
            let now = self.clock.reach(deadline);
            self.decide(Input::Tick, now);
        }
        self.clock.reach(then)
    }

    /// The ban that would have prevented an attempt: of which prefix, and by which jail, where no list did.
    fn stopped_by(&self, attempt: &Attempt, now: Now) -> Option<(IpNet, Option<Arc<str>>)> {
        let guarded = |ban: &status::Ban| {
            let mut hearing = self.policy.jails.iter().filter(|jail| jail.filters.contains(&attempt.filter));
            hearing.any(|jail| ban.services.contains(jail.services))
        };
        let drops = |ban: &status::Ban| {
            let in_force = !ban.observe && !ban.waits && ban.until > Until::Boot(now.boot);
            in_force && now.boot - ban.since > ON_THE_WAY && guarded(ban)
        };
        let ban = self.judge.why(attempt.source).bans.into_iter().find(drops)?;
        match ban.origin {
            Origin::Jail(jail) => Some((ban.prefix, Some(jail))),
            Origin::List(_) => Some((ban.prefix, None)),
            Origin::Hand | Origin::Adopted => None,
        }
    }

    fn decide(&mut self, input: Input<'_>, now: Now) {
        let effects = self.judge.handle(input, now);
        for report in self.judge.carry_out(effects, now, &mut self.maps) {
            match report {
                Report::Banned { origin: Origin::Jail(jail), prefix, until, observe, because: Some(because) } => {
                    let findtime = self.policy.jails.iter().find(|known| known.name == jail).map(|jail| jail.findtime);
                    let findtime = findtime.unwrap_or_default();
                    let ban = Ban {
                        at: now.wall,
                        until,
                        source: prefix,
                        jail,
                        observe,
                        failures: because.failures,
                        limit: because.limit,
                        reasons: because.reasons,
                        findtime,
                        users: self.users(prefix, now, findtime),
                        prevented: 0,
                        yielded: false,
                        login: self.logins.last_of(prefix, now.wall),
                    };
                    self.totals.ban(&ban);
                    self.totals.sources = self.banned.add(prefix);
                    self.watch.begin(ban);
                }
                Report::Unbanned { why: Ended::Yielded(_) | Ended::CannotProtect(_), origin, prefix } => {
                    if let Origin::Jail(jail) = origin {
                        self.totals.yielded = self.totals.yielded.saturating_add(1);
                        self.watch.yielded(prefix, &jail, now.wall);
                    }
                }
                Report::Ignored { .. } => self.totals.ignored = self.totals.ignored.saturating_add(1),
                Report::PrefixSpared { .. } => {
                    self.totals.spared_prefixes = self.totals.spared_prefixes.saturating_add(1);
                }
                Report::FuseTripped(_) => self.totals.fuse_tripped = self.totals.fuse_tripped.saturating_add(1),
                Report::FuseReset(tripped) => self.totals.spared = self.totals.spared.saturating_add(tripped.spared),
                Report::AccountUnderAttack { .. } => self.totals.attacks = self.totals.attacks.saturating_add(1),
                Report::StaleStamps(stale) => self.stale.push(stale),
                Report::Banned { .. }
                | Report::Unbanned { .. }
                | Report::LateFailure { .. }
                | Report::SourcesEvicted { .. }
                | Report::MapFull { .. }
                | Report::Restored { .. }
                | Report::ListFollowed { .. }
                | Report::Adopted { .. }
                | Report::ManyBans { .. }
                | Report::Shared { .. }
                | Report::TrapLogsIn { .. }
                | Report::OutageBegan(_)
                | Report::OutageEnded(_) => {}
            }
        }
    }

    /// The users that a source has just tried, the first of them first, out of the failures that the judge remembers.
    fn users(&self, source: IpNet, now: Now, findtime: Duration) -> Vec<User> {
        let mut users = Vec::new();
        let evidence = self.judge.why(source.addr()).evidence;
        for failure in evidence.into_iter().flat_map(|evidence| &evidence.failures) {
            let recent = now.wall.as_log_time().distance(failure.at) <= findtime;
            if let Some(user) = failure.attempt.user.as_ref().filter(|user| recent && !users.contains(*user)) {
                users.push(user.clone());
            }
        }
        users.truncate(USERS_MAX);
        users
    }
}

fn attempt(event: &Event) -> Option<&Attempt> {
    match event {
        Event::Failure(attempt) | Event::Success(attempt) => Some(attempt),
        Event::Outage(_) => None,
    }
}

fn is_failure(event: &Event) -> bool {
    matches!(event, Event::Failure(_))
}
