//! Takes values out of a table as the types that they must have. What is not is noted, and the reading goes on.

use std::{collections::BTreeSet, fmt::Display, path::PathBuf, time::Duration};

use toml::de::{DeInteger, DeValue};

use super::{
    document::{At, Content, Entry, Table},
    duration::{self, DurationError},
    findings::Findings,
    problem::{Problem, Quoted},
};
use crate::nearest::nearest;

/// What fail2ban calls a key, and what it is called here.
const SYNONYMS: [(&str, &str); 4] =
    [("logpath", "source"), ("port", "services"), ("dbfile", "state_dir"), ("dbpurgeage", "history_age")];

/// The keys that a table can have, and where the table is.
#[derive(Debug)]
pub(super) struct Keys {
    home: &'static str,
    pub(super) names: &'static [&'static str],
}

/// The keys outside of any table.
pub(super) const ROOT: Keys = Keys {
    home: "at the top of the file, above every `[table]`",
    names: &[
        "interface",
        "attach",
        "socket",
        "state_dir",
        "bpffs",
        "time_zone",
        "ignoreip",
        "ignoreself",
        "ipv6_prefix",
        "observe",
        "limits",
        "services",
        "customers",
        "fuse",
        "increment",
        "recidive",
        "prefixes",
        "accounts",
        "spraying",
        "jail",
        "list",
    ],
};

/// The keys of `[limits]`.
pub(super) const LIMITS: Keys = Keys {
    home: "in `[limits]`",
    names: &["bans_v4", "bans_v6", "prefixes", "sources", "evidence", "customers", "history", "history_age"],
};

/// The keys of `[customers]`.
pub(super) const CUSTOMERS: Keys =
    Keys { home: "in `[customers]`", names: &["enabled", "remember", "raise", "bantime", "shared", "clear"] };
/// The keys of `[fuse]`.
pub(super) const FUSE: Keys = Keys { home: "in `[fuse]`", names: &["enabled", "customers", "window", "bans"] };

/// The keys of `[increment]`.
pub(super) const INCREMENT: Keys = Keys {
    home: "in `[increment]`",
    names: &["enabled", "factor", "multipliers", "maxtime", "rndtime", "forget", "without_logins"],
};

/// The keys of `[recidive]`.
pub(super) const RECIDIVE: Keys = Keys {
    home: "in `[recidive]`",
    names: &["enabled", "maxretry", "findtime", "bantime", "services", "without_logins"],
};

/// The keys of `[prefixes]`.
pub(super) const PREFIXES: Keys =
    Keys { home: "in `[prefixes]`", names: &["enabled", "members", "findtime", "bantime", "ipv4", "ipv6"] };

/// The keys of `[accounts]`.
pub(super) const ACCOUNTS: Keys = Keys {
    home: "in `[accounts]`",
    names: &["enabled", "sources", "window", "maxretry", "findtime", "bantime", "traps"],
};

/// The keys of `[spraying]`.
pub(super) const SPRAYING: Keys =
    Keys { home: "in `[spraying]`", names: &["enabled", "accounts", "findtime", "bantime"] };

/// All of them: a key of another table is only misplaced.
const TABLES: [&Keys; 11] =
    [&ROOT, &LIMITS, &JAIL, &LIST, &INCREMENT, &RECIDIVE, &PREFIXES, &CUSTOMERS, &FUSE, &ACCOUNTS, &SPRAYING];

/// The keys of `[jail.NAME]`.
pub(super) const JAIL: Keys = Keys {
    home: "in a jail, such as `[jail.mail]`",
    names: &["enabled", "filter", "source", "maxretry", "findtime", "bantime", "services", "ignoreip", "observe"],
};

/// The keys of `[list.NAME]`.
pub(super) const LIST: Keys =
    Keys { home: "in a list, such as `[list.drop]`", names: &["file", "action", "services", "observe"] };

/// A table that is read. Whoever reads it takes every key, and then calls [`Section::finish`].
pub(super) struct Section<'t> {
    table: Table<'t>,
    keys: Keys,
}

impl<'t> Section<'t> {
    pub(super) fn new(table: Table<'t>, keys: Keys) -> Self {
        Self { table, keys }
    }

    /// The value of a key, if it is set.
    pub(super) fn take(&mut self, key: &str) -> Option<Item<'t>> {
        self.table.0.remove_entry(key).map(|(key, entry)| Item { key, entry })
    }

    /// Notes every key that nobody took.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        for (key, entry) in &self.table.0 {
            let problem = unknown(key, &self.keys);
            findings.error(entry.key_at, problem);
        }
    }
}

fn unknown(typed: &str, keys: &Keys) -> Problem {
    let key = Quoted::new(typed);
    // As in fail2ban's files.
    if typed == "DEFAULT" {
        return Problem::NoDefaults(key);
    }
    if let Some(other) = TABLES.iter().find(|other| other.names.contains(&typed)) {
        return Problem::MisplacedKey { key, home: other.home };
    }
    let synonym = SYNONYMS.iter().find(|(theirs, ours)| *theirs == typed && keys.names.contains(ours));
    let nearest = synonym.map(|(_, ours)| *ours).or_else(|| nearest(typed, keys.names.iter().copied()));
    Problem::UnknownKey { key, nearest, known: keys.names }
}

/// The items of a table whose keys are names that the operator gives, in the order in which they were written.
pub(super) fn named(table: Table<'_>) -> Vec<Item<'_>> {
    let mut items: Vec<_> = table.0.into_iter().map(|(key, entry)| Item { key, entry }).collect();
    items.sort_by_key(Item::key_at);
    items
}

/// A key with its value.
pub(super) struct Item<'t> {
    pub(super) key: &'t str,
    entry: Entry<'t>,
}

/// A string and where it was written.
pub(super) type Text<'t> = (&'t str, At);

impl<'t> Item<'t> {
    /// Where the key was written.
    pub(super) fn key_at(&self) -> At {
        self.entry.key_at
    }

    /// Where the value was written.
    pub(super) fn at(&self) -> At {
        self.entry.at
    }

    pub(super) fn quoted_key(&self) -> Quoted {
        Quoted::new(self.key)
    }

    /// The value, where it is no table.
    fn value(&self) -> Option<&'t DeValue<'t>> {
        match self.entry.content {
            Content::Table(_) => None,
            Content::Value(value) => Some(value),
        }
    }

    /// Whether the value is this string.
    pub(super) fn is(&self, text: &str) -> bool {
        self.value().and_then(DeValue::as_str) == Some(text)
    }

    pub(super) fn is_table(&self) -> bool {
        self.value().is_none()
    }

    /// Whether the value is this number.
    pub(super) fn is_number(&self, number: i64) -> bool {
        self.value().and_then(DeValue::as_integer).is_some_and(|integer| as_i64(integer) == Some(number))
    }

    pub(super) fn table(self, findings: &mut Findings<'_>) -> Option<Table<'t>> {
        match self {
            Self { entry: Entry { content: Content::Table(table), .. }, .. } => Some(table),
            other => other.wrong_type("a table, written with its name in brackets", findings),
        }
    }

    /// Whether the value is `true` or `false`.
    pub(super) fn is_flag(&self) -> bool {
        self.value().is_some_and(DeValue::is_bool)
    }

    pub(super) fn flag(&self, findings: &mut Findings<'_>) -> Option<bool> {
        let flag = self.value().and_then(DeValue::as_bool);
        flag.or_else(|| self.wrong_type("`true` or `false`", findings))
    }

    pub(super) fn string(&self, findings: &mut Findings<'_>) -> Option<&'t str> {
        let text = self.value().and_then(DeValue::as_str);
        text.or_else(|| self.wrong_type("a string", findings))
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number<T>(&self, least: T, most: T, findings: &mut Findings<'_>) -> Option<T>
    where
        T: Copy + TryFrom<i64> + PartialOrd + Display,
    {
        let Some(integer) = self.value().and_then(DeValue::as_integer) else {
            return self.wrong_type("a whole number", findings);
        };
        let number = as_i64(integer).and_then(|number| T::try_from(number).ok());
        let within = number.filter(|number| (least..=most).contains(number));
        if within.is_none() {
            let (least, most) = (least.to_string(), most.to_string());
            findings.error(self.at(), Problem::OutOfRange { key: self.quoted_key(), least, most });
        }
        within
    }

    /// A duration; `or` is said beside the hint, where the key takes something else too.
    pub(super) fn duration(&self, or: &'static str, findings: &mut Findings<'_>) -> Option<Duration> {
        let parsed = if let Some(text) = self.value().and_then(DeValue::as_str) {
            duration::parse(text)
        } else if let Some(integer) = self.value().and_then(DeValue::as_integer) {
            let seconds = as_i64(integer).and_then(|seconds| u64::try_from(seconds).ok());
            seconds.ok_or(DurationError::OutOfRange).and_then(duration::from_seconds)
        } else {
            return self.wrong_type("a duration: \"10m\", \"1h30m\", or seconds as a number", findings);
        };
        match parsed {
            Ok(duration) => Some(duration),
            Err(error) => {
                findings.error(self.at(), Problem::Duration { key: self.quoted_key(), error, or });
                None
            }
        }
    }

    /// An absolute path.
    pub(super) fn path(&self, findings: &mut Findings<'_>) -> Option<PathBuf> {
        let text = self.string(findings)?;
        absolute((text, self.at()), findings).map(PathBuf::from)
    }

    /// The elements of a list; a value that is no list is the only element.
    pub(super) fn elements(self) -> Vec<Self> {
        let key = self.key;
        match self.entry.elements() {
            Some(elements) => elements.map(|entry| Self { key, entry }).collect(),
            None => vec![self],
        }
    }

    /// One string or several: at least one, and none twice.
    pub(super) fn names(self, findings: &mut Findings<'_>) -> Vec<Text<'t>> {
        let (at, key) = (self.at(), self.quoted_key());
        let elements = self.elements();
        if elements.is_empty() {
            findings.error(at, Problem::Empty(key));
        }
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for element in elements {
            let Some(name) = element.string(findings) else { continue };
            if seen.insert(name) {
                names.push((name, element.at()));
            } else {
                findings.error(element.at(), Problem::ListedTwice(Quoted::new(name)));
            }
        }
        names
    }

    fn wrong_type<T>(&self, expected: &'static str, findings: &mut Findings<'_>) -> Option<T> {
        let found = match self.value() {
            None | Some(DeValue::Table(_)) => "a table",
            Some(DeValue::String(_)) => "a string",
            Some(DeValue::Integer(_)) => "a whole number",
            Some(DeValue::Float(_)) => "a number with a fraction",
            Some(DeValue::Boolean(_)) => "a boolean",
            Some(DeValue::Datetime(_)) => "a date or time",
            Some(DeValue::Array(_)) => "a list",
        };
        findings.error(self.at(), Problem::WrongType { key: self.quoted_key(), found, expected });
        None
    }
}

/// An absolute path, as [`PathBuf`] and the kernel take it.
pub(super) fn absolute<'t>((path, at): Text<'t>, findings: &mut Findings<'_>) -> Option<&'t str> {
    if !path.starts_with('/') {
        findings.error(at, Problem::RelativePath(Quoted::new(path)));
        None
    } else if path.contains('\0') {
        findings.error(at, Problem::NulInPath(Quoted::new(path)));
        None
    } else {
        Some(path)
    }
}

/// None for one that no `i64` holds.
fn as_i64(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
