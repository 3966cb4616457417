//! What a benchmark has found: as a table for people, as JSON for programs.
//!
//! The JSON is the serialised [`Report`]; keys are added, and never change what they mean.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Machine, Quantity, Spread};

/// Everything that one benchmark has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub bench: String,
    /// It only had to show that it works: the figures mean nothing.
    pub smoke: bool,
    /// What was measured on.
    pub machine: Machine,
    /// In the order in which they were measured.
    pub series: Vec<Series>,
    /// What banner promises.
    pub targets: Vec<Target>,
    /// Peers that were left out.
    pub missing: Vec<Missing>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// One [`Quantity`] of everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// [`Quantity::name`].
    pub name: String,
    /// [`Quantity::title`].
    pub title: String,
    /// [`Quantity::unit`].
    pub unit: String,
    /// [`Quantity::size`].
    pub size: Option<String>,
    /// [`Quantity::better`].
    pub better: Better,
    /// In the order in which they were first measured.
    pub curves: Vec<Curve>,
}

/// Of somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Whose.
    pub who: String,
    /// In the order in which they were first measured.
    pub points: Vec<Point>,
}

/// At one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Which, where something is varied.
    pub size: Option<u64>,
    /// One a round.
    pub samples: Vec<f64>,
    /// Their shape.
    pub spread: Spread,
}

/// Which is the better one of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The smaller one.
    Less,
    /// The greater one.
    More,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
}

impl Bound {
    /// Whether it is.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// Something that banner promises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What is measured.
    pub what: String,
    /// What came out.
    pub measured: Spread,
    /// What the median has to be.
    pub bound: Bound,
    /// Whether it is.
    pub met: bool,
}

/// A peer that is not installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Who.
    pub peer: String,
    /// How to get it.
    pub install: String,
}

impl Report {
    pub(super) fn sample(&mut self, quantity: &Quantity, who: &str, size: Option<u64>, value: f64) {
        let series = of(&mut self.series, |series| series.name == quantity.name, || Series::new(quantity));
        let curve =
            of(&mut series.curves, |curve| curve.who == who, || Curve { who: who.to_owned(), points: Vec::new() });
        let begun = || Point { size, samples: Vec::new(), spread: Spread::exactly(value) };
        let point = of(&mut curve.points, |point| point.size == size, begun);
        point.samples.push(value);
        point.spread = Spread::of(point.samples.iter().copied()).unwrap_or(point.spread);
    }

    pub(super) fn samples(&self, quantity: &Quantity, who: &str, size: Option<u64>) -> Option<&[f64]> {
        let series = self.series.iter().find(|series| series.name == quantity.name)?;
        series.of(who)?.at(size).map(|point| point.samples.as_slice())
    }
}

/// The one that is meant, which is made where it is not there.
fn of<T>(all: &mut Vec<T>, is_meant: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let index = all.iter().position(is_meant).unwrap_or(all.len());
    if index == all.len() {
        all.push(make());
    }
    #[expect(clippy::indexing_slicing, reason = "it was found there, or has just been put there")]
    &mut all[index]
}

impl Series {
    fn new(quantity: &Quantity) -> Self {
        Self {
            name: quantity.name.to_owned(),
            title: quantity.title.to_owned(),
            unit: quantity.unit.to_owned(),
            size: quantity.size.map(str::to_owned),
            better: quantity.better,
            curves: Vec::new(),
        }
    }

    /// Somebody's.
    #[must_use]
    pub fn of(&self, who: &str) -> Option<&Curve> {
        self.curves.iter().find(|curve| curve.who == who)
    }

    /// Every size at which anybody was measured, in their order; `None` first, where nothing is varied.
    #[must_use]
    pub fn sizes(&self) -> BTreeSet<Option<u64>> {
        self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.size).collect()
    }
}

impl Curve {
    /// What was measured at a size.
    #[must_use]
    pub fn at(&self, size: Option<u64>) -> Option<&Point> {
        self.points.iter().find(|point| point.size == size)
    }
}

/// A table a series: those who were measured as rows, the sizes as columns. Markdown, so that it can be taken into a document.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.smoke {
            return writeln!(f, "{}: it works; a run for show says nothing about speed", self.bench);
        }
        for series in &self.series {
            write!(f, "{series}")?;
        }
        if !self.targets.is_empty() {
            writeln!(f, "\n| target | bound | measured (middle half) | |\n| --- | --: | --: | --- |")?;
        }
        for Target { what, measured, bound, met } in &self.targets {
            writeln!(f, "| {what} | {bound} | {measured} | {} |", if *met { "met" } else { "MISSED" })?;
        }
        if !(self.missing.is_empty() && self.notes.is_empty()) {
            writeln!(f)?;
        }
        for Missing { peer, install } in &self.missing {
            writeln!(f, "- {peer} was left out, since it is not installed: {install}")?;
        }
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let better = match self.better {
            Better::Less => "less is better",
            Better::More => "more is better",
        };
        writeln!(f, "\n{}: {}, {better}; median (middle half)\n", self.title, self.unit)?;
        let sizes = self.sizes();
        write!(f, "| |")?;
        for size in &sizes {
            match (size, &self.size) {
                (Some(size), Some(what)) => write!(f, " {} {what} |", Grouped(*size))?,
                _ => write!(f, " {} |", self.unit)?,
            }
        }
        writeln!(f, "\n| --- |{}", " --: |".repeat(sizes.len()))?;
        for curve in &self.curves {
            write!(f, "| {} |", curve.who)?;
            for size in &sizes {
                match curve.at(*size) {
                    Some(point) => write!(f, " {} |", point.spread)?,
                    None => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Figure(self.median))?;
        if self.low < self.high { write!(f, " ({} to {})", Figure(self.low), Figure(self.high)) } else { Ok(()) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {}", Figure(*most)),
            Self::AtLeast(least) => write!(f, "≥ {}", Figure(*least)),
        }
    }
}

/// A value by three digits that say something.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        let digits = match value.abs() {
            ..1.0 => 3,
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        let text = format!("{value:.digits$}");
        match text.parse::<u64>() {
            Ok(whole) => write!(f, "{}", Grouped(whole)),
            Err(_) => write!(f, "{text}"),
        }
    }
}

/// A number whose thousands are set apart.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                write!(f, ",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Quantity = Quantity {
        name: "drop",
        title: "Dropping on veth",
        unit: "ns a packet",
        size: Some("bans"),
        better: Better::Less,
    };

    #[test]
    fn a_report_is_a_table_for_people_and_json_for_programs() {
        let mut report = Report { bench: "packet".to_owned(), ..Report::default() };
        for (round, more) in [0.0, 10.0, 20.0].into_iter().enumerate() {
            report.sample(&COST, "banner", Some(1), 100.0 + more);
            report.sample(&COST, "banner", Some(100_000), 200.0);
            report.sample(&COST, "nft", Some(100_000), 1234.5 + more);
            assert_eq!(report.samples(&COST, "nft", Some(100_000)).map(<[f64]>::len), Some(round + 1));
        }
        let (measured, bound) = (Spread::exactly(0.162), Bound::AtMost(0.5));
        report.targets.push(Target { what: "banner / nft".to_owned(), measured, bound, met: true });
        report.missing.push(Missing { peer: "ipset".to_owned(), install: "apt-get install ipset".to_owned() });
        assert_eq!(
            report.to_string(),
            "
Dropping on veth: ns a packet, less is better; median (middle half)

| | 1 bans | 100,000 bans |
| --- | --: | --: |
| banner | 110 (100 to 120) | 200 |
| nft | | 1,244 (1,234 to 1,254) |

| target | bound | measured (middle half) | |
| --- | --: | --: | --- |
| banner / nft | ≤ 0.500 | 0.162 | met |

- ipset was left out, since it is not installed: apt-get install ipset
"
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
