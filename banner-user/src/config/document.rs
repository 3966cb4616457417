//! Several TOML files read as one: their tables merged by key, every key and value with the place where it was written.
//!
//! The tree is read by hand rather than by serde, because serde stops at the first error.

use std::{
    collections::{BTreeMap, btree_map},
    ops::Range,
    path::PathBuf,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    findings::Findings,
    problem::{Problem, Quoted},
};

/// Where something was written: which file, and the bytes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl At {
    fn new(file: usize, span: &Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

/// A table, of one file or merged from several.
#[derive(Debug, Default)]
pub(super) struct Table<'t>(pub(super) BTreeMap<&'t str, Entry<'t>>);

/// What a key says.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    /// Where the key was written (first, for a table).
    pub(super) key_at: At,
    /// Where the value was written (first, for a table).
    pub(super) at: At,
    pub(super) content: Content<'t>,
}

/// A table can be merged; any other value is taken whole.
#[derive(Debug)]
pub(super) enum Content<'t> {
    Table(Table<'t>),
    Value(&'t DeValue<'t>),
}

/// Parses every file; where one is not TOML, all such errors of all files are found.
pub(super) fn parse<'t>(files: &'t [(PathBuf, String)], findings: &mut Findings<'_>) -> Vec<Spanned<DeTable<'t>>> {
    let parse = |(file, (_, text)): (usize, &'t (PathBuf, String))| {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            findings.error(At::new(file, &span), translated(error.message(), text.get(span).unwrap_or_default()));
        }
        table
    };
    files.iter().enumerate().map(parse).collect()
}

/// Says in the words of an operator what the parser says of the most common slips. Its messages are no promise: one that
/// is not recognised is shown as it is.
fn translated(message: &str, text: &str) -> Problem {
    if message == "duplicate key" {
        Problem::SetTwice(Quoted::new(text))
    } else if message.starts_with("cannot extend value") && text == "bantime" {
        // Behind `bantime = "1h"`, fail2ban's `bantime.increment = true`.
        Problem::Increment(Quoted::new(text))
    } else if message.starts_with("string values must be quoted") {
        if text.is_empty() { Problem::MissingValue } else { Problem::Unquoted(Quoted::new(text)) }
    } else {
        Problem::Syntax(message.to_owned())
    }
}

/// Merges parsed files: tables by key, everything else from the last file that sets it.
pub(super) fn merge<'t>(files: &'t [Spanned<DeTable<'t>>]) -> Table<'t> {
    let mut merged = Table::default();
    for (file, table) in files.iter().enumerate() {
        merged.merge(Table::of(file, table.get_ref()));
    }
    merged
}

impl<'t> Table<'t> {
    fn of(file: usize, table: &'t DeTable<'t>) -> Self {
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<_>)| {
            let key: &'t Spanned<std::borrow::Cow<'t, str>> = key;
            (&**key.get_ref(), Entry { key_at: At::new(file, &key.span()), ..Entry::of(file, value) })
        };
        Self(table.iter().map(entry).collect())
    }

    fn merge(&mut self, later: Self) {
        for (key, entry) in later.0 {
            match self.0.entry(key) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(entry);
                }
                btree_map::Entry::Occupied(mut occupied) => match (&mut occupied.get_mut().content, entry) {
                    (Content::Table(earlier), Entry { content: Content::Table(later), .. }) => earlier.merge(later),
                    (_, entry) => {
                        occupied.insert(entry);
                    }
                },
            }
        }
    }
}

impl<'t> Entry<'t> {
    /// A value without a key of its own: an element of a list, for instance.
    pub(super) fn of(file: usize, value: &'t Spanned<DeValue<'t>>) -> Self {
        let at = At::new(file, &value.span());
        let value = value.get_ref();
        let content = value.as_table().map_or(Content::Value(value), |table| Content::Table(Table::of(file, table)));
        Self { key_at: at, at, content }
    }

    /// The elements of a list, placed in the file of the list; none where it is no list.
    pub(super) fn elements(&self) -> Option<impl Iterator<Item = Self> + use<'t>> {
        let file = self.at.file;
        let list = match self.content {
            Content::Table(_) => None,
            Content::Value(value) => value.as_array(),
        };
        list.map(|elements| elements.iter().map(move |element| Entry::of(file, element)))
    }
}
