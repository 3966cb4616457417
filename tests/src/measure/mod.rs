//! What benchmarks share: who is measured, samples that are taken in turn, and a report of them.
//!
//! On a machine that does other things too, only what is measured side by side in one run says something: a benchmark measures
//! everybody once, then everybody again, and compares what it saw in the same round ([`Bench::ratio`]). Each has two ways to run:
//!
//! - `cargo xtask bench NAME` (`--bench`): in full;
//! - without `--bench`, as the tests run it: once, and small, so that it keeps working. Its figures mean nothing then, and no target
//!   is looked at.

mod arguments;
mod cost;
mod machine;
mod report;
mod spread;

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use self::arguments::Arguments;
pub use self::{
    cost::{Finished, Running, pause},
    machine::Machine,
    report::{Better, Bound, Curve, Missing, Point, Report, Series, Target},
    spread::Spread,
};

/// Whom banner is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As `--against` names it.
    pub name: &'static str,
    /// The program that has to be installed, on PATH or with its path; none for what comes with the benchmark.
    pub program: Option<&'static str>,
    /// How to get it.
    pub install: &'static str,
}

/// What is drawn in one picture: the same thing of everybody, maybe at several sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Short, lower case, in words joined by `_`: the key in JSON and the name of the picture.
    pub name: &'static str,
    /// What it is, as a heading.
    pub title: &'static str,
    /// Of its values.
    pub unit: &'static str,
    /// What is varied, where something is: "bans".
    pub size: Option<&'static str>,
    /// Which is the better one of two values.
    pub better: Better,
}

/// One run of a benchmark.
#[derive(Debug)]
pub struct Bench {
    arguments: Arguments,
    peers: Vec<Peer>,
    report: Report,
    json: Option<PathBuf>,
}

impl Bench {
    /// Begins one, by the arguments of this process.
    ///
    /// # Errors
    /// A peer that was asked for does not exist, or is not installed: the error says how to get it.
    pub fn start(name: &str, peers: &[Peer]) -> anyhow::Result<Self> {
        let arguments = Arguments::parse();
        let (peers, missing) = arguments.choose(peers)?;
        let machine = Machine::this()?;
        let report =
            Report { bench: name.to_owned(), smoke: arguments.is_smoke(), machine, missing, ..Report::default() };
        Ok(Self { json: arguments.json(), arguments, peers, report })
    }

    /// Whether it only has to show that it works.
    #[must_use]
    pub fn is_smoke(&self) -> bool {
        self.arguments.is_smoke()
    }

    /// One of two: in full, or where it only has to show that it works.
    pub fn sized<T>(&self, full: T, smoke: T) -> T {
        if self.is_smoke() { smoke } else { full }
    }

    /// How often everybody is measured, where `usual` is what makes sense.
    #[must_use]
    pub fn rounds(&self, usual: usize) -> usize {
        self.sized(self.arguments.rounds.unwrap_or(usual), 1)
    }

    /// Who is measured beside banner.
    #[must_use]
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Whether this one is.
    #[must_use]
    pub fn is_against(&self, name: &str) -> bool {
        self.peers.iter().any(|peer| peer.name == name)
    }

    /// What was measured of somebody in this round.
    pub fn sample(&mut self, quantity: &Quantity, who: &str, size: Option<u64>, value: f64) {
        self.report.sample(quantity, who, size, value);
    }

    /// How many times the other's values somebody's are, round by round; none where one of them was not measured.
    #[must_use]
    pub fn ratio(&self, quantity: &Quantity, size: Option<u64>, who: &str, other: &str) -> Option<Spread> {
        let samples = |who| self.report.samples(quantity, who, size);
        let ratios = samples(who)?.iter().zip(samples(other)?).map(|(value, other)| value / other);
        Spread::of(ratios)
    }

    /// The same without what nobody can do without: the floor's value is taken off both.
    #[must_use]
    pub fn ratio_above(
        &self,
        floor: &str,
        quantity: &Quantity,
        size: Option<u64>,
        who: &str,
        other: &str,
    ) -> Option<Spread> {
        let samples = |who| self.report.samples(quantity, who, size);
        let rounds = samples(who)?.iter().zip(samples(other)?).zip(samples(floor)?);
        Spread::of(rounds.map(|((value, other), floor)| (value - floor) / (other - floor)))
    }

    /// The values of somebody; none where there are none.
    #[must_use]
    pub fn values(&self, quantity: &Quantity, size: Option<u64>, who: &str) -> Option<Spread> {
        Spread::of(self.report.samples(quantity, who, size)?.iter().copied())
    }

    /// What banner promises, and whether it holds: by the median. Nothing where it was not measured, or only for show.
    pub fn target(&mut self, what: &str, measured: Option<Spread>, bound: Bound) {
        if let Some(measured) = measured.filter(|_| !self.is_smoke()) {
            self.report.targets.push(Target {
                what: what.to_owned(),
                measured,
                bound,
                met: bound.holds(measured.median),
            });
        }
    }

    /// Something that a reader of the figures has to know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.report.notes.push(text.into());
    }

    /// Prints the report, and writes it where it was asked for. The exit code of the benchmark: a failure where a target is missed.
    ///
    /// # Errors
    /// The file cannot be written, or nobody reads.
    pub fn finish(self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.json {
            let json = serde_json::to_vec_pretty(&self.report)?;
            fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let mut out = std::io::stdout().lock();
        write!(out, "{}", self.report)?;
        let missed = self.report.targets.iter().any(|target| !target.met);
        Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
