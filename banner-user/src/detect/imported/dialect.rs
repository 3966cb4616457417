//! Python's regular expressions in the words of the `regex` crate.
//!
//! | Python | here |
//! | --- | --- |
//! | `[^[]`, `[a&&b]`, `[]a]` | these characters stand for themselves in a class, so they are escaped |
//! | `\<`, `\;` | any escaped punctuation stands for itself |
//! | `{,3}`, `{x` | `{0,3}`, `\{x` |
//! | `$` | also before the newline at the end of the text, which every text has: `(?m:$)` |
//! | `\Z` | `\z` |
//! | `(?(name)...)` | `(?(<name>)...)` |
//!
//! Look-around, back-references, conditions, atomic groups and possessive repeats need a backtracking engine. For a pattern with
//! any of these there is an *outline* too: the same without them, which matches at least what the pattern matches, in linear
//! time. Letters, digits and spaces are ASCII's: a line is bytes.

use super::refused::{ImportRefused, Place};

/// A translated pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// All that the pattern says; none where the outline does.
    pub(super) exact: Option<String>,
    /// Without what needs backtracking.
    pub(super) outline: String,
}

/// Translates a pattern whose tags are replaced.
pub(super) fn translated(pattern: &str, place: Place) -> Result<Translated, ImportRefused> {
    let mut translation = Translation {
        rest: pattern,
        place,
        groups: Vec::new(),
        exact: String::new(),
        outline: String::new(),
        backtracks: false,
    };
    while translation.piece(pattern)? {}
    Ok(Translated { exact: translation.backtracks.then_some(translation.exact), outline: translation.outline })
}

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Plain,
    /// Is no part of the outline.
    LookAround,
    /// Neither branch has to be taken in the outline.
    Condition,
}

struct Translation<'p> {
    rest: &'p str,
    place: Place,
    groups: Vec<Group>,
    exact: String,
    outline: String,
    backtracks: bool,
}

impl Translation<'_> {
    /// Translates the next piece; false at the end.
    fn piece(&mut self, pattern: &str) -> Result<bool, ImportRefused> {
        let mut characters = self.rest.chars();
        let Some(character) = characters.next() else { return Ok(false) };
        match character {
            '(' => self.group(pattern)?,
            ')' => {
                let ending = if self.groups.last() == Some(&Group::Condition) { "|)" } else { ")" };
                if self.groups.last() != Some(&Group::LookAround) {
                    self.say(1, ")", ending);
                } else {
                    self.groups.pop();
                    self.say(1, ")", "");
                    return Ok(true);
                }
                self.groups.pop();
            }
            '[' => self.class()?,
            '\\' => self.escape()?,
            '{' => match quantifier(self.rest) {
                Some((length, quantifier)) => {
                    self.say(length, &quantifier, &quantifier);
                    self.possessive();
                }
                None => self.both(1, r"\{"),
            },
            '}' => self.both(1, r"\}"),
            '*' | '+' | '?' => {
                self.both(1, character.encode_utf8(&mut [0; 4]));
                self.possessive();
            }
            '$' => self.both(1, "(?m:$)"),
            _ => self.both(character.len_utf8(), character.encode_utf8(&mut [0; 4])),
        }
        Ok(true)
    }

    /// Takes so many bytes and says what they mean.
    fn say(&mut self, length: usize, exact: &str, outline: &str) {
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.exact.push_str(exact);
        if !self.groups.contains(&Group::LookAround) {
            self.outline.push_str(outline);
        }
    }

    fn both(&mut self, length: usize, text: &str) {
        self.say(length, text, text);
    }

    /// A `+` behind a quantifier: no way back into what was repeated.
    fn possessive(&mut self) {
        if self.rest.starts_with('+') {
            self.backtracks = true;
            self.say(1, "+", "");
        } else if self.rest.starts_with('?') {
            self.both(1, "?");
        }
    }

    fn group(&mut self, pattern: &str) -> Result<(), ImportRefused> {
        let Some(extension) = self.rest.strip_prefix("(?") else {
            self.both(1, "(");
            self.groups.push(Group::Plain);
            return Ok(());
        };
        let look_around = ["=", "!", "<=", "<!"].into_iter().find(|start| extension.starts_with(start));
        if let Some(kind) = look_around {
            self.backtracks = true;
            // Something that a quantifier behind the group can repeat.
            self.say(2 + kind.len(), &format!("(?{kind}"), "(?:)");
            self.groups.push(Group::LookAround);
        } else if extension.starts_with('>') {
            self.backtracks = true;
            self.say(3, "(?>", "(?:");
            self.groups.push(Group::Plain);
        } else if let Some(name) = extension.strip_prefix("P=") {
            let Some((name, _)) = name.split_once(')') else { return self.refuse("an unfinished (?P=") };
            self.backtracks = true;
            self.say(5 + name.len(), &format!("(?P={name})"), "(?s:.*)");
        } else if let Some(condition) = extension.strip_prefix('(') {
            let Some((name, _)) = condition.split_once(')') else { return self.refuse("an unfinished (?(") };
            self.backtracks = true;
            let exact = if name.bytes().all(|byte| byte.is_ascii_digit()) {
                format!("(?({name})")
            } else {
                format!("(?(<{name}>)")
            };
            self.say(4 + name.len(), &exact, "(?:");
            self.groups.push(Group::Condition);
        } else if let Some(comment) = extension.strip_prefix('#') {
            let Some(end) = comment.find(')') else { return self.refuse("an unfinished (?#") };
            self.both(4 + end, "");
        } else if extension.starts_with("P<") {
            let Some(end) = extension.find('>') else { return self.refuse("an unfinished (?P<") };
            let start = self.rest.get(..end + 3).unwrap_or_default().to_owned();
            self.both(end + 3, &start);
            self.groups.push(Group::Plain);
        } else {
            self.flags(extension, pattern)?;
        }
        Ok(())
    }

    /// `(?:`, `(?i:` or `(?i)`.
    fn flags(&mut self, extension: &str, pattern: &str) -> Result<(), ImportRefused> {
        let Some(end) = extension.find([':', ')']) else { return self.refuse("an unfinished (?") };
        let (flags, rest) = extension.split_at(end);
        // ASCII and Unicode: a line is bytes anyway.
        let flags = flags.replace(['a', 'u'], "");
        if !flags.bytes().all(|flag| matches!(flag, b'i' | b'm' | b's' | b'-')) {
            return self.refuse("an inline flag other than i, m and s");
        }
        if rest.starts_with(':') {
            self.both(end + 3, &format!("(?{flags}:"));
            self.groups.push(Group::Plain);
            return Ok(());
        }
        // In the middle, Python 3.11 refuses them and older ones mean all of the pattern.
        let before = pattern.len() - self.rest.len();
        let before = pattern.get(..before).unwrap_or_default();
        if !(before.is_empty() || before.ends_with('(') && !before.ends_with("\\(") || before.ends_with("(?:")) {
            return self.refuse("an inline flag in the middle of a group");
        }
        let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
        self.both(end + 3, &flags);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), ImportRefused> {
        let Some(escaped) = self.rest.chars().nth(1) else { return self.refuse("a lone backslash at the end") };
        match escaped {
            '1'..='9' => {
                let digits = 1 + usize::from(self.rest.as_bytes().get(2).is_some_and(u8::is_ascii_digit));
                let reference = self.rest.get(..=digits).unwrap_or_default().to_owned();
                self.backtracks = true;
                self.say(1 + digits, &reference, "(?s:.*)");
            }
            '0' => self.both(2, r"\x00"),
            'Z' => self.both(2, r"\z"),
            'A' | 'b' | 'B' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'u' => {
                self.both(2, &format!("\\{escaped}"));
            }
            '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                self.both(2, &format!("\\{escaped}"));
            }
            escaped if escaped.is_ascii_alphanumeric() => {
                return self.refuse("an escaped letter that Python does not know");
            }
            escaped => self.both(1 + escaped.len_utf8(), escaped.encode_utf8(&mut [0; 4])),
        }
        Ok(())
    }

    /// `[...]`.
    fn class(&mut self) -> Result<(), ImportRefused> {
        let mut class = String::from("[");
        let mut characters = self.rest.char_indices().skip(1).peekable();
        if characters.next_if(|(_, character)| *character == '^').is_some() {
            class.push('^');
        }
        let mut first = true;
        while let Some((at, character)) = characters.next() {
            match character {
                ']' if !first => {
                    class.push(']');
                    self.both(at + 1, &class);
                    return Ok(());
                }
                '\\' => {
                    let Some((_, escaped)) = characters.next() else { break };
                    match escaped {
                        'b' => class.push_str(r"\x08"),
                        '0' => class.push_str(r"\x00"),
                        'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' => {
                            class.push('\\');
                            class.push(escaped);
                        }
                        escaped if escaped.is_ascii_alphanumeric() => {
                            return self.refuse("an escaped letter or digit in a class");
                        }
                        escaped => literal_in_class(&mut class, escaped),
                    }
                }
                // Between two characters it is a range; doubled it would be a difference.
                '-' if !class.ends_with('-') => class.push('-'),
                character => literal_in_class(&mut class, character),
            }
            first = false;
        }
        self.refuse("an unfinished class")
    }

    fn refuse<T>(&self, what: &'static str) -> Result<T, ImportRefused> {
        Err(ImportRefused::Construct { place: self.place, what })
    }
}

fn literal_in_class(class: &mut String, character: char) {
    if matches!(character, '[' | ']' | '\\' | '^' | '-' | '&' | '~') {
        class.push('\\');
    }
    class.push(character);
}

/// `{3}`, `{3,}`, `{,3}` or `{3,4}` at the start of a text: its length, and how it is written here.
fn quantifier(text: &str) -> Option<(usize, String)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = |text: &str| text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = match inside.split_once(',') {
        Some((least, most)) => (least, Some(most)),
        None if inside.is_empty() => return None,
        None => (inside, None),
    };
    if !number(least) || !most.is_none_or(number) {
        return None;
    }
    let least = if least.is_empty() { "0" } else { least };
    let most = most.map(|most| format!(",{most}")).unwrap_or_default();
    Some((inside.len() + 2, format!("{{{least}{most}}}")))
}

#[cfg(test)]
mod tests;
