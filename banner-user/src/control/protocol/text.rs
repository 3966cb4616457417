//! Text that is safe to print.

use std::{borrow::Cow, fmt, os::unix::ffi::OsStrExt, path::Path};

use serde::{Deserialize, Serialize, de};

use crate::event::{Escaped, User};

/// Text without control characters, direction overrides or invalid UTF-8: whatever stood in their place is shown as
/// `\x..` or `\u{..}`. Every string of the protocol is one, so that none can steer a terminal or break a line, whoever wrote it.
///
/// Made from bytes ([`Text::escape`]) the escapes are unambiguous. Made from a sentence (`From`), which may hold escaped parts, a
/// backslash stays as it is. Read from JSON it must be printable already.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Escapes what cannot be printed; a backslash is doubled.
    #[must_use]
    pub fn escape(bytes: &[u8]) -> Self {
        Self(Escaped(bytes).to_string())
    }

    /// The text as it is printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether [`Escaped`] shows a character as it is, or makes it as part of an escape.
fn is_printable(character: char) -> bool {
    matches!(character, ' '..='~') || character.escape_debug().len() == 1
}

impl From<&str> for Text {
    fn from(sentence: &str) -> Self {
        // Names of jails and services, by the million in a listing.
        if sentence.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(sentence.to_owned());
        }
        let mut text = String::with_capacity(sentence.len());
        for character in sentence.chars() {
            if is_printable(character) {
                text.push(character);
            } else {
                text.extend(character.escape_debug());
            }
        }
        Self(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        Self::escape(path.as_os_str().as_bytes())
    }
}

impl From<&User> for Text {
    fn from(user: &User) -> Self {
        Self::escape(user.as_bytes())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        if text.chars().all(is_printable) {
            Ok(Self(text.into_owned()))
        } else {
            Err(de::Error::custom(format_args!("`{}` has control characters", Escaped(text.as_bytes()))))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_escaped_when_made_and_refused_when_read() {
        assert_eq!(Text::escape(b"a\x1b[2Jb\n\xff").as_str(), "a\\u{1b}[2Jb\\n\\xff");
        let error = serde_json::from_str::<Text>("\"a\\u001b[2J\"").unwrap_err().to_string();
        assert!(error.starts_with("`a\\u{1b}[2J` has control characters"), "{error}");
        assert!(serde_json::from_str::<Text>("\"a\u{202e}b\"").is_err());
    }

    #[test]
    fn a_sentence_with_an_escaped_part_is_not_escaped_again() {
        let part = Text::escape(b"a\x1b");
        assert_eq!(Text::from(format!("`{part}` is\nodd")).as_str(), "`a\\u{1b}` is\\nodd");
    }

    proptest! {
        #[test]
        fn whatever_it_was_made_from_it_survives_the_wire_unchanged(bytes: Vec<u8>, sentence: String) {
            for text in [Text::escape(&bytes), Text::from(sentence)] {
                prop_assert!(!text.as_str().chars().any(char::is_control));
                let json = serde_json::to_string(&text).unwrap();
                prop_assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text);
            }
        }
    }
}
