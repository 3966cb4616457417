//! The failures themselves, for `why`: what an operator reads before deciding whether a ban was right.

use std::{borrow::Cow, collections::VecDeque, convert::Infallible};

use ipnet::IpNet;

use super::recent::{Aged, Recent};
use crate::{
    clock::LogTime,
    event::{Attempt, Position},
};

/// The newest failures of a source that are kept.
pub const FAILURES_MAX: usize = 10;

/// The bytes of the newest failure's line that are kept.
pub const LINE_MAX: usize = 512;

/// One failure, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Filter, full address, user, weight, and the time that the line claims.
    pub attempt: Attempt,
    /// When it counts: the claimed time, or its arrival where that is not to be believed.
    pub at: LogTime,
    /// The line.
    pub position: Position,
}

/// What is kept of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// At most [`FAILURES_MAX`], in the order in which they were read.
    pub failures: VecDeque<Failure>,
    /// The first [`LINE_MAX`] bytes of the line of the last one. Attacker text.
    pub line: Box<[u8]>,
    newest: Option<LogTime>,
}

impl Aged for Evidence {
    type Brief = Infallible;

    fn newest(&self) -> Option<LogTime> {
        self.newest
    }

    fn shift(&mut self, step: i64) {
        self.newest = self.newest.map(|newest| newest.shifted(step));
    }

    fn brief(&self) -> Option<(Infallible, bool)> {
        None
    }

    fn from_brief(brief: Infallible, _: bool) -> Self {
        match brief {}
    }
}

/// The evidence of a bounded number of sources; beyond, that of the source whose last failure is oldest is forgotten.
#[derive(Debug)]
pub(super) struct Archive {
    sources: Recent<Evidence>,
}

impl Archive {
    pub(super) fn new() -> Self {
        Self { sources: Recent::new() }
    }

    /// Moves the ages of all by so many microseconds; the failures stay as their lines have them.
    pub(super) fn shift(&mut self, step: i64) {
        self.sources.shift(step);
    }

    pub(super) fn get(&self, source: IpNet) -> Option<&Evidence> {
        match self.sources.get(source)? {
            Cow::Borrowed(evidence) => Some(evidence),
            Cow::Owned(_) => None, // It has no brief form.
        }
    }

    pub(super) fn keep(&mut self, source: IpNet, failure: Failure, line: &[u8], limit: usize) {
        self.sources.update(source, |evidence| {
            evidence.newest = evidence.newest.max(Some(failure.at));
            evidence.line = line.get(..LINE_MAX).unwrap_or(line).into();
            if evidence.failures.len() == FAILURES_MAX {
                evidence.failures.pop_front();
            } else if evidence.failures.is_empty() {
                evidence.failures.reserve_exact(1); // Most have no others.
            }
            evidence.failures.push_back(failure);
        });
        self.bound(limit);
    }

    pub(super) fn bound(&mut self, limit: usize) {
        while self.sources.len() > limit {
            self.sources.forget_oldest();
        }
    }
}
