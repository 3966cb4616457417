use proptest::prelude::*;

use super::*;

/// Seen at this second; 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Second(i64);

impl Aged for Second {
    fn newest(&self) -> Option<LogTime> {
        (self.0 > 0).then_some(LogTime(self.0 * 1_000_000))
    }

    fn shift(&mut self, step: i64) {
        self.0 += step / 1_000_000;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Update(u8, i64),
    Remove(u8),
    RemoveWithin(u8),
    Restore(u8, i64),
    ForgetOldest,
    TakeChanged,
    NoteChanged(u8),
    Shift(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let source = || 0_u8..40;
    prop_oneof![
        6 => (source(), 1_i64..30).prop_map(|(source, at)| Step::Update(source, at)),
        2 => source().prop_map(Step::Remove),
        1 => source().prop_map(Step::RemoveWithin),
        1 => (source(), 1_i64..30).prop_map(|(source, at)| Step::Restore(source, at)),
        2 => Just(Step::ForgetOldest),
        1 => Just(Step::TakeChanged),
        1 => source().prop_map(Step::NoteChanged),
        1 => (1_i64..5).prop_map(Step::Shift),
    ]
}

/// IPv4 and IPv6, of several lengths.
fn source(number: u8) -> IpNet {
    let text = match number % 4 {
        0 => format!("192.0.2.{number}/32"),
        1 => format!("198.51.{number}.0/24"),
        2 => format!("2001:db8:0:{number}::/64"),
        _ => format!("2001:db8::{number}/128"),
    };
    text.parse().unwrap()
}

/// What a source that never collides, a list that is always sorted, and a set come to.
#[derive(Debug, Default)]
struct Model {
    /// In the order of their ages, of one age in which they came to it.
    queue: Vec<(IpNet, Second)>,
    changed: BTreeSet<IpNet>,
}

impl Model {
    fn put(&mut self, source: IpNet, value: Second) {
        match self.queue.iter_mut().find(|(known, _)| *known == source) {
            Some((_, known)) if *known == value => {}
            _ => {
                self.queue.retain(|(known, _)| *known != source);
                self.queue.push((source, value));
            }
        }
        self.queue.sort_by_key(|(_, value)| value.0);
    }

    fn remove(&mut self, is_meant: impl Fn(IpNet) -> bool) -> usize {
        let before = self.queue.len();
        self.changed.extend(self.queue.iter().map(|(source, _)| *source).filter(|source| is_meant(*source)));
        self.queue.retain(|(source, _)| !is_meant(*source));
        before - self.queue.len()
    }
}

proptest! {
    #[test]
    fn it_is_a_list_that_is_sorted_by_age(steps in prop::collection::vec(step(), 1..200)) {
        let (mut recent, mut model) = (Recent::<Second>::watched(), Model::default());
        for step in steps {
            match step {
                Step::Update(number, at) => {
                    recent.update(source(number), |value| value.0 = at);
                    model.put(source(number), Second(at));
                    model.changed.insert(source(number));
                }
                Step::Remove(number) => {
                    let removed = recent.remove(source(number));
                    prop_assert_eq!(removed, model.remove(|known| known == source(number)) > 0);
                }
                Step::RemoveWithin(number) => {
                    let prefix = source(number).supernet().unwrap().supernet().unwrap();
                    prop_assert_eq!(recent.remove_within(prefix), model.remove(|known| prefix.contains(&known)));
                }
                Step::Restore(number, at) => {
                    recent.restore(source(number), Second(at));
                    model.queue.retain(|(known, _)| *known != source(number));
                    model.put(source(number), Second(at));
                }
                Step::ForgetOldest => {
                    recent.forget_oldest();
                    if let Some((oldest, _)) = model.queue.first().copied() {
                        model.remove(|known| known == oldest);
                    }
                }
                Step::TakeChanged => {
                    prop_assert_eq!(recent.take_changed(), Some(std::mem::take(&mut model.changed)));
                }
                Step::NoteChanged(number) => {
                    recent.note_changed(source(number));
                    model.changed.insert(source(number));
                }
                Step::Shift(seconds) => {
                    recent.shift(seconds * 1_000_000);
                    model.queue.iter_mut().for_each(|(_, value)| value.0 += seconds);
                    model.changed.extend(model.queue.iter().map(|(source, _)| *source));
                }
            }
            prop_assert_eq!(recent.len(), model.queue.len());
            let oldest = model.queue.first().and_then(|(_, value)| value.newest());
            prop_assert_eq!(recent.oldest(), oldest);
            let mut sorted = model.queue.clone();
            sorted.sort_by_key(|(source, _)| *source);
            prop_assert_eq!(recent.iter().map(|(source, value)| (source, *value)).collect::<Vec<_>>(), sorted);
            for number in 0..40 {
                prop_assert_eq!(recent.has_changed(source(number)), model.changed.contains(&source(number)));
                let known = model.queue.iter().find(|(known, _)| *known == source(number)).map(|(_, value)| value);
                prop_assert_eq!(recent.get(source(number)), known);
            }
        }
        let by_age: Vec<_> = std::iter::from_fn(|| {
            let oldest = recent.ages.values().next().map(|queue| recent.entry(queue.first).source);
            recent.forget_oldest();
            oldest.flatten()
        })
        .collect();
        prop_assert_eq!(by_age, model.queue.iter().map(|(source, _)| *source).collect::<Vec<_>>());
        prop_assert!(recent.ages.is_empty() && recent.index.is_empty());
    }
}

#[test]
fn places_are_used_again() {
    let mut recent = Recent::<Second>::new();
    for round in 1..=100 {
        for number in 0..40 {
            recent.update(source(number), |value| value.0 = round);
        }
        (0..40).for_each(|_| recent.forget_oldest());
    }
    assert_eq!((recent.len(), recent.entries.len()), (0, 40));
}
