use std::{collections::BTreeMap, net::Ipv6Addr, num::NonZeroU32};

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;

/// Brief while it is even.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Value {
    number: u32,
    at: Option<i64>,
    is_in_step: bool,
}

impl Aged for Value {
    type Brief = (NonZeroU32, i32);

    fn newest(&self) -> Option<LogTime> {
        self.at.map(LogTime)
    }

    fn shift(&mut self, step: i64) {
        self.at = self.at.map(|at| at + step);
    }

    fn brief(&self) -> Option<(Self::Brief, bool)> {
        let number = NonZeroU32::new(self.number).filter(|number| number.get() % 2 == 0)?;
        Some(((number, i32::try_from(self.at?).ok()?), self.is_in_step))
    }

    fn from_brief((number, at): Self::Brief, is_in_step: bool) -> Self {
        Self { number: number.get(), at: Some(at.into()), is_in_step }
    }

    fn is_in_step(&self) -> bool {
        self.is_in_step
    }
}

/// Sources of all kinds; number 0 to 99.
fn source(number: u32) -> IpNet {
    match number % 4 {
        0 => IpNet::V4(Ipv4Net::new((0xC000_0200 + number).into(), 32).unwrap()),
        1 => IpNet::V4(Ipv4Net::new((0xC000_0200 + (number << 4)).into(), 28).unwrap()),
        2 => IpNet::V6(Ipv6Net::new(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(number) << 64), 64).unwrap()),
        _ => IpNet::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(number)).into()),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Update { source: u32, at: i64, is_in_step: bool },
    Restore { source: u32, at: i64 },
    Remove(u32),
    RemoveWithin(u8),
    Forget,
    Shift(i64),
    Save,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_u32..100, 0_i64..1000, any::<bool>())
            .prop_map(|(source, at, is_in_step)| Step::Update { source, at, is_in_step }),
        2 => (0_u32..100, 0_i64..1000).prop_map(|(source, at)| Step::Restore { source, at }),
        5 => (0_u32..100).prop_map(Step::Remove),
        1 => (0_u8..3).prop_map(Step::RemoveWithin),
        5 => Just(Step::Forget),
        1 => (-5_i64..5).prop_map(Step::Shift),
        2 => Just(Step::Save),
    ]
}

proptest! {
    /// Against a sorted map of everything, searched through.
    #[test]
    fn it_keeps_and_forgets_what_a_sorted_map_does(steps in prop::collection::vec(step(), 1..300)) {
        let mut recent = Recent::<Value>::watched();
        let (mut model, mut changed) = (BTreeMap::<IpNet, Value>::new(), BTreeSet::new());
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Update { source: of, at, is_in_step } => {
                    // Mostly onwards.
                    let value = Value { number, at: Some(i64::from(number) * 10 + at / 100 - at % 7 * 100), is_in_step };
                    let former = recent.update(source(of), |known| mem::replace(known, value));
                    prop_assert_eq!(former, model.insert(source(of), value).unwrap_or_default());
                    changed.insert(source(of));
                }
                Step::Restore { source: of, at } => {
                    let value = Value { number, at: Some(at), is_in_step: true };
                    recent.restore(source(of), value);
                    model.insert(source(of), value);
                }
                Step::Remove(of) => {
                    let was_there = model.remove(&source(of)).is_some();
                    prop_assert_eq!(recent.remove(source(of)), was_there);
                    changed.extend(was_there.then_some(source(of)));
                }
                Step::RemoveWithin(which) => {
                    let prefix = ["192.0.2.0/26", "2001:db8::/59", "2001:db8::/122"][usize::from(which)].parse().unwrap();
                    let inside: Vec<IpNet> = model.range(range(prefix)).map(|(source, _)| *source).collect();
                    prop_assert_eq!(recent.remove_within(prefix), inside.len());
                    model.retain(|source, _| !inside.contains(source));
                    changed.extend(inside);
                }
                Step::Forget => {
                    let oldest = model.values().map(|value| value.at).min();
                    prop_assert_eq!(recent.oldest(), oldest.flatten().map(LogTime));
                    let sources: BTreeSet<IpNet> = recent.iter().map(|(source, _)| source).collect();
                    recent.forget_oldest();
                    let left: BTreeSet<IpNet> = recent.iter().map(|(source, _)| source).collect();
                    for gone in sources.difference(&left) {
                        let value = model.remove(gone);
                        prop_assert_eq!(value.map(|value| value.at), oldest);
                        changed.insert(*gone);
                    }
                }
                Step::Shift(by) => {
                    recent.shift(by);
                    model.values_mut().for_each(|value| value.shift(by));
                    changed.extend(model.keys());
                }
                Step::Save => {
                    prop_assert_eq!(recent.take_changed(), Some(mem::take(&mut changed).into_iter().collect()));
                }
            }
            let now: Vec<_> = recent.iter().map(|(source, value)| (source, *value)).collect();
            prop_assert_eq!(now, model.iter().map(|(source, value)| (*source, *value)).collect::<Vec<_>>());
            prop_assert_eq!(recent.len(), model.len());
            for number in 0..100 {
                prop_assert_eq!(recent.get(source(number)).map(Cow::into_owned), model.get(&source(number)).copied());
                prop_assert_eq!(recent.has_changed(source(number)), changed.contains(&source(number)));
            }
        }
    }
}

#[test]
fn the_oldest_goes_first_whatever_the_order_in_which_they_came_and_of_equals_the_first() {
    let mut recent = Recent::<Value>::new();
    for (number, at) in [(0, 50), (1, 10), (2, 30), (3, 10), (4, 60), (1, 70)] {
        recent.update(source(number), |value| *value = Value { number: 2, at: Some(at), is_in_step: true });
    }
    let mut order = Vec::new();
    while recent.len() > 0 {
        let before: BTreeSet<IpNet> = recent.iter().map(|(source, _)| source).collect();
        recent.forget_oldest();
        order.extend(before.into_iter().filter(|source| recent.get(*source).is_none()));
    }
    assert_eq!(order, [3, 2, 0, 4, 1].map(source));
}

#[test]
fn a_place_that_is_another_ones_by_now_tells_of_both() {
    let mut recent = Recent::<Value>::watched();
    recent.update(source(1), |value| value.at = Some(1));
    recent.remove(source(1));
    recent.update(source(2), |value| value.at = Some(2));
    assert_eq!(recent.take_changed(), Some(vec![source(1), source(2)]));
    assert_eq!(recent.take_changed(), Some(Vec::new()));
    recent.update(source(2), |value| value.at = Some(3));
    assert_eq!(recent.take_changed(), Some(vec![source(2)]), "is noted again");
}

#[test]
fn too_many_changes_are_not_remembered_and_it_begins_anew_after_that() {
    let mut recent = Recent::<Value>::watched();
    let source = |number: u32| IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
    for number in 0..=u32::try_from(CHANGED_MAX).unwrap() {
        recent.note_changed(source(number));
    }
    recent.update(source(1), |value| value.at = Some(1));
    assert!(recent.has_changed(source(1)));
    assert_eq!(recent.take_changed(), None);
    recent.update(source(1), |value| value.at = Some(2));
    assert_eq!(recent.take_changed(), Some(vec![source(1)]));
}

#[test]
fn a_million_sources_fit() {
    assert!(size_of::<Entry<<Value as Aged>::Brief>>() <= 36);
    assert_eq!(size_of::<Entry<<crate::judge::jail::Tracked as Aged>::Brief>>(), 36);
    assert_eq!(size_of::<Entry<<crate::judge::Suspect as Aged>::Brief>>(), 32);
    assert_eq!(size_of::<Entry<<crate::judge::neighbours::Neighbours as Aged>::Brief>>(), 32);
}
