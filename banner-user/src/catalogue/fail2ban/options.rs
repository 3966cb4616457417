//! The values of options, with the names in them replaced.
//!
//! | written | stands for | looked up |
//! | --- | --- | --- |
//! | `%%` | `%` | |
//! | `%(name)s` | the option | in the jail, in the section, in `[DEFAULT]` |
//! | `%(known/name)s` | what the option was before a later file replaced it | else in `[DEFAULT]` |
//! | `%(section/name)s` | the option there | else in `[DEFAULT]` |
//! | `<name>` | the option; a tag that names none stays as it is | in the jail, in `[Init]`, in `[Definition]`, in `[DEFAULT]` |
//! | `<section/name>` | the option there | in `[DEFAULT]` too |
//! | `<a-<b>>` | first `<b>`, then the tag that it makes, which must name an option | |
//!
//! All `%(..)s` are replaced first, then the tags, until nothing is left to replace.

use std::{cell::Cell, collections::BTreeMap};

use super::{error::ImportError, files::Merged};
use crate::nearest::nearest;

/// The section that has the filter.
const DEFINITION: &str = "Definition";
/// The section with defaults for what a jail may set.
const INIT: &str = "Init";

/// How deep `%(name)s` may be nested: Python's own limit.
const DEPTH_MAX: usize = 10;
/// The longest that a value may become, in bytes.
const LENGTH_MAX: usize = 1 << 16;
/// How many names may be replaced for one value. Debian's own filters need some hundred.
const STEPS_MAX: usize = 2_000;

/// What fail2ban itself reads of `[Definition]` and a jail may therefore set in any filter.
const OWN: [&str; 8] =
    ["prefregex", "failregex", "ignoreregex", "datepattern", "maxlines", "usedns", "journalmatch", "logtype"];

/// The options of a filter as one jail uses it.
pub(super) struct Options<'m> {
    files: &'m Merged,
    /// What the jail sets.
    jail: BTreeMap<String, String>,
    /// What was replaced so far for the value at hand.
    steps: Cell<usize>,
}

impl<'m> Options<'m> {
    pub(super) fn new(files: &'m Merged, jail: Vec<(String, String)>) -> Result<Self, ImportError> {
        let definition = files.sections.get(DEFINITION).ok_or(ImportError::NoDefinition)?;
        let init = files.sections.get(INIT).into_iter().flat_map(BTreeMap::keys);
        let known: Vec<&str> =
            definition.keys().chain(init).chain(files.defaults.keys()).map(String::as_str).chain(OWN).collect();
        for (option, _) in &jail {
            if !known.contains(&option.as_str()) {
                let nearest = nearest(option, known.iter().copied()).map(str::to_owned);
                return Err(ImportError::UnknownOption { option: option.clone(), nearest });
            }
        }
        let mut jail: BTreeMap<_, _> = jail.into_iter().collect();
        // fail2ban sets it by where the lines come from, unless the filter has its own.
        if !definition.contains_key("logtype") {
            jail.entry("logtype".to_owned()).or_insert_with(|| "file".to_owned());
        }
        Ok(Self { files, jail, steps: Cell::new(0) })
    }

    /// The value of an option; none where it is not set.
    pub(super) fn value(&self, option: &str) -> Result<Option<String>, ImportError> {
        self.steps.set(0);
        match self.tag(option, option)? {
            Some(value) => self.without_tags(option, value).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the tags in a value.
    fn without_tags(&self, option: &str, mut value: String) -> Result<String, ImportError> {
        let mut from = 0;
        // Whether something was replaced since the search last began at the start: it may have made a tag around it.
        let mut changed = false;
        loop {
            let Some((start, end)) = innermost_tag(&value, from) else {
                if !changed {
                    return Ok(value);
                }
                (from, changed) = (0, false);
                continue;
            };
            let name = value.get(start + 1..end - 1).unwrap_or_default().to_owned();
            let Some(replacement) = self.tag(option, &name)? else {
                from = end;
                continue;
            };
            if name == option {
                return Err(endless(option));
            }
            self.step(option, value.len() + replacement.len())?;
            value.replace_range(start..end, &replacement);
            if let Some(composed) = composed(&value, start, start + replacement.len())
                && self.tag(option, composed)?.is_none()
            {
                return Err(ImportError::NoSuchName { option: option.to_owned(), name: composed.to_owned() });
            }
            (from, changed) = (start, true);
        }
    }

    /// What a tag names, its `%(..)s` replaced; none where there is no such option. `option` is whose value it is for.
    fn tag(&self, option: &str, name: &str) -> Result<Option<String>, ImportError> {
        if let Some(set) = self.jail.get(name) {
            return Ok(Some(set.clone()));
        }
        let interpolated =
            |section, text: Option<&String>| text.map(|text| self.interpolated(option, section, text, 0)).transpose();
        if let Some(set) = self.files.sections.get(INIT).and_then(|init| init.get(name)) {
            return interpolated(INIT, Some(set));
        }
        let lower = name.to_lowercase();
        let Some((section, inner)) =
            name.split_once('/').and_then(|(section, _)| Some((section, lower.split_once('/')?.1)))
        else {
            return interpolated(DEFINITION, self.own(DEFINITION, &lower));
        };
        match section.to_lowercase().as_str() {
            "known" if self.files.sections.get(INIT).is_some_and(|init| init.contains_key(inner)) => {
                interpolated(INIT, self.own(INIT, inner))
            }
            "known" => {
                let known = self.files.known.get(DEFINITION).and_then(|known| known.get(inner));
                interpolated(DEFINITION, known.or_else(|| self.own(DEFINITION, inner)))
            }
            "default" => interpolated(DEFINITION, self.files.defaults.get(inner)),
            _ if self.files.sections.contains_key(section) => interpolated(section, self.own(section, inner)),
            _ => Ok(None),
        }
    }

    /// Replaces every `%(name)s`.
    fn interpolated(&self, option: &str, section: &str, text: &str, depth: usize) -> Result<String, ImportError> {
        if depth > DEPTH_MAX {
            return Err(endless(option));
        }
        let mut value = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            value.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                value.push('%');
                rest = after;
                continue;
            }
            let name = after.strip_prefix('(').and_then(|inside| inside.split_once(")s"));
            let Some((name, after)) = name else { return Err(ImportError::Percent { option: option.to_owned() }) };
            let raw = self.named(section, &name.to_lowercase());
            let raw =
                raw.ok_or_else(|| ImportError::NoSuchName { option: option.to_owned(), name: name.to_owned() })?;
            self.step(option, value.len())?;
            value.push_str(&self.interpolated(option, section, raw, depth + 1)?);
            rest = after;
        }
        value.push_str(rest);
        Ok(value)
    }

    /// What `%(name)s` in a section means.
    fn named(&self, section: &str, name: &str) -> Option<&String> {
        if let Some(set) = self.jail.get(name).or_else(|| self.own(section, name)) {
            return Some(set);
        }
        let (place, name) = name.split_once('/')?;
        let there = match place {
            "default" => None,
            "known" => self.files.known.get(section).and_then(|known| known.get(name)),
            place => self.files.sections.get(place)?.get(name),
        };
        there.or_else(|| self.files.defaults.get(name))
    }

    /// An option of a section or of `[DEFAULT]`.
    fn own(&self, section: &str, name: &str) -> Option<&String> {
        let own = self.files.sections.get(section).and_then(|section| section.get(name));
        own.or_else(|| self.files.defaults.get(name))
    }

    fn step(&self, option: &str, length: usize) -> Result<(), ImportError> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX || length > LENGTH_MAX { Err(endless(option)) } else { Ok(()) }
    }
}

fn endless(option: &str) -> ImportError {
    ImportError::Endless { option: option.to_owned(), limit: LENGTH_MAX }
}

/// The first `<...>` at or after `from` that has neither a space nor another `<` in it, with its brackets.
fn innermost_tag(value: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = None;
    for (at, byte) in value.bytes().enumerate().skip(from) {
        match byte {
            b'<' => start = Some(at),
            b' ' => start = None,
            b'>' => match start {
                Some(start) if at > start + 1 => return Some((start, at + 1)),
                _ => start = None,
            },
            _ => {}
        }
    }
    None
}

/// The name of the tag that a replacement at `start..end` has become part of: only such tags are there to be replaced; others
/// may be plain text.
fn composed(value: &str, start: usize, end: usize) -> Option<&str> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/');
    let bytes = value.as_bytes();
    let before = bytes.get(..start)?.iter().rev().take_while(|byte| part(byte)).count();
    let after = bytes.get(end..)?.iter().take_while(|byte| part(byte)).count();
    let (open, close) = (start.checked_sub(before + 1)?, end + after);
    if bytes.get(open) != Some(&b'<') || bytes.get(close) != Some(&b'>') {
        return None;
    }
    value.get(open + 1..close).filter(|name| name.bytes().all(|byte| part(&byte)))
}
