//! How many failures something counts as.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Weight;

/// A number of failures, weighed: `3`, or with quarters `0.25`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Failures(Number);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

impl Failures {
    /// So many quarters of a failure.
    #[must_use]
    pub fn of_quarters(quarters: u64) -> Self {
        let one = u64::from(Weight::ONE.0);
        Self(if quarters.is_multiple_of(one) {
            Number::Whole(quarters / one)
        } else {
            Number::Fraction(quarters as f64 / one as f64)
        })
    }
}

impl From<Weight> for Failures {
    fn from(weight: Weight) -> Self {
        Self::of_quarters(weight.0.into())
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Number::Whole(number) => write!(f, "{number}"),
            Number::Fraction(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_failures_have_no_fraction() {
        for (quarters, expected) in [(0, "0"), (1, "0.25"), (4, "1"), (12, "3"), (6, "1.5")] {
            let failures = Failures::of_quarters(quarters);
            let json = serde_json::to_string(&failures).unwrap();
            assert_eq!((json.as_str(), failures.to_string().as_str()), (expected, expected));
            assert_eq!(serde_json::from_str::<Failures>(&json).unwrap(), failures);
        }
    }
}
