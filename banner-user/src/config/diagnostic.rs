//! A problem with its place, and how both are shown.

use std::{fmt, ops::Range, path::PathBuf};

use super::problem::Problem;
use crate::event::Escaped;

/// Whether the configuration can be used nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but is probably not what was meant.
    Warning,
}

/// A problem and where it is. Shown as compilers do:
///
/// ```text
/// error: unknown key `maxretyr`
///   --> /etc/banner/banner.toml:7:1
///   |
/// 7 | maxretyr = 5
///   | ^^^^^^^^ did you mean `maxretry`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
    /// Where; none for a problem of a whole file or of the whole configuration.
    pub place: Option<Place>,
}

/// A place in a file, with the line that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line, or the part of it around the place, escaped.
    excerpt: String,
    /// Where in the excerpt, in characters; at least one long.
    marked: Range<usize>,
}

impl Place {
    /// What is shown of a line, in characters.
    const WIDTH: usize = 120;
    /// What is shown before the place, where the line is longer.
    const BEFORE: usize = 40;

    /// The place of some bytes of a file. Of a span of several lines, the part in the first.
    pub(crate) fn new(path: PathBuf, text: &[u8], span: Range<usize>) -> Self {
        let (before, from) = text.split_at(span.start.min(text.len()));
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line_before = before.split_at(line_start).1;
        let line_from = from.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line_from = line_from.strip_suffix(b"\r").unwrap_or(line_from);
        let (inside, after) = line_from.split_at(span.len().min(line_from.len()));

        // A backslash stays single: the patterns of filters are full of them.
        let escaped = |bytes: &[u8]| -> String {
            let parts: Vec<_> = bytes.split(|byte| *byte == b'\\').map(|part| Escaped(part).to_string()).collect();
            parts.join("\\")
        };
        let (shown_before, shown_inside) = (escaped(line_before), escaped(inside));
        let (offset, length) = (shown_before.chars().count(), shown_inside.chars().count());
        let whole = format!("{shown_before}{shown_inside}{}", escaped(after));
        let cut = if whole.chars().count() > Self::WIDTH { offset.saturating_sub(Self::BEFORE) } else { 0 };
        let start = offset - cut;
        Self {
            path,
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(line_before).chars().count() + 1,
            excerpt: whole.chars().skip(cut).take(Self::WIDTH).collect(),
            marked: start..(start + length).clamp(start + 1, Self::WIDTH.max(start + 1)),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", self.problem)?;
        let hint = self.problem.hint();
        let Some(place) = &self.place else {
            return if hint.is_empty() { Ok(()) } else { writeln!(f, "  = {hint}") };
        };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let path = Escaped(place.path.as_os_str().as_encoded_bytes());
        writeln!(f, "{margin} --> {path}:{number}:{}", place.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", place.excerpt)?;
        let marks = format!("{}{}", " ".repeat(place.marked.start), "^".repeat(place.marked.len()));
        writeln!(f, "{}", format!("{margin} | {marks} {hint}").trim_end())
    }
}

/// Everything that makes a configuration unusable: at least one error, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    pub(super) listed: Vec<Diagnostic>,
    /// Errors beyond those listed.
    pub(super) unlisted: usize,
}

impl Errors {
    /// The most that are listed; the rest is counted.
    pub(super) const LISTED_MAX: usize = 50;

    /// The errors, at most fifty; [`fmt::Display`] says how many more there are.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.listed.iter()
    }

    /// Adds one that is not among them.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.listed.contains(&diagnostic) {
            return;
        }
        if self.listed.len() < Self::LISTED_MAX {
            self.listed.push(diagnostic);
        } else {
            self.unlisted += 1;
        }
    }
}

impl From<Diagnostic> for Errors {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { listed: vec![diagnostic], unlisted: 0 }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.listed.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index == 0 { "" } else { "\n" })?;
        }
        if self.unlisted > 0 {
            writeln!(f, "\nerror: and {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
