//! Random batches, reopened at random moments, against a model that is two maps and a list.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    /// A batch that says everything, of a judge that knows nothing of some bans.
    Everything {
        forgotten: usize,
    },
    Restart,
    /// The wall clock is set by so many seconds.
    Set(i64),
}

#[derive(Clone, Debug)]
enum Change {
    Began { prefix: usize, hand: bool, length: Option<i64>, cause: bool },
    Ended { prefix: usize, hand: bool },
    Counted { source: usize, failures: usize },
    Forgiven { source: usize },
    Read { file: usize, offset: u64 },
    Left { file: usize },
}

const PREFIXES: [&str; 4] = ["192.0.2.1/32", "192.0.2.0/24", "2001:db8::/64", "2001:db8::/32"];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..4_usize, any::<bool>(), prop::option::of(1..5_000_i64), any::<bool>())
            .prop_map(|(prefix, hand, length, cause)| Change::Began { prefix, hand, length, cause }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(prefix, hand)| Change::Ended { prefix, hand }),
        2 => (0..4_usize, 1..5_usize).prop_map(|(source, failures)| Change::Counted { source, failures }),
        1 => (0..4_usize).prop_map(|source| Change::Forgiven { source }),
        2 => (0..3_usize, 0..1_000_000_u64).prop_map(|(file, offset)| Change::Read { file, offset }),
        1 => (0..3_usize).prop_map(|file| Change::Left { file }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(change(), 0..12).prop_map(Step::Commit),
        1 => (0..4_usize).prop_map(|forgotten| Step::Everything { forgotten }),
        2 => Just(Step::Restart),
        1 => (-100_000..100_000_i64).prop_map(Step::Set),
    ]
}

#[derive(Default)]
struct Model {
    bans: BTreeMap<(IpNet, Origin), (SavedBan, bool)>,
    /// Prefix, origin and beginning, with whether the cause is known and why it ended.
    history: BTreeMap<(IpNet, Origin, BootTime), (bool, String)>,
    tallies: BTreeMap<IpNet, SavedTally>,
    positions: BTreeMap<u64, Bookmark>,
}

impl Model {
    fn end(&mut self, prefix: IpNet, origin: &Origin, why: &str) {
        if let Some((ban, cause)) = self.bans.remove(&(prefix, origin.clone())) {
            self.history.insert((prefix, origin.clone(), ban.since), (cause, why.to_owned()));
        }
    }

    /// Takes a change, and returns the batch's part of it.
    fn apply(&mut self, change: &Change, batch: &mut Batch, now: Now) {
        let origin = |hand: bool| if hand { Origin::Hand } else { Origin::Jail("mail".into()) };
        match *change {
            Change::Began { prefix, hand, length, cause } => {
                let until =
                    length.map_or(Until::Permanent, |length| Until::Boot(BootTime(now.boot.0 + length * SECOND)));
                let ban = SavedBan { origin: origin(hand), until, ..ban(PREFIXES[prefix], now, 0) };
                let key = (ban.prefix, ban.origin.clone());
                // The same ban again, without its cause, keeps it.
                let kept = self.bans.get(&key).is_some_and(|(old, cause)| *cause && old.since == ban.since);
                self.bans.insert(key, (ban.clone(), cause || kept));
                let with_cause = began(ban.clone());
                batch.changes.bans.push(if cause { with_cause } else { BanChange::Began { ban, cause: None } });
            }
            Change::Ended { prefix, hand } => {
                let (prefix, origin) = (PREFIXES[prefix].parse().unwrap(), origin(hand));
                self.end(prefix, &origin, "its time is over");
                batch.changes.bans.push(BanChange::Ended { prefix, origin, at: now.boot, why: Ended::Expired });
            }
            Change::Counted { source, failures } => {
                let source: IpNet = PREFIXES[source].parse().unwrap();
                let failures = (0..failures)
                    .map(|at| Counted { at: LogTime(i64::try_from(at).unwrap()), weight: Weight::ONE, account: None })
                    .collect();
                let tally = SavedTally { jail: "mail".into(), source, failures, told: false };
                self.tallies.insert(source, tally.clone());
                batch.changes.tallies.push(TallyChange::Counted(tally));
            }
            Change::Forgiven { source } => {
                let source: IpNet = PREFIXES[source].parse().unwrap();
                self.tallies.remove(&source);
                batch.changes.tallies.push(TallyChange::Gone { jail: "mail".into(), source });
            }
            Change::Read { file, offset } => {
                let PositionChange::Is(position) = read_to(Batch::new(now), offset).positions.changes.remove(0) else {
                    panic!("it is a position")
                };
                let position = Bookmark { key: file as u64, ..position };
                self.positions.insert(position.key, position.clone());
                batch.positions.changes.push(PositionChange::Is(position));
            }
            Change::Left { file } => {
                self.positions.remove(&(file as u64));
                batch.positions.changes.push(PositionChange::Gone(file as u64));
            }
        }
    }

    /// Everything, without the first so many bans.
    fn everything(&mut self, forgotten: usize, now: Now) -> Batch {
        let gone: Vec<_> = self.bans.keys().take(forgotten).cloned().collect();
        for (prefix, origin) in gone {
            self.end(prefix, &origin, "unknown");
        }
        let mut batch = complete(now);
        batch.changes.bans =
            self.bans.values().map(|(ban, _)| BanChange::Began { ban: ban.clone(), cause: None }).collect();
        batch.changes.tallies = self.tallies.values().cloned().map(TallyChange::Counted).collect();
        batch.positions.changes = self.positions.values().cloned().map(PositionChange::Is).collect();
        batch
    }

    fn check(&self, loaded: Loaded, world: &mut World) {
        let mut bans = loaded.saved.bans;
        bans.sort_by_key(|ban| (ban.prefix, ban.origin.clone()));
        assert_eq!(bans, self.bans.values().map(|(ban, _)| ban.clone()).collect::<Vec<_>>());
        let mut tallies = loaded.saved.tallies;
        tallies.sort_by_key(|tally| tally.source);
        assert_eq!(tallies, self.tallies.values().cloned().collect::<Vec<_>>());
        let mut positions = loaded.positions;
        positions.sort_by_key(|position| position.key);
        assert_eq!(positions, self.positions.values().cloned().collect::<Vec<_>>());
        assert_eq!(loaded.notices, []);
        let prefixes = PREFIXES.map(|prefix| prefix.parse().unwrap()).to_vec();
        let history = block_on(world.store().history(prefixes, 1_000)).unwrap().unwrap();
        let told =
            history.bans.iter().map(|ban| (ban.prefix, ban.origin.clone(), ban.cause.is_some(), ban.why.clone()));
        let mut told: Vec<_> = told.collect();
        told.sort();
        let mut expected: Vec<_> = self
            .history
            .iter()
            .map(|((prefix, origin, _), (cause, why))| (*prefix, origin.clone(), *cause, why.clone()))
            .collect();
        expected.sort();
        assert_eq!(told, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn random_batches_reopened_at_random_are_what_a_model_says(steps in prop::collection::vec(step(), 1..25)) {
        let (mut world, _) = World::new();
        let (mut model, mut now) = (Model::default(), at(0));
        assert_eq!(world.commit(complete(now)), Outcome::Committed);
        for step in steps.into_iter().chain([Step::Restart]) {
            now = Now { boot: BootTime(now.boot.0 + 7 * SECOND), wall: WallTime(now.wall.0 + 7_000_000) };
            match step {
                Step::Commit(changes) => {
                    let mut batch = Batch::new(now);
                    // No two within one batch at the same moment: each begins a nanosecond later.
                    for change in &changes {
                        now.boot.0 += 1;
                        model.apply(change, &mut batch, now);
                    }
                    prop_assert_eq!(world.commit(batch), Outcome::Committed);
                }
                Step::Everything { forgotten } => {
                    let batch = model.everything(forgotten, now);
                    prop_assert_eq!(world.commit(batch), Outcome::Committed);
                }
                Step::Restart => {
                    let loaded = world.restart(now);
                    model.check(loaded, &mut world);
                }
                Step::Set(by) => now.wall.0 += by * 1_000_000,
            }
        }
    }
}
