//! The INI files of fail2ban, as Python's `configparser` reads them with fail2ban's settings.
//!
//! Our own reader, because none of the crates reads the same: `configparser` 3.3 takes a continued line that starts with `[`
//! for a section, ends a value at every `;`, and lets a key that is set twice win silently; `rust-ini` 0.21 knows other
//! comments. A filter that is read a little differently matches other lines than its author tested.
//!
//! - `[NAME]` starts a section; `key = value` or `key: value`, the first of the two delimiters counts, keys are in any case.
//! - A line that is indented deeper than its key's line goes on with the value, whatever it looks like; empty lines between
//!   change nothing.
//! - A line whose first visible character is `#` or `;` is a comment, and so is what follows a `;` with white space before it.
//! - A section or a key that is there twice in a file is an error, as is a line that is none of these.

use std::collections::BTreeMap;

/// The options of a section: keys in lower case.
pub(super) type Section = BTreeMap<String, String>;

/// A file's sections by their names.
pub(super) type Sections = BTreeMap<String, Section>;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Counted from one.
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Reads a file's text.
pub(super) fn parse(text: &str) -> Result<Sections, SyntaxError> {
    let mut sections = Sections::new();
    let mut place = None;
    // The key whose value goes on, and how deep its line was indented.
    let mut open: Option<(String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let wrong = |what| SyntaxError { line: number + 1, what };
        let content = without_comment(line).trim();
        if content.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let section = place.as_ref().and_then(|name: &String| sections.get_mut(name));
        if let (Some((key, depth)), Some(section)) = (&open, section)
            && indent > *depth
        {
            let value = section.entry(key.clone()).or_default();
            value.push('\n');
            value.push_str(content);
            continue;
        }
        if let Some(name) = section_name(content) {
            if sections.insert(name.to_owned(), Section::new()).is_some() {
                return Err(wrong("this section is there twice"));
            }
            place = Some(name.to_owned());
            open = None;
            continue;
        }
        let section = place.as_ref().and_then(|name| sections.get_mut(name));
        let section = section.ok_or_else(|| wrong("there is no `[section]` above it"))?;
        let (key, value) =
            content.split_once(['=', ':']).ok_or_else(|| wrong("it is neither `[section]` nor `key = value`"))?;
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return Err(wrong("there is nothing before the `=`"));
        }
        if section.insert(key.clone(), value.trim_start().to_owned()).is_some() {
            return Err(wrong("this key is there twice in its section"));
        }
        open = Some((key, indent));
    }
    Ok(sections)
}

/// `[NAME]`, up to the last bracket of the line.
fn section_name(content: &str) -> Option<&str> {
    let name = content.strip_prefix('[')?;
    name.rfind(']').and_then(|end| name.get(..end)).filter(|name| !name.is_empty())
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let comment = line
        .match_indices(';')
        .find(|(at, _)| line.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace)));
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, section: &str, key: &str) -> Option<String> {
        parse(text).unwrap().get(section)?.get(key).cloned()
    }

    #[test]
    fn values_are_read_as_python_reads_them() {
        for (text, key, expected) in [
            ("a = 1", "a", "1"),
            ("a: 1", "a", "1"),
            ("A=1", "a", "1"),
            ("a = x:y=z", "a", "x:y=z"),
            ("a=", "a", ""),
            ("a =\n  x\n  y", "a", "\nx\ny"),
            ("a = x\n\n  # no\n  y\nb = 1", "a", "x\ny"),
            ("a = x\n    [b]c\n", "a", "x\n[b]c"),
            ("a = x\n  b = 1", "a", "x\nb = 1"),
            ("  a = x\n  b = 1", "b", "1"),
            ("a = x ; y", "a", "x"),
            ("a = x;y\\;z", "a", "x;y\\;z"),
            ("a = x # y", "a", "x # y"),
            ("# a = 2\n; a = 3\na = 1", "a", "1"),
        ] {
            assert_eq!(value(&format!("[S]\n{text}"), "S", key).as_deref(), Some(expected), "{text:?}");
        }
        assert_eq!(value("[S]\na = 1\n[T x]\na = 2", "T x", "a").as_deref(), Some("2"));
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        for (text, line, what) in [
            ("a = 1", 1, "there is no `[section]` above it"),
            ("[S]\na = 1\nA: 2", 3, "this key is there twice in its section"),
            ("[S]\n[T]\n[S]", 3, "this section is there twice"),
            ("[S]\nnothing", 2, "it is neither `[section]` nor `key = value`"),
            ("[S]\n= 1", 2, "there is nothing before the `=`"),
        ] {
            assert_eq!(parse(text), Err(SyntaxError { line, what }), "{text:?}");
        }
    }
}
