//! How a jail names a filter of fail2ban: `fail2ban:/etc/fail2ban/filter.d/postfix.conf[mode=aggressive, logtype="short"]`.

use std::path::PathBuf;

/// What such names start with.
const SCHEME: &str = "fail2ban:";

/// A filter of fail2ban: its file and what the jail sets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The file, absolute.
    pub path: PathBuf,
    /// Name and value of each option, in their order; names in lower case.
    pub options: Vec<(String, String)>,
}

/// Why a name that starts with `fail2ban:` names no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not the path of a file, from the root.
    #[error("its path is not absolute")]
    Relative,
    /// Not `[name=value, name="value"]`.
    #[error("its options are not `[name=value, name=\"value\"]`")]
    Options,
    /// An option that is there twice.
    #[error("an option is set twice")]
    Twice,
}

impl Reference {
    /// Reads a name; none where it is not one of fail2ban's.
    ///
    /// # Errors
    /// It is one, and wrong.
    pub fn parse(name: &str) -> Option<Result<Self, ReferenceError>> {
        Some(Self::parse_rest(name.strip_prefix(SCHEME)?))
    }

    fn parse_rest(text: &str) -> Result<Self, ReferenceError> {
        let (path, options) = match text.split_once('[') {
            Some((path, rest)) => (path, options(rest.trim_end().strip_suffix(']').ok_or(ReferenceError::Options)?)?),
            None => (text, Vec::new()),
        };
        let path = path.trim_end();
        if !path.starts_with('/') || path.contains('\0') {
            return Err(ReferenceError::Relative);
        }
        Ok(Self { path: path.into(), options })
    }
}

/// What stands between the brackets. A value is in quotes of either kind, or has neither comma nor bracket; `][` is a comma.
fn options(mut text: &str) -> Result<Vec<(String, String)>, ReferenceError> {
    let mut options: Vec<(String, String)> = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(options);
        }
        let (name, rest) = text.split_once('=').ok_or(ReferenceError::Options)?;
        let name = name.trim_end().to_lowercase();
        let plain = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(ReferenceError::Options);
        }
        if options.iter().any(|(known, _)| *known == name) {
            return Err(ReferenceError::Twice);
        }
        let quote = rest.chars().next().filter(|character| matches!(character, '"' | '\''));
        let (value, rest) = match quote.and_then(|quote| rest.strip_prefix(quote)?.split_once(quote)) {
            Some((value, rest)) => (value, rest.trim_start()),
            None if quote.is_some() => return Err(ReferenceError::Options),
            None => rest.split_at(rest.find([',', ']']).unwrap_or(rest.len())),
        };
        options.push((name, value.trim().to_owned()));
        text = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => rest
                .strip_prefix(']')
                .and_then(|rest| rest.trim_start().strip_prefix('['))
                .ok_or(ReferenceError::Options)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_in_jail_conf() {
        for (name, expected) in [
            ("fail2ban:/f.conf", vec![]),
            ("fail2ban:/f.conf[]", vec![]),
            ("fail2ban:/f.conf[mode=aggressive]", vec![("mode", "aggressive")]),
            ("fail2ban:/f.conf [ Mode = a ]", vec![("mode", "a")]),
            ("fail2ban:/f.conf[a=b, c=\"d, ]e\", f='g']", vec![("a", "b"), ("c", "d, ]e"), ("f", "g")]),
            ("fail2ban:/f.conf[a=b][c=d]", vec![("a", "b"), ("c", "d")]),
            ("fail2ban:/f.conf[a=]", vec![("a", "")]),
        ] {
            let reference = Reference::parse(name).unwrap().unwrap();
            let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!((reference.path.to_str(), reference.options), (Some("/f.conf"), expected), "{name}");
        }
        assert_eq!(Reference::parse("postfix-sasl"), None);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for (name, error) in [
            ("fail2ban:", ReferenceError::Relative),
            ("fail2ban:postfix", ReferenceError::Relative),
            ("fail2ban:[mode=a]", ReferenceError::Relative),
            ("fail2ban:/f[mode=a", ReferenceError::Options),
            ("fail2ban:/f[mode]", ReferenceError::Options),
            ("fail2ban:/f[=a]", ReferenceError::Options),
            ("fail2ban:/f[a=\"b]", ReferenceError::Options),
            ("fail2ban:/f[a=\"b\"c]", ReferenceError::Options),
            ("fail2ban:/f[a=b]c]", ReferenceError::Options),
            ("fail2ban:/f[a=b, A=c]", ReferenceError::Twice),
        ] {
            assert_eq!(Reference::parse(name), Some(Err(error)), "{name}");
        }
    }
}
