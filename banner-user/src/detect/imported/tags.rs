//! The tags in fail2ban's patterns (jail.conf(5), "FILTER FILES"), replaced by what they match.
//!
//! | tag | becomes |
//! | --- | --- |
//! | `<IP4>`, `<F-IP4/>` | an IPv4 address, which may have `::ffff:` before it |
//! | `<IP6>`, `<F-IP6/>` | an IPv6 address |
//! | `<ADDR>`, `<F-ADDR/>` | either, which may stand in brackets |
//! | `<HOST>` | the same, or a host name |
//! | `<DNS>`, `<F-DNS/>` | a host name |
//! | `<F-PORT/>` | a word |
//! | `<F-NAME>...</F-NAME>` | the group `name` |
//!
//! A host name is matched and never resolved: whoever controls a name's zone would decide who is banned.

use super::refused::{ImportRefused, Place};

const IP4: &str = r"(?:::[fF]{4}:)?(?P<ip4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})";
const IP6: &str = r"(?P<ip6>(?:[0-9A-Fa-f]{0,4}:){1,7}(?:[0-9A-Fa-f]{1,4}|:))";
const DNS: &str = r"(?P<dns>[\w\-.^]*\w)";

/// Replaces all tags. `names` is whether `<HOST>` may be a name.
pub(super) fn replaced(pattern: &str, place: Place, names: bool) -> Result<String, ImportRefused> {
    let mut replaced = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = pattern;
    while let Some(start) = rest.find('<') {
        let (before, tagged) = rest.split_at(start);
        replaced.push_str(before);
        let Some((tag, after)) = tag(tagged) else {
            replaced.push('<');
            rest = tagged.get(1..).unwrap_or_default();
            continue;
        };
        let refused = |why| Err(ImportRefused::Tag { place, tag: tag.to_owned(), why });
        match tag {
            "HOST" if names => replaced.push_str(&format!("(?:{}|{DNS})", address())),
            "HOST" | "ADDR" | "F-ADDR/" => replaced.push_str(&address()),
            "IP4" | "F-IP4/" => replaced.push_str(IP4),
            "IP6" | "F-IP6/" => replaced.push_str(IP6),
            "DNS" | "F-DNS/" => replaced.push_str(DNS),
            "F-PORT/" => replaced.push_str(r"(?P<fport>\w+)"),
            "CIDR" | "F-CIDR/" | "SUBNET" | "F-SUBNET/" => {
                return refused("bans a whole network that a line names; banner bans who failed");
            }
            "SKIPLINES" => return refused("spans several lines"),
            "F-ID" | "F-ID/" => return refused("bans something other than an address"),
            _ => match (tag.strip_prefix("F-"), tag.strip_prefix("/F-")) {
                (Some(name), _) if name.starts_with("TUPLE_") => {
                    return refused("bans something other than an address");
                }
                (Some(name), _) if is_name(name) => {
                    let group = if name == "PORT" { "fport".to_owned() } else { name.to_lowercase() };
                    replaced.push_str(&format!("(?P<{group}>"));
                    open.push(name);
                }
                (_, Some(name)) if open.contains(&name) => replaced.push(')'),
                _ => replaced.push_str(&format!("<{tag}>")),
            },
        }
        rest = after;
    }
    replaced.push_str(rest);
    Ok(replaced)
}

fn address() -> String {
    format!(r"\[?(?:{IP4}|{IP6})\]?")
}

/// `<WORD>` at the start of a text: the word, which may begin or end with a slash, and what follows.
fn tag(text: &str) -> Option<(&str, &str)> {
    let (tag, after) = text.strip_prefix('<')?.split_once('>')?;
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let name = name.strip_suffix('/').unwrap_or(name);
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!name.is_empty() && name.bytes().all(word)).then_some((tag, after))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
