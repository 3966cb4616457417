//! logfmt, as Cyrus writes it from 3.13.1 on (`logfmt_escape_bytestring` and `logfmt_escape_utf8` in its lib/logfmt.c):
//! `key=value` pairs with one space between them, `event` first, a value in double quotes where it holds anything but graphic
//! ASCII, with `\\ \" \n \r \t \x{2e}` in them.
//!
//! A pair is only what stands outside quotes, so text from a client, which Cyrus always quotes, never makes one.

use std::borrow::Cow;

/// The value of a key: its first one, without quotes and escapes. None where the key is missing, or where the message stops
/// being logfmt before it (cut off inside a value, say).
pub(super) fn value<'a>(message: &'a [u8], key: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut rest = message;
    loop {
        let (name, after_name) = rest.split_at_checked(memchr::memchr2(b'=', b' ', rest)?)?;
        let (value, after_value) = split_value(after_name.strip_prefix(b"=")?)?;
        if name == key {
            return unescaped(value);
        }
        rest = after_value.strip_prefix(b" ")?;
    }
}

/// Splits behind a value, quotes and all.
fn split_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(mut inside) = text.strip_prefix(b"\"") else {
        return text.split_at_checked(memchr::memchr(b' ', text).unwrap_or(text.len()));
    };
    loop {
        let special = memchr::memchr2(b'"', b'\\', inside)?;
        match inside.get(special..)? {
            [b'"', after @ ..] => return text.split_at_checked(text.len() - after.len()),
            [b'\\', _, after @ ..] => inside = after,
            _ => return None,
        }
    }
}

fn unescaped(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(value) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return Some(Cow::Borrowed(value));
    };
    let Some(first) = memchr::memchr(b'\\', value) else { return Some(Cow::Borrowed(value)) };
    let (plain, mut rest) = value.split_at_checked(first)?;
    let mut bytes = plain.to_vec();
    loop {
        rest = match rest {
            [] => return Some(Cow::Owned(bytes)),
            [b'\\', b'x', b'{', high, low, b'}', rest @ ..] => {
                bytes.push(hexadecimal(*high)? << 4 | hexadecimal(*low)?);
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                bytes.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'\\' | b'"' => *escaped,
                    _ => return None,
                });
                rest
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        }
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = r#"event=login.bad r.clienthost="host.example.net [192.0.2.1]" u.username="a\" u.username=b \\\n\x{c3}" login.mech=PLAIN error="x y""#;

    #[test]
    fn values_are_found_by_key_whatever_their_order() {
        for (key, expected) in [
            ("event", Some(&b"login.bad"[..])),
            ("r.clienthost", Some(b"host.example.net [192.0.2.1]")),
            ("u.username", Some(b"a\" u.username=b \\\n\xc3")),
            ("login.mech", Some(b"PLAIN")),
            ("error", Some(b"x y")),
            ("login", None),
            ("", None),
        ] {
            assert_eq!(value(BAD.as_bytes(), key.as_bytes()).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn quoted_text_makes_no_pair() {
        let message = br#"event=login.bad u.username="x error=forged \" error=forged" error=true"#;
        assert_eq!(value(message, b"error").as_deref(), Some(&b"true"[..]));
    }

    #[test]
    fn a_pair_behind_what_is_not_logfmt_is_not_found() {
        for message in [
            &br#"event=x u.username="cut off error=y"#[..],
            br#"event=x u.username="a"error=y"#,
            br#"event=x word error=y"#,
            br#"event=x  error=y"#,
            br#"event=x u.username="cut off \"#,
        ] {
            assert_eq!(value(message, b"error"), None, "{}", message.escape_ascii());
        }
        assert_eq!(value(br#"error="\q""#, b"error"), None);
        assert_eq!(value(br#"error="\x{g0}""#, b"error"), None);
    }
}
