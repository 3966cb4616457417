//! Collects everything that is wrong in one run, so that an operator need not find it one by one.

use std::path::PathBuf;

use super::{
    diagnostic::{Diagnostic, Errors, Place, Severity},
    document::At,
    problem::Problem,
};

/// What was found wrong so far.
pub(super) struct Findings<'f> {
    files: &'f [(PathBuf, String)],
    errors: Vec<(At, Diagnostic)>,
    warnings: Vec<Diagnostic>,
    unlisted: usize,
}

impl<'f> Findings<'f> {
    pub(super) fn new(files: &'f [(PathBuf, String)]) -> Self {
        Self { files, errors: Vec::new(), warnings: Vec::new(), unlisted: 0 }
    }

    pub(super) fn error(&mut self, at: At, problem: Problem) {
        if self.errors.len() < Errors::LISTED_MAX {
            let place = self.place(at);
            self.errors.push((at, Diagnostic { severity: Severity::Error, problem, place }));
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn warn(&mut self, at: Option<At>, problem: Problem) {
        if self.warnings.len() < Errors::LISTED_MAX {
            let place = at.and_then(|at| self.place(at));
            self.warnings.push(Diagnostic { severity: Severity::Warning, problem, place });
        }
    }

    fn place(&self, at: At) -> Option<Place> {
        let (path, text) = self.files.get(at.file)?;
        Some(Place::new(path.clone(), text.as_bytes(), at.start..at.end))
    }

    /// The errors so far, in the order of the files and of what stands in them.
    pub(super) fn check(&mut self) -> Result<(), Errors> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by_key(|(at, _)| *at);
        Err(Errors { listed: errors.into_iter().map(|(_, diagnostic)| diagnostic).collect(), unlisted: self.unlisted })
    }

    /// The warnings, or the errors.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Errors> {
        self.check()?;
        Ok(self.warnings)
    }
}
