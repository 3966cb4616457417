//! Whatever is configured and whatever happens: what holds for the whole, not for one rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{disk::Disk, kernel::FakeKernel, *};
use crate::{
    clock::{BootTime, Now, WallTime},
    event::{Attempt, Event, FileId, Position, User, Weight},
    judge::{
        Effect, HostAddresses, Input, Judge, Line, Origin, Report,
        effect::{Entry, Map, Slot, Until},
        list::{List, ListAction, ListName},
        manual::{BanRequest, Target},
        policy::{Accounts, Customers, Fuse, Growth, Increment, Prefixes, Recidive, Spraying},
        reason::Reason,
        status::Ban,
    },
};

/// Long enough for what needs to have heard of logins for a day.
const START: u64 = 2 * 86_400;

/// Nothing that is configured lasts longer than this.
const LONGEST: u64 = 900;

const ROOM: usize = usize::MAX;

fn at(second: u64) -> Now {
    let wall = WallTime(1_700_000_000_000_000_i64.saturating_add_unsigned(second * 1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(second), wall }
}

/// Two IPv4 networks, one of IPv6 with two addresses of each /64, and one that was never seen.
fn address(number: u8) -> IpAddr {
    match number {
        0..8 => IpAddr::from([192, 0, 2, number]),
        8..12 => IpAddr::from([198, 51, 100, number]),
        _ => IpAddr::from([0x2001, 0xdb8, 0, u16::from(number % 6 / 2), 0, 0, 0, u16::from(number % 2)]),
    }
}

const ADDRESSES: u8 = 18;

fn addresses(numbers: &[u8]) -> Vec<IpAddr> {
    numbers.iter().map(|number| address(*number)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Fail {
        who: u8,
        account: u8,
        jails: Filter,
    },
    LogIn {
        who: u8,
        account: u8,
    },
    Wait(u64),
    Ban {
        prefix: IpNet,
        length: Option<u64>,
    },
    Unban(u8),
    UnbanPrefix(IpNet),
    Own(Vec<u8>),
    Ignore(Vec<u8>),
    List {
        is_ban: bool,
        prefixes: Vec<IpNet>,
    },
    Trip,
    Reset,
    /// The daemon is killed, and starts again.
    Restart,
}

/// Who told of a failure.
#[derive(Clone, Copy, Debug)]
enum Filter {
    /// Of both jails.
    Cyrus,
    /// Of one.
    Postfix,
}

fn prefix() -> impl Strategy<Value = IpNet> {
    (0..ADDRESSES, prop::sample::select(vec![(24_u8, 56_u8), (30, 63), (31, 64), (32, 64)])).prop_map(
        |(number, (v4, v6))| {
            let address = address(number);
            IpNet::new(address, if address.is_ipv4() { v4 } else { v6 }).unwrap().trunc()
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..ADDRESSES;
    let whom = || prop::collection::vec(0..ADDRESSES, 0..3);
    let filter = prop::sample::select(vec![Filter::Cyrus, Filter::Postfix]);
    prop_oneof![
        24 => (who(), 0_u8..6, filter).prop_map(|(who, account, jails)| Step::Fail { who, account, jails }),
        6 => (who(), 0_u8..6).prop_map(|(who, account)| Step::LogIn { who, account }),
        6 => prop_oneof![0_u64..5, 5_u64..400].prop_map(Step::Wait),
        1 => (prefix(), prop::option::of(1_u64..300)).prop_map(|(prefix, length)| Step::Ban { prefix, length }),
        2 => who().prop_map(Step::Unban),
        1 => prefix().prop_map(Step::UnbanPrefix),
        1 => whom().prop_map(Step::Own),
        1 => whom().prop_map(Step::Ignore),
        1 => (any::<bool>(), prop::collection::vec(prefix(), 0..3)).prop_map(|(is_ban, prefixes)| Step::List { is_ban, prefixes }),
        1 => Just(Step::Trip),
        1 => Just(Step::Reset),
        1 => Just(Step::Restart),
    ]
}

fn short() -> impl Strategy<Value = Duration> {
    (1_u64..400).prop_map(Duration::from_secs)
}

fn judging() -> impl Strategy<Value = Policy> {
    let increment = (short(), any::<bool>()).prop_map(|(maxtime, is_factor)| Increment {
        growth: if is_factor { Growth::Factor(2) } else { Growth::Multipliers(vec![1, 3, 2]) },
        maxtime,
        rndtime: Duration::from_secs(7),
        forget: Duration::from_secs(1000),
        without_logins: !is_factor,
    });
    let recidive = (2_u16..4, short(), short()).prop_map(|(maxretry, findtime, bantime)| Recidive {
        maxretry,
        findtime,
        bantime,
        services: MAIL,
        without_logins: true,
    });
    let customers = (any::<bool>(), short(), 2_u16..5, any::<bool>()).prop_map(|(raise, bantime, shared, clear)| {
        Customers { raise, bantime, shared, clear, ..Customers::default() }
    });
    let accounts = (short(), 2_u16..4, short(), short()).prop_map(|(window, maxretry, findtime, bantime)| Accounts {
        sources: 2,
        window,
        maxretry,
        findtime,
        bantime,
        traps: vec!["user5*".into()],
    });
    let spraying = (short(), short()).prop_map(|(findtime, bantime)| Spraying { accounts: 3, findtime, bantime });
    let prefixes = (2_u16..4, short(), short()).prop_map(|(members, findtime, bantime)| Prefixes {
        members,
        findtime,
        bantime,
        ..Prefixes::default()
    });
    let fuse = (short(), 2_u16..4).prop_map(|(window, customers)| Fuse {
        customers,
        window,
        bans: 5,
        without_logins: Vec::new(),
    });
    let rules = (
        prop::option::of(increment),
        prop::option::of(recidive),
        prop::option::of(customers),
        prop::option::of(accounts),
        prop::option::of(spraying),
        prop::option::of(prefixes),
        prop::option::of(fuse),
    );
    (jails(), rules, any::<bool>()).prop_map(|(jails, rules, is_small)| {
        let (increment, recidive, customers, accounts, spraying, prefixes, fuse) = rules;
        let limits = if is_small {
            Limits { sources: 4, evidence: 2, customers: 3 }
        } else {
            Limits { sources: 1000, evidence: 10, customers: 1000 }
        };
        Policy { increment, recidive, customers, accounts, spraying, prefixes, fuse, limits, ..Policy::plain(jails) }
    })
}

fn jails() -> impl Strategy<Value = Vec<Jail>> {
    let words = || (1_u16..5, 1_u64..500, 10_u64..400, any::<bool>());
    (words(), words()).prop_map(|(first, second)| {
        let made = |jail: Jail, (maxretry, findtime, bantime, observe): (u16, u64, u64, bool)| Jail {
            maxretry,
            findtime: Duration::from_secs(findtime),
            bantime: seconds(bantime),
            observe,
            ..jail
        };
        vec![made(mail(), (first.0, first.1, first.2, false)), made(jail("imap", "cyrus", IMAP), second)]
    })
}

/// A daemon without its files: what the judge is told, and what it must keep to.
struct Daemon {
    judge: Judge,
    kernel: FakeKernel,
    disk: Disk,
    policy: Policy,
    own: Vec<IpAddr>,
    lists: Vec<List>,
    /// From where somebody logged in.
    customers: BTreeSet<IpAddr>,
    second: u64,
}

impl Daemon {
    fn start(policy: Policy) -> Self {
        let mut daemon = Self {
            judge: Judge::new(policy.clone()).saved(),
            kernel: FakeKernel::with_room_for(ROOM),
            disk: Disk::default(),
            policy,
            own: Vec::new(),
            lists: Vec::new(),
            customers: BTreeSet::new(),
            second: 0,
        };
        // Logins have been heard of for long enough.
        let effects = daemon.told([203, 0, 113, 1].into(), Some("somebody"), Filter::Cyrus, Event::Success);
        daemon.carry_out(&effects);
        daemon.second = START;
        daemon
    }

    fn now(&self) -> Now {
        at(self.second)
    }

    fn told(&mut self, source: IpAddr, user: Option<&str>, told: Filter, event: fn(Attempt) -> Event) -> Vec<Effect> {
        let now = self.now();
        let filter = match told {
            Filter::Cyrus => "cyrus",
            Filter::Postfix => "postfix-sasl",
        };
        let user = user.map(|user| User::new(user.as_bytes()));
        let attempt = Attempt { filter: filter.into(), source, user, weight: Weight::ONE, at: now.wall.as_log_time() };
        let position = Position { file: FileId(0), offset: 0 };
        let events = &[event(attempt)];
        self.judge.handle(Input::Line(Line { events, bytes: b"the line", position, sources: &[0], live: true }), now)
    }

    fn carry_out(&mut self, effects: &[Effect]) {
        self.kernel.carry_out(effects, &[], self.now().boot);
    }

    /// The same, and no address passes or is dropped for a moment on the way. When time passes, several things happen at once.
    fn carry_out_as_one(&mut self, step: &Step, effects: &[Effect]) {
        let probes = if matches!(step, Step::Wait(_)) { 0 } else { ADDRESSES };
        let probes: Vec<IpAddr> = (0..probes).map(address).collect();
        self.kernel.carry_out(effects, &probes, self.now().boot);
    }

    fn host(&self) -> HostAddresses {
        HostAddresses { own: self.own.clone(), ..HostAddresses::default() }
    }

    fn is_protected(&self, address: IpAddr) -> bool {
        let listed = self.lists.iter().filter(|list| list.action == ListAction::Ignore);
        let listed = listed
            .flat_map(|list| list.prefixes.as_ref())
            .any(|prefixes| prefixes.iter().any(|prefix| prefix.contains(&address)));
        self.own.contains(&address) || listed || self.policy.ignoreip.iter().any(|net| net.contains(&address))
    }

    fn is_listed(&self, address: IpAddr) -> bool {
        let bad = self.lists.iter().filter(|list| list.action != ListAction::Ignore);
        bad.flat_map(|list| list.prefixes.as_ref())
            .any(|prefixes| prefixes.iter().any(|prefix| prefix.contains(&address)))
    }

    fn bans(&self) -> Vec<Ban> {
        let lists = [None].into_iter().chain(self.lists.iter().map(|list| Some(list.name)));
        lists.flat_map(|list| self.judge.bans_of(list, None, 10_000).bans).collect()
    }

    fn take(&mut self, step: &Step) -> Vec<Effect> {
        let now = self.now();
        let user = |account: u8| (account > 0).then(|| format!("user{account}"));
        match step {
            Step::Fail { who, account, jails } => {
                self.told(address(*who), user(*account).as_deref(), *jails, Event::Failure)
            }
            // Nobody logs in whose packets are dropped.
            Step::LogIn { who, .. } if self.kernel.drops(address(*who), MAIL, now.boot) => Vec::new(),
            Step::LogIn { who, account } => {
                self.customers.insert(address(*who));
                self.told(address(*who), user(*account).as_deref(), Filter::Cyrus, Event::Success)
            }
            Step::Wait(seconds) => {
                self.second += seconds;
                self.judge.handle(Input::Tick, self.now())
            }
            Step::Ban { prefix, length } => {
                let bantime = Some(length.map_or(BanTime::Permanent, seconds));
                let target = Target::Prefix(*prefix);
                let request = BanRequest { target, bantime, services: None, jail: None, force: false };
                self.judge.ban(&request, now).map_or_else(|_| Vec::new(), |banned| banned.effects)
            }
            Step::Unban(who) => self.judge.unban(Target::Address(address(*who)), now).effects,
            Step::UnbanPrefix(prefix) => self.judge.unban(Target::Prefix(*prefix), now).effects,
            Step::Own(numbers) => {
                self.own = addresses(numbers);
                self.judge.handle(Input::Protect(self.host()), now)
            }
            Step::Ignore(numbers) => {
                self.policy.ignoreip = addresses(numbers).into_iter().map(IpNet::from).collect();
                self.judge.handle(Input::Configure(Box::new(self.policy.clone())), now)
            }
            Step::List { is_ban, prefixes } => {
                let (name, action) = match is_ban {
                    true => ("bad", ListAction::Ban { services: MAIL, observe: false }),
                    false => ("good", ListAction::Ignore),
                };
                let prefixes = Some(prefixes.iter().copied().collect());
                let list = List { name: ListName::new(name), action, prefixes };
                self.lists.retain(|known| known.name != list.name);
                self.lists.push(list.clone());
                self.judge.handle(Input::List(list), now)
            }
            Step::Trip => self.judge.trip_fuse(Duration::from_secs(100), now),
            Step::Reset => self.judge.reset_fuse(now),
            Step::Restart => self.restart(),
        }
    }

    /// As the daemon does it: what is protected is known before what was saved, and that before what is found in the kernel.
    fn restart(&mut self) -> Vec<Effect> {
        let now = self.now();
        self.disk.commit(self.judge.changes(), 0);
        self.judge = Judge::new(self.policy.clone()).saved();
        let found = self.kernel.entries.values().copied().collect();
        let inputs = [
            Input::Protect(self.host()),
            Input::RestoreLists(self.lists.clone()),
            Input::Restore(self.disk.saved()),
            Input::Adopt(found),
        ];
        let mut effects = Vec::new();
        for input in inputs {
            effects.extend(self.judge.handle(input, now));
        }
        effects
    }

    /// What is said of each ban that a jail makes: how long it is at least and at most, and whom it may not meet.
    fn check_banned(&self, effects: &[Effect]) -> Result<(), TestCaseError> {
        for effect in effects {
            let Effect::Report(Report::Banned { origin: Origin::Jail(name), prefix, until, because, .. }) = effect
            else {
                continue;
            };
            let Some(jail) = self.policy.jails.iter().find(|jail| jail.name == *name) else { continue };
            let BanTime::For(configured) = jail.bantime else { panic!("it ends") };
            // Of who logged in lately the first ban is shorter, where that is configured so.
            let granted = self.policy.customers.as_ref().map_or(configured, |customers| customers.bantime);
            let shortest = configured.min(granted);
            let WallTime(until) = until.expect("it ends");
            let length = Duration::from_micros(u64::try_from(until - self.now().wall.0).unwrap());
            // A ban of a network is as long as that is configured.
            let network = self.policy.prefixes.map_or(shortest, |prefixes| prefixes.bantime);
            let because = because.as_ref().expect("something was counted");
            // Where a network's ban is split, those who stay banned are for the rest of its time.
            let is_rest = because.reasons.iter().any(|reason| matches!(reason, Reason::MemberOf(_)));
            prop_assert!(is_rest || length >= shortest.min(network), "{prefix} for {length:?}, {because:?}");
            prop_assert!(length <= Duration::from_secs(LONGEST), "{prefix} for {length:?}, {because:?}");
            prop_assert!(because.failures >= because.limit || !because.reasons.is_empty(), "{because:?}");
            let protected =
                (0..ADDRESSES).map(address).find(|probe| prefix.contains(probe) && self.is_protected(*probe));
            prop_assert_eq!(protected, None, "in {}", prefix);
            let is_network = prefix.prefix_len() < if prefix.addr().is_ipv4() { 32 } else { 64 };
            if is_network && self.policy.limits.customers > 100 {
                let customer = self.customers.iter().find(|customer| prefix.contains(*customer));
                prop_assert_eq!(customer, None, "logs in from {}, which was banned", prefix);
            }
        }
        Ok(())
    }

    /// What the kernel has and does is what the bans say, and what is protected passes.
    fn check_standing(&self) -> Result<(), TestCaseError> {
        let now = self.now().boot;
        let wanted = Map::ALL.into_iter().flat_map(|map| self.judge.entries(map, None));
        let wanted: BTreeMap<Slot, Entry> = wanted.map(|entry| (entry.slot, entry)).collect();
        prop_assert_eq!(&self.kernel.entries, &wanted);
        let bans = self.bans();
        for address in (0..ADDRESSES).map(address) {
            for service in [SMTP, IMAP] {
                let banned = bans.iter().any(|ban| {
                    let is_meant = ban.prefix.contains(&address) && ban.services.contains(service);
                    is_meant && !ban.observe && ban.until > Until::Boot(now)
                });
                let expected = banned && !self.is_protected(address);
                let drops = self.kernel.drops(address, service, now);
                let is_listed = self.is_listed(address) && !self.judge.lists_lag();
                prop_assert!(drops || self.is_protected(address) || !is_listed, "{address} is listed");
                prop_assert_eq!(drops, expected, "{} for {:?}, by {:#?}", address, service, &bans);
            }
        }
        Ok(())
    }

    /// No stream makes it remember more than it is configured to.
    fn check_memory(&self) -> Result<(), TestCaseError> {
        let limits = self.policy.limits;
        for jail in &self.judge.jails {
            prop_assert!(jail.tracked.len() <= limits.sources);
        }
        prop_assert!(self.judge.suspects.sources().len() <= limits.sources);
        prop_assert!(self.judge.customers.len() <= limits.customers);
        let explained = (0..ADDRESSES).filter(|number| self.judge.why(address(*number)).evidence.is_some());
        prop_assert!(explained.count() <= limits.evidence * 2, "two addresses of one /64 have one source");
        Ok(())
    }
}

proptest! {
    #[test]
    fn what_a_postmaster_counts_on_holds_whatever_is_configured_and_happens(
        policy in judging(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut daemon = Daemon::start(policy);
        for step in &steps {
            let effects = daemon.take(step);
            daemon.carry_out_as_one(step, &effects);
            daemon.check_banned(&effects)?;
            daemon.check_standing()?;
            daemon.check_memory()?;
            if let Step::Unban(who) = step {
                // Only what an operator or a list bans beside it goes on.
                let bans = daemon.bans().into_iter().filter(|ban| ban.prefix.contains(&address(*who)));
                let left = bans.filter(|ban| matches!(ban.origin, Origin::Jail(_))).collect::<Vec<_>>();
                prop_assert!(left.is_empty(), "{} was unbanned: {left:#?}", address(*who));
            }
        }
    }

    /// Nothing that others do, log in, trip or have banned saves a stranger who fails as often as is configured.
    #[test]
    fn a_stranger_is_banned_whatever_else_happens(policy in judging(), steps in prop::collection::vec(step(), 0..80)) {
        let mut daemon = Daemon::start(policy);
        for step in &steps {
            let effects = daemon.take(step);
            daemon.carry_out_as_one(step, &effects);
        }
        let stranger = IpAddr::from([192, 0, 2, 200]);
        let jail = daemon.policy.jails.first().unwrap();
        let (maxretry, services) = (jail.maxretry, jail.services);
        for _ in 0..maxretry {
            let effects = daemon.told(stranger, Some("stranger"), Filter::Postfix, Event::Failure);
            daemon.carry_out(&effects);
        }
        let now = daemon.now().boot;
        for service in [SMTP, IMAP].into_iter().filter(|service| services.contains(*service)) {
            prop_assert!(daemon.kernel.drops(stranger, service, now) || daemon.is_protected(stranger), "{service:?}");
        }
    }
}
