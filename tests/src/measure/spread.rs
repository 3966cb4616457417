//! The shape of a few values.

use serde::{Deserialize, Serialize};

/// Where the middle of some values is, and the middle half of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// A quarter of the values is smaller.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
}

impl Spread {
    /// None of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Some(Self { low: at(&values, 1, 4)?, median: at(&values, 1, 2)?, high: at(&values, 3, 4)? })
    }

    /// What is the same in every round.
    #[must_use]
    pub fn exactly(value: f64) -> Self {
        Self { low: value, median: value, high: value }
    }
}

/// The value that this part of the sorted ones is not above: the upper one of two.
fn at(sorted: &[f64], part: usize, of: usize) -> Option<f64> {
    sorted.get((sorted.len() * part / of).min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_of_the_values_is_told() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0]), Some(Spread::exactly(3.0)));
        assert_eq!(Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]), Some(Spread { low: 2.0, median: 3.0, high: 4.0 }));
    }
}
