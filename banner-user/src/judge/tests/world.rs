//! Reads scripts, feeds the judge, and shows effects in short.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{IMAP, MAIL, SMTP};
use crate::{
    clock::{BootTime, LogTime, Now, WallTime},
    event::{Attempt, Event, FileId, Outage, Position, User, Weight},
    judge::{
        HostAddresses, Judge, Report,
        effect::{Effect, Entry, Slot, Until},
        input::{Input, Line},
        list::{List, ListAction, ListName},
        manual::{BanRequest, Target},
        policy::{BanTime, Policy},
    },
    service::ServiceMask,
};

/// The wall clock at boot, before it is set.
const EPOCH: i64 = 1_700_000_000;
const SECOND: i64 = 1_000_000;

pub(super) struct World {
    pub(super) judge: Judge,
    policy: Policy,
    host: HostAddresses,
    /// Seconds by which the wall clock was set.
    clock_set: i64,
    offset: u64,
}

impl World {
    pub(super) fn new(policy: Policy) -> Self {
        let host = HostAddresses::default();
        Self { judge: Judge::new(policy.clone()), policy, host, clock_set: 0, offset: 0 }
    }

    #[track_caller]
    pub(super) fn check(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (input, expected) = line.split_once("->").unwrap_or((line, ""));
            let (time, input) = input.trim().split_once(' ').unwrap();
            let effects = self.run(time.parse().unwrap(), input.trim());
            let expected: Vec<&str> = expected.split(';').map(str::trim).filter(|effect| !effect.is_empty()).collect();
            assert_eq!(effects, expected, "{line}");
        }
    }

    pub(super) fn now(&self, seconds: u64) -> Now {
        let wall = EPOCH + i64::try_from(seconds).unwrap() + self.clock_set;
        Now { boot: BootTime::default() + Duration::from_secs(seconds), wall: WallTime(wall * SECOND) }
    }

    pub(super) fn run(&mut self, seconds: u64, input: &str) -> Vec<String> {
        let now = self.now(seconds);
        let mut words = input.split_whitespace();
        let command = words.next().unwrap();
        let words: Vec<&str> = words.collect();
        let option =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')));
        let flag = |name: &str| words.contains(&name);
        let addresses = || words.iter().map(|word| word.parse().unwrap()).collect::<Vec<IpAddr>>();
        let effects = match command {
            "tick" => self.judge.handle(Input::Tick, now),
            "fail" | "succeed" | "outage" => {
                let source: IpAddr = words[0].parse().unwrap();
                // Without a stamp a line claims the second in which it is read.
                let claimed = option("at").map_or(now.wall.0 / SECOND, |at| EPOCH + at.parse::<i64>().unwrap());
                let at = LogTime(claimed * SECOND);
                let filter = option("filter").unwrap_or("postfix-sasl").into();
                let weight = Weight(option("weight").map_or(4, |weight| weight.parse().unwrap()));
                let file = FileId(option("file").map_or(0, |file| file.parse().unwrap()));
                let user = match option("user").unwrap_or("alice") {
                    "none" => None,
                    name => Some(User::new(name.as_bytes())),
                };
                let event = |filter| match command {
                    "fail" => Event::Failure(Attempt { filter, source, user: user.clone(), weight, at }),
                    "succeed" => Event::Success(Attempt { filter, source, user: user.clone(), weight, at }),
                    _ => Event::Outage(Outage { filter, source: Some(source), retold: flag("retold"), at }),
                };
                // What a second filter makes of the same line.
                let also = option("also").map(Into::into);
                let events: Vec<_> = [Some(filter), also].into_iter().flatten().map(event).collect();
                self.offset += 100;
                let position = Position { file, offset: self.offset };
                let sources = [option("source").map_or(0, |source| source.parse().unwrap())];
                let bytes = input.as_bytes();
                let line = Line { events: &events, bytes, position, sources: &sources, live: !flag("backlog") };
                self.judge.handle(Input::Line(line), now)
            }
            "own" => {
                self.host.own = addresses();
                self.judge.handle(Input::Protect(self.host.clone()), now)
            }
            "gateways" => {
                self.host.gateways = addresses();
                self.judge.handle(Input::Protect(self.host.clone()), now)
            }
            "ignoreip" => {
                self.policy.ignoreip = super::nets(&words);
                self.judge.handle(Input::Configure(Box::new(self.policy.clone())), now)
            }
            "list" | "lists" => {
                let mut words = words.iter();
                let name = ListName::new(words.next().unwrap());
                let action = match *words.next().unwrap() {
                    "ignore" => ListAction::Ignore,
                    action => ListAction::Ban { services: MAIL, observe: action == "observe" },
                };
                let prefixes: Vec<&str> = words.copied().collect();
                let prefixes = (prefixes != ["unreadable"]).then(|| super::nets(&prefixes).into_iter().collect());
                let list = List { name, action, prefixes };
                let at_start = command == "lists";
                self.judge.handle(if at_start { Input::RestoreLists(vec![list]) } else { Input::List(list) }, now)
            }
            "unlist" => self.judge.handle(Input::Unlist(ListName::new(words[0])), now),
            "adopt" => {
                let found = input.trim_start_matches("adopt").split(',').map(entry).collect();
                self.judge.handle(Input::Adopt(found), now)
            }
            "full" => {
                let slot = slot(words[0], words[1]);
                let entry = self.judge.entry(slot).unwrap_or_else(|| panic!("{slot:?} is not wanted"));
                self.judge.handle(Input::Full(entry), now)
            }
            "clock" => {
                self.clock_set += words[0].parse::<i64>().unwrap();
                Vec::new()
            }
            "ban" => {
                let request = BanRequest {
                    target: target(words[0]),
                    bantime: option("for").map(|length| match length {
                        "ever" => BanTime::Permanent,
                        length => BanTime::For(Duration::from_secs(length.parse().unwrap())),
                    }),
                    services: option("services").map(mask),
                    jail: option("jail").map(str::to_owned),
                    force: flag("force"),
                };
                match self.judge.ban(&request, now) {
                    Ok(banned) => banned.effects,
                    Err(refusal) => return vec![format!("refused: {refusal}").replace(';', ",")],
                }
            }
            "unban" => {
                let unbanned = self.judge.unban(target(words[0]), now);
                let effects = shown_all(&unbanned.effects);
                let none = unbanned.lifted.is_empty().then(|| "not banned".to_owned());
                let still = unbanned.still.iter().map(|ban| format!("still banned as {} {}", ban.prefix, ban.origin));
                return effects.into_iter().chain(none).chain(still).collect();
            }
            other => panic!("no command {other}"),
        };
        shown_all(&effects)
    }

    /// A failure that is read as it is written; the effects as they are.
    pub(super) fn fail(&mut self, source: IpAddr, seconds: u64) -> Vec<Effect> {
        let (filter, weight, at) = ("cyrus".into(), Weight::ONE, self.now(seconds).wall.as_log_time());
        self.hear(Event::Failure(Attempt { filter, source, user: None, weight, at }), seconds)
    }

    /// The same of a login.
    pub(super) fn log_in(&mut self, source: IpAddr, seconds: u64) -> Vec<Effect> {
        let (filter, weight, at) = ("cyrus".into(), Weight::ZERO, self.now(seconds).wall.as_log_time());
        self.hear(Event::Success(Attempt { filter, source, user: None, weight, at }), seconds)
    }

    fn hear(&mut self, event: Event, seconds: u64) -> Vec<Effect> {
        let (now, events) = (self.now(seconds), &[event]);
        let position = Position { file: FileId(0), offset: 0 };
        self.judge.handle(Input::Line(Line { events, bytes: b"", position, sources: &[0], live: true }), now)
    }

    /// A ban by hand with the jail's words; the effects as they are.
    pub(super) fn hand(&mut self, what: &str, seconds: u64) -> Vec<Effect> {
        let now = self.now(seconds);
        let request = BanRequest { target: target(what), bantime: None, services: None, jail: None, force: false };
        self.judge.ban(&request, now).unwrap().effects
    }

    /// Another configuration.
    pub(super) fn configure(&mut self, seconds: u64, policy: Policy) -> Vec<String> {
        self.policy = policy.clone();
        let now = self.now(seconds);
        shown_all(&self.judge.handle(Input::Configure(Box::new(policy)), now))
    }
}

fn target(word: &str) -> Target {
    word.parse().map(Target::Address).or_else(|_| word.parse().map(Target::Prefix)).unwrap()
}

fn mask(word: &str) -> ServiceMask {
    match word {
        "smtp" => SMTP,
        "imap" => IMAP,
        "mail" => MAIL,
        "none" => ServiceMask::NONE,
        _ => panic!("no service {word}"),
    }
}

fn slot(map: &str, prefix: &str) -> Slot {
    let prefix: IpNet = prefix.parse().unwrap();
    match map {
        "hash" => Slot::exact(prefix).unwrap(),
        "trie" => Slot::net(prefix),
        _ => panic!("no map {map}"),
    }
}

/// `hash 192.0.2.1/32 mail until 600`, as effects show it.
fn entry(text: &str) -> Entry {
    let words: Vec<&str> = text.split_whitespace().collect();
    let flag = |name: &str| words.contains(&name);
    let until = match words.iter().position(|word| *word == "until") {
        Some(index) => Until::Boot(BootTime(words[index + 1].parse::<i64>().unwrap() * 1_000_000_000)),
        None => Until::Permanent,
    };
    Entry {
        slot: slot(words[0], words[1]),
        services: if flag("protected") { ServiceMask::NONE } else { mask(words[2]) },
        until,
        observe: flag("observing"),
        manual: flag("manual"),
        listed: flag("listed"),
        protected: flag("protected"),
    }
}

fn shown_all(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(shown).collect()
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Write(entry) => {
            let services = match entry.services {
                SMTP => "smtp",
                IMAP => "imap",
                MAIL => "mail",
                _ => "",
            };
            let until = match entry.until {
                Until::Boot(at) => format!("until {}", at.0 / 1_000_000_000),
                Until::Permanent => "for ever".to_owned(),
            };
            let flags = [(entry.observe, " observing"), (entry.manual, " manual"), (entry.listed, " listed")];
            let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
            if entry.protected {
                assert!(entry.services.is_empty() && entry.until == Until::Permanent);
                return format!("write {} protected", slot_shown(entry.slot));
            }
            format!("write {} {services} {until}{flags}", slot_shown(entry.slot))
        }
        Effect::Remove(slot) => format!("remove {}", slot_shown(*slot)),
        Effect::Report(report) => report_shown(report),
    }
}

fn slot_shown(slot: Slot) -> String {
    let map = match slot {
        Slot::V4(_) | Slot::V6(_) => "hash",
        Slot::NetV4(_) | Slot::NetV6(_) => "trie",
    };
    format!("{map} {}", slot.prefix())
}

fn report_shown(report: &Report) -> String {
    match report {
        Report::Banned { origin, prefix, until, observe, because } => {
            let until = until.map_or("for ever".to_owned(), |at| format!("until {}", at.0 / SECOND - EPOCH));
            let verb = if *observe { "would ban" } else { "banned" };
            let because = because.as_ref().map_or(String::new(), |because| {
                let reasons: String = because.reasons.iter().map(|reason| format!(", {reason}")).collect();
                format!(" for {}{reasons}", f64::from(because.failures) / 4.0)
            });
            format!("{verb} {prefix} {origin} {until}{because}")
        }
        Report::Unbanned { origin, prefix, why } => format!("unbanned {prefix} {origin}: {why}"),
        Report::Ignored { jail, source, protection, .. } => format!("ignored {source} by jail {jail}: {protection}"),
        Report::PrefixSpared { jail, prefix, sources, why } => {
            format!("spared {prefix} by jail {jail} for {sources}: {why}")
        }
        Report::StaleStamps(stale) => format!("stale stamps in file {}", stale.file.0),
        Report::LateFailure { prefix, address, after, .. } => {
            format!("late {address} of {prefix} after {} s", after.as_secs())
        }
        Report::SourcesEvicted { total, .. } => format!("evicted {total}"),
        Report::MapFull { map, yielded, waiting } => format!("full {map} yielded {yielded} waiting {waiting}"),
        Report::Restored { bans, ended, tallies } => format!("restored {bans}, ended {ended}, tallies {tallies}"),
        Report::ListFollowed { list, entries, added, removed } => {
            format!("followed {list} {entries} +{added} -{removed}")
        }
        Report::Adopted { bans } => format!("adopted {bans}"),
        Report::FuseTripped(_) => "fuse tripped".to_owned(),
        Report::FuseReset(tripped) => format!("fuse reset, {} spared", tripped.spared),
        Report::ManyBans { bans } => format!("many bans: {bans}"),
        Report::AccountUnderAttack { account, networks, untold } => {
            let untold = if *untold > 0 { format!(", {untold} untold") } else { String::new() };
            format!("account {account} under attack by {networks}{untold}")
        }
        Report::Shared { source, reason } => format!("shared {source}: {reason}"),
        Report::TrapLogsIn { trap } => format!("trap {trap} logs in"),
        Report::OutageBegan(state) => format!("outage {} began", state.filter),
        Report::OutageEnded(state) => format!("outage {} ended, {} lines", state.filter, state.lines),
    }
}
