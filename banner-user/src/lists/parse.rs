//! What the file of a list says. Pure.
//!
//! Three forms are told apart by the first byte that is no space:
//! - `{`: a JSON object a line, as Spamhaus publishes DROP: `{"cidr":"192.0.2.0/24",...}`, and `{"type":"metadata",...}`. Where
//!   the metadata say how many `records` there are, there have to be so many: a download that broke off is not taken for a
//!   short list;
//! - `[`: a JSON array of strings;
//! - else text: an address, a prefix or a range (`192.0.2.1 - 192.0.2.9`) a line; `#` and `;` begin comments.
//!
//! Everything that is neither is a fault, and a file with a fault is not used: a list that was half read would lift bans, or
//! take the protection from customers.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde::Deserialize;

use crate::{config::address, event::Escaped, judge::list::Prefixes};

/// The longest line: one of Spamhaus' metadata has some hundred bytes.
pub const LINE_MAX: usize = 4096;

/// Entries that a list can have.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Faults that are told one by one.
pub const FAULTS_MAX: usize = 10;

/// The widest prefix that a list can ban: a mistake in a file that others write should not cut off a continent.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// What may be in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Nothing wider than an IPv4 /8 or an IPv6 /16.
    Bounded,
    /// Anything.
    Any,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The byte in it, from 1.
    pub column: usize,
    /// What.
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message of each says what it is")]
pub enum What {
    NoPrefix(String),
    HostBits(String, IpNet),
    TooWide(IpNet),
    Range(String),
    LongLine,
    NoText,
    Json(String),
    Records { said: usize, found: usize },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        match &self.what {
            What::NoPrefix(text) => write!(f, "`{text}` is neither an address nor a prefix"),
            What::HostBits(text, covers) => write!(f, "`{text}` has bits beyond its prefix: {covers}, or an address?"),
            What::TooWide(prefix) => {
                write!(f, "{prefix} is wider than a list may ban (/{WIDEST_V4}; IPv6: /{WIDEST_V6})")
            }
            What::Range(text) => {
                write!(f, "`{text}` is no range: the first address, ` - `, and a last one of the same family")
            }
            What::LongLine => write!(f, "the line is longer than {LINE_MAX} bytes"),
            What::NoText => f.write_str("not UTF-8"),
            What::Json(error) => write!(f, "not the JSON of a list: {}", Escaped(error.as_bytes())),
            What::Records { said, found } => {
                write!(f, "{said} records are said to be there, and {found} are: did the download break off?")
            }
        }
    }
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Faulty {
    /// It has faults: the first of them, and how many more there are.
    #[error("{}{}", Shown(.0), if *.1 > 0 { format!("; and {} more", .1) } else { String::new() })]
    Faults(Vec<Fault>, usize),
    /// It has too many entries.
    #[error("more than {ENTRIES_MAX} entries")]
    TooMany,
}

struct Shown<'a>(&'a [Fault]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its prefixes, without those that are inside others.
    pub prefixes: Prefixes,
    /// A family of which every address is listed.
    pub everything: Option<IpNet>,
}

/// Reads what a file says.
///
/// # Errors
/// Everything that is wrong, the first [`FAULTS_MAX`] one by one.
pub fn parse(bytes: &[u8], width: Width) -> Result<Parsed, Faulty> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { width, prefixes: Vec::new(), faults: Vec::new(), more: 0, is_full: false };
    match bytes.trim_ascii_start().first() {
        Some(b'{') => reader.json_lines(bytes),
        Some(b'[') => reader.json_array(bytes),
        _ => reader.text(bytes),
    }
    reader.finish()
}

struct Reader {
    width: Width,
    prefixes: Vec<IpNet>,
    faults: Vec<Fault>,
    more: usize,
    is_full: bool,
}

/// One line of Spamhaus' form. Its text is borrowed: no address has an escaped character in it.
#[derive(Deserialize)]
struct Record<'a> {
    cidr: Option<&'a str>,
    #[serde(rename = "type", default)]
    kind: Option<&'a str>,
    records: Option<usize>,
}

impl Reader {
    fn text(&mut self, bytes: &[u8]) {
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if line.len() > LINE_MAX {
                self.fault(number, 1, What::LongLine);
                continue;
            }
            let code = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default();
            let entry = code.trim_ascii();
            if entry.is_empty() {
                continue;
            }
            let column = 1 + code.len() - code.trim_ascii_start().len();
            match str::from_utf8(entry) {
                Ok(entry) => self.entry(entry, number, column),
                Err(_) => self.fault(number, column, What::NoPrefix(quoted(entry))),
            }
            if self.is_full {
                return;
            }
        }
    }

    fn json_lines(&mut self, bytes: &[u8]) {
        let (mut found, mut said) = (0_usize, None);
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if line.len() > LINE_MAX {
                self.fault(number, 1, What::LongLine);
                continue;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Record<'_>>(line) {
                Ok(Record { cidr: Some(cidr), .. }) => {
                    found += 1;
                    self.entry(cidr, number, 1 + offset(line, cidr));
                }
                Ok(Record { kind: Some("metadata"), records, .. }) => said = records.map(|said| (number, said)),
                Ok(Record { .. }) => self.fault(number, 1, What::Json("neither `cidr` nor metadata".to_owned())),
                Err(error) => self.fault(number, error.column().max(1), What::Json(error.to_string())),
            }
            if self.is_full {
                return;
            }
        }
        if let Some((number, said)) = said.filter(|(_, said)| *said != found) {
            self.fault(number, 1, What::Records { said, found });
        }
    }

    fn json_array(&mut self, bytes: &[u8]) {
        let entries = match serde_json::from_slice::<Vec<&str>>(bytes) {
            Ok(entries) => entries,
            Err(error) => return self.fault(error.line().max(1), error.column().max(1), What::Json(error.to_string())),
        };
        let (mut line, mut begin, mut seen) = (1, 0, 0);
        for entry in entries {
            let at = offset(bytes, entry);
            for (place, _) in bytes.iter().enumerate().take(at).skip(seen).filter(|(_, byte)| **byte == b'\n') {
                (line, begin) = (line + 1, place + 1);
            }
            seen = at;
            self.entry(entry, line, 1 + at - begin);
            if self.is_full {
                return;
            }
        }
    }

    fn entry(&mut self, text: &str, line: usize, column: usize) {
        if let Some((first, last)) = text.split_once(" - ").or_else(|| text.split_once('-')) {
            return match range(first.trim(), last.trim()) {
                Some(prefixes) => prefixes.into_iter().for_each(|prefix| self.prefix(prefix, line, column)),
                None => self.fault(line, column, What::Range(quoted(text.as_bytes()))),
            };
        }
        match address::parse(text) {
            Err(_) => self.fault(line, column, What::NoPrefix(quoted(text.as_bytes()))),
            Ok(typed) if typed.trunc() != typed => {
                self.fault(line, column, What::HostBits(quoted(text.as_bytes()), typed.trunc()));
            }
            Ok(prefix) => self.prefix(prefix, line, column),
        }
    }

    fn prefix(&mut self, prefix: IpNet, line: usize, column: usize) {
        let widest = match prefix {
            IpNet::V4(_) => WIDEST_V4,
            IpNet::V6(_) => WIDEST_V6,
        };
        if self.width == Width::Bounded && prefix.prefix_len() < widest {
            self.fault(line, column, What::TooWide(prefix));
        } else if self.prefixes.len() < ENTRIES_MAX {
            self.prefixes.push(prefix);
        } else {
            self.is_full = true;
        }
    }

    fn fault(&mut self, line: usize, column: usize, what: What) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { line, column, what });
        } else {
            self.more += 1;
        }
    }

    fn finish(self) -> Result<Parsed, Faulty> {
        if !self.faults.is_empty() {
            return Err(Faulty::Faults(self.faults, self.more));
        }
        if self.is_full {
            return Err(Faulty::TooMany);
        }
        let everything = self.prefixes.iter().find(|prefix| prefix.prefix_len() == 0).copied();
        Ok(Parsed { prefixes: Prefixes::new(self.prefixes), everything })
    }
}

/// The prefixes that make up a range: at most 62 for IPv4, 254 for IPv6.
fn range(first: &str, last: &str) -> Option<Vec<IpNet>> {
    match (first.parse().ok()?, last.parse().ok()?) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Some(Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Some(Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect())
        }
        _ => None,
    }
}

/// Where a piece of a text begins in it.
fn offset(text: &[u8], piece: &str) -> usize {
    piece.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

fn quoted(bytes: &[u8]) -> String {
    let cut = bytes.get(..64).unwrap_or(bytes);
    Escaped(cut).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(bytes: &[u8]) -> String {
        match parse(bytes, Width::Bounded) {
            Ok(parsed) => parsed.prefixes.iter().map(|net| net.to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_form_is_read_and_each_fault_has_its_place() {
        let drop = "{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\",\"rir\":\"apnic\"}\n{\"cidr\":\"2001:db8::/32\"}\n";
        let metadata =
            |records| format!("{{\"type\":\"metadata\",\"timestamp\":1,\"size\":2,\"records\":{records}}}\n");
        for (text, expected) in [
            ("", ""),
            ("\n \r\n# nothing\n; nothing", ""),
            (
                "192.0.2.7\r\n2001:db8::/32 ; SBL1\n 198.51.100.0/24\t# why\n",
                "192.0.2.7/32 198.51.100.0/24 2001:db8::/32",
            ),
            ("\u{feff}192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.6 - 192.0.2.9\n2001:db8::-2001:db8::1", "192.0.2.6/31 192.0.2.8/31 2001:db8::/127"),
            (
                "192.0.2.9 - 192.0.2.6",
                "line 1, column 1: `192.0.2.9 - 192.0.2.6` is no range: the first address, ` - `, and a \
             last one of the same family",
            ),
            ("10.0.0.0/8\n10.1.0.0/16", "10.0.0.0/8"),
            ("# x\n  mail.example.com", "line 2, column 3: `mail.example.com` is neither an address nor a prefix"),
            ("192.0.2.7 192.0.2.8", "line 1, column 1: `192.0.2.7 192.0.2.8` is neither an address nor a prefix"),
            (
                "192.0.2.1/24",
                "line 1, column 1: `192.0.2.1/24` has bits beyond its prefix: 192.0.2.0/24, or an address?",
            ),
            ("8.0.0.0/7", "line 1, column 1: 8.0.0.0/7 is wider than a list may ban (/8; IPv6: /16)"),
            ("2000::/15", "line 1, column 1: 2000::/15 is wider than a list may ban (/8; IPv6: /16)"),
            ("\u{1b}[31m\n\u{9b}", "line 1, column 1: `\\u{1b}[31m` is neither an address nor a prefix"),
            ("[\"192.0.2.7\", \"2001:db8::/32\"]", "192.0.2.7/32 2001:db8::/32"),
            (" [\n]", ""),
            ("[\"192.0.2.7\",\n  \"x\"]", "line 2, column 4: `x` is neither an address nor a prefix"),
            ("<html>", "line 1, column 1: `<html>` is neither an address nor a prefix"),
            ("{\"error\":\"no\"}", "line 1, column 1: not the JSON of a list: neither `cidr` nor metadata"),
            ("{\"cidr\":\"x\"}", "line 1, column 10: `x` is neither an address nor a prefix"),
        ] {
            let said = said(text.as_bytes());
            // What stands there at first is what is looked at; the rest of several faults is in the next test.
            assert!(said == expected || said.starts_with(&format!("{expected};")), "{text:?}: {said}");
        }
        assert_eq!(said(drop.as_bytes()), "192.0.2.0/24 2001:db8::/32");
        assert_eq!(said((drop.to_owned() + &metadata(2)).as_bytes()), "192.0.2.0/24 2001:db8::/32");
        assert_eq!(
            said((drop.to_owned() + &metadata(3)).as_bytes()),
            "line 3, column 1: 3 records are said to be there, and 2 are: did the download break off?"
        );
        let cut = drop.get(..drop.len() - 5).unwrap();
        assert!(said(cut.as_bytes()).starts_with("line 2, column "), "{}", said(cut.as_bytes()));
    }

    #[test]
    fn what_ignores_may_be_wide_and_everything_is_told() {
        let parsed = parse(b"8.0.0.0/7\n::/0", Width::Any).unwrap();
        assert_eq!(parsed.prefixes.len(), 2);
        assert_eq!(parsed.everything, Some("::/0".parse().unwrap()));
    }

    #[test]
    fn faults_lines_and_entries_are_bounded() {
        let Err(Faulty::Faults(faults, more)) = parse(&b"x\n".repeat(25), Width::Any) else { panic!("all are faults") };
        assert_eq!((faults.len(), more), (FAULTS_MAX, 15));
        assert!(said(&b"1".repeat(LINE_MAX + 1)).contains("longer than 4096 bytes"));
        let text: String = (0..=1_000_000_u32).map(|n| format!("{}\n", std::net::Ipv4Addr::from(n))).collect();
        assert_eq!(parse(text.as_bytes(), Width::Any), Err(Faulty::TooMany));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_reach_a_terminal(bytes in prop::collection::vec(any::<u8>(), 0..200), first in "[\\[{1:]?") {
            let said = said(&[first.as_bytes(), &bytes].concat());
            prop_assert!(!said.chars().any(char::is_control), "{said:?}");
        }

        #[test]
        fn what_is_written_is_read(prefixes in prop::collection::vec((any::<IpAddr>(), 16..=32_u8), 0..20)) {
            let nets: Vec<IpNet> = prefixes.into_iter().map(|(address, length)| IpNet::new(address, length).unwrap().trunc()).collect();
            let text: String = nets.iter().map(|net| format!("{net}\n")).collect();
            let array = serde_json::to_string(&nets.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
            let lines: String = nets.iter().map(|net| format!("{{\"cidr\":\"{net}\"}}\n")).collect();
            for form in [text, array, lines] {
                prop_assert_eq!(parse(form.as_bytes(), Width::Any).unwrap().prefixes, Prefixes::new(nets.clone()));
            }
        }
    }
}
