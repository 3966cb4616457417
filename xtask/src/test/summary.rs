//! What came of the parts.

use std::{ops::AddAssign, time::Duration};

use crate::terminal::Terminal;

/// Tests, counted. A part without tests of its own counts as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
}

impl Counts {
    pub(super) const PASSED: Self = Self { passed: 1, failed: 0, ignored: 0 };
    pub(super) const FAILED: Self = Self { passed: 0, failed: 1, ignored: 0 };

    /// What a line of libtest says, in colour or not: `test result: ok. 8 passed; 0 failed; 1 ignored; ..`; other lines
    /// count nothing.
    pub(super) fn from_line(line: &str) -> Self {
        let Some(result) = line.strip_prefix("test result: ") else { return Self::default() };
        let words: Vec<_> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        let before = |name: &str| {
            let number = words.windows(2).find_map(|pair| (pair.last() == Some(&name)).then(|| pair.first())?);
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self { passed: before("passed"), failed: before("failed"), ignored: before("ignored") }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The parts that ran, in their order.
#[derive(Default)]
pub(super) struct Summary(Vec<(String, Counts, Duration)>);

impl Summary {
    pub(super) fn add(&mut self, part: &str, counts: Counts, took: Duration) {
        self.0.push((part.to_owned(), counts, took));
    }

    pub(super) fn failed(&self) -> bool {
        self.0.iter().any(|(_, counts, _)| counts.failed > 0)
    }

    /// A table, and as the last line the sum.
    pub(super) fn print(&self, terminal: &Terminal) {
        terminal.heading("summary");
        let mut sum = Counts::default();
        for (part, counts, took) in &self.0 {
            let mut row = format!("{part:<12} {:>7.1} s  {:>5} passed", took.as_secs_f64(), counts.passed);
            for (number, what) in [(counts.failed, "failed"), (counts.ignored, "ignored")] {
                if number > 0 {
                    row += &format!(", {number} {what}");
                }
            }
            match *counts {
                Counts { failed: 1.., .. } => terminal.bad(row),
                Counts { passed: 0, .. } => terminal.note(row),
                Counts { .. } => terminal.good(row),
            }
            sum += *counts;
        }
        let total: Duration = self.0.iter().map(|(_, _, took)| *took).sum();
        terminal.line(format_args!("  {:<12} {:>7.1} s\n", "together", total.as_secs_f64()));
        terminal.line(format_args!("{} passed, {} failed", sum.passed, sum.failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_counted() {
        let counted = |line| {
            let Counts { passed, failed, ignored } = Counts::from_line(line);
            (passed, failed, ignored)
        };
        assert_eq!(counted("test result: ok. 8 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out"), (8, 0, 2));
        assert_eq!(counted("test result: FAILED. 7 passed; 3 failed; 0 ignored"), (7, 3, 0));
        assert_eq!(counted("test result: \x1b[32mok\x1b[m. 8 passed; 0 failed; 0 ignored"), (8, 0, 0));
        assert_eq!(counted("test a ... ok: 4 passed"), (0, 0, 0));
    }
}
