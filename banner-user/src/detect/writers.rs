//! Whose entries of the systemd journal a filter believes.
//!
//! ```toml
//! [journal]
//! accounts = ["postfix"]                 # these and root; without it root and every account of the system
//! executables = ["smtpd"]                # the program's file name, where journald knows it
//! units = ["*postfix*.service"]          # its unit, where journald knows it
//! ```
//!
//! What a line calls its program is anybody's claim: `logger -t postfix/smtpd` is no mail server. So an entry counts only
//! where its account fits, and its executable and its unit too, as far as they are there: journald looks them up in /proc,
//! where a process that has ended is found no more. The account is the one thing that is certain (SCM_CREDENTIALS of unix(7)),
//! and is always there.
//!
//! Names can have `*`, `?` and `[..]`. A list that is not there, or is empty, leaves its side open: any executable, any unit.
//! Of accounts it is root and those of the system that are left then, which no person logs in to: 1 to 999, where packages make
//! theirs (login.defs(5)), and 61184 to 65519, where systemd makes those of units with `DynamicUser=`. This is also what
//! filters of fail2ban are believed by.

use std::{fmt, ops::RangeInclusive};

use glob::Pattern;
use serde::Deserialize;

use crate::event::{Escaped, FilterName, Writer};

/// Accounts of the system (login.defs(5), systemd's UIDS-GIDS document).
const SYSTEM: [RangeInclusive<u32>; 2] = [0..=999, 61_184..=65_519];

/// The key `journal` of a filter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Writers {
    accounts: Vec<String>,
    executables: Vec<Name>,
    units: Vec<Name>,
}

/// A name, as a shell pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(Pattern);

/// What of a writer does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its account.
    Account,
    /// Its program.
    Executable,
    /// Its unit.
    Unit,
}

impl Writers {
    /// Why an entry of this writer is not believed; none where it is.
    pub(super) fn doubt(&self, writer: &Writer<'_>) -> Option<Doubt> {
        let is_named = || writer.account.is_some_and(|account| self.accounts.iter().any(|known| known == account));
        let is_believed = match writer.uid {
            Some(0) => true,
            Some(uid) if self.accounts.is_empty() => SYSTEM.iter().any(|accounts| accounts.contains(&uid)),
            Some(_) => is_named(),
            None => false,
        };
        let fits = |names: &[Name], text: Option<&[u8]>| {
            names.is_empty() || text.is_none_or(|text| names.iter().any(|name| name.matches(text)))
        };
        if !is_believed {
            Some(Doubt::Account)
        } else if !fits(&self.executables, writer.executable.map(file_name)) {
            Some(Doubt::Executable)
        } else if !fits(&self.units, writer.unit) {
            Some(Doubt::Unit)
        } else {
            None
        }
    }

    /// Whether entries of this unit can be believed at all.
    pub(super) fn reads_unit(&self, unit: &[u8]) -> bool {
        self.units.is_empty() || self.units.iter().any(|name| name.matches(unit))
    }
}

impl Name {
    fn matches(&self, text: &[u8]) -> bool {
        str::from_utf8(text).is_ok_and(|text| self.0.matches(text))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Pattern::new(&text)
            .map(Self)
            .map_err(|error| format!("`{}` is not a pattern: {}", Escaped(text.as_bytes()), error.msg))
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Entries that look like a server's, and that somebody else wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The filter that would have read them.
    pub filter: FilterName,
    /// What does not fit.
    pub doubt: Doubt,
    /// Whose they are, of the first of them: an account, an executable or a unit, escaped.
    pub writer: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filter, doubt, writer } = self;
        let filter = Escaped(filter.as_bytes());
        write!(f, "the journal has entries that look like those of filter `{filter}`, and were written by ")?;
        match doubt {
            Doubt::Account => write!(f, "the account {writer}")?,
            Doubt::Executable => write!(f, "the program {writer}")?,
            Doubt::Unit => write!(f, "the unit {writer}")?,
        }
        f.write_str(
            ", which is not that server's: they do not count, since anybody can write such a line. If it is the server's, take a \
             filter of your own that names it under `[journal]`",
        )
    }
}

/// What was refused, and what of it was told: of each filter each doubt once.
#[derive(Debug, Default)]
pub(super) struct Refused {
    entries: u64,
    told: Vec<(FilterName, Doubt)>,
    untold: Vec<Refusal>,
}

impl Refused {
    pub(super) fn note(&mut self, filter: &FilterName, doubt: Doubt, writer: &Writer<'_>) {
        self.entries = self.entries.saturating_add(1);
        if self.told.iter().any(|(name, told)| name == filter && *told == doubt) {
            return;
        }
        self.told.push((filter.clone(), doubt));
        let text = |bytes: Option<&[u8]>| Escaped(bytes.unwrap_or_default()).to_string();
        let account = match (writer.account, writer.uid) {
            (Some(name), Some(uid)) => format!("{} (UID {uid})", Escaped(name.as_bytes())),
            (_, Some(uid)) => format!("with the UID {uid}"),
            (_, None) => "of nobody".to_owned(),
        };
        let writer = match doubt {
            Doubt::Account => account,
            Doubt::Executable => text(writer.executable),
            Doubt::Unit => text(writer.unit),
        };
        self.untold.push(Refusal { filter: filter.clone(), doubt, writer });
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn take_untold(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.untold)
    }

    /// Counts on from a detector that ran before. What is told is told again: filters may be others.
    pub(super) fn continue_from(&mut self, former: &Self) {
        self.entries = former.entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writers(text: &str) -> Writers {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn who_is_believed_is_a_table() {
        let postfix = writers("accounts=['postfix']\nexecutables=['smtpd']\nunits=['*postfix*.service']");
        let open = Writers::default();
        let server = Writer {
            uid: Some(106),
            account: Some("postfix"),
            executable: Some(b"/usr/lib/postfix/sbin/smtpd"),
            unit: Some(b"postfix@-.service"),
        };
        let root = Writer { uid: Some(0), account: Some("root"), ..server };
        let person = Writer { uid: Some(1000), account: Some("alice"), ..server };
        let other = Writer { uid: Some(33), account: Some("www-data"), ..server };
        let unknown = Writer { account: None, ..server };
        let nobody = Writer { uid: None, ..server };
        for (writers, writer, expected) in [
            (&postfix, server, None),
            (&postfix, root, None),
            // A process that was gone when journald looked.
            (&postfix, Writer { executable: None, unit: None, ..server }, None),
            (&postfix, person, Some(Doubt::Account)),
            (&postfix, other, Some(Doubt::Account)),
            (&postfix, unknown, Some(Doubt::Account)),
            (&postfix, nobody, Some(Doubt::Account)),
            (&postfix, Writer { executable: None, unit: None, ..person }, Some(Doubt::Account)),
            (&postfix, Writer { executable: Some(b"/usr/bin/logger"), ..root }, Some(Doubt::Executable)),
            (&postfix, Writer { executable: Some(b"/home/alice/smtpd/x"), ..server }, Some(Doubt::Executable)),
            (&postfix, Writer { executable: Some(b"\xff"), ..root }, Some(Doubt::Executable)),
            (&postfix, Writer { unit: Some(b"session-1.scope"), ..root }, Some(Doubt::Unit)),
            (&postfix, Writer { unit: Some(b"cron.service"), ..server }, Some(Doubt::Unit)),
            // Nothing is named: accounts of the system.
            (&open, root, None),
            (&open, other, None),
            (&open, unknown, None),
            (&open, Writer { uid: Some(999), account: None, ..server }, None),
            (&open, Writer { uid: Some(62_000), account: None, ..server }, None),
            (&open, Writer { uid: Some(1000), ..server }, Some(Doubt::Account)),
            (&open, Writer { uid: Some(65_534), account: Some("nobody"), ..server }, Some(Doubt::Account)),
            (&open, Writer { uid: Some(u32::MAX), ..server }, Some(Doubt::Account)),
            (&open, nobody, Some(Doubt::Account)),
        ] {
            assert_eq!(writers.doubt(&writer), expected, "{writers:?} {writer:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_pattern_is_refused() {
        let error = toml::from_str::<Writers>("units=['a**']").unwrap_err();
        assert!(error.to_string().contains("`a**` is not a pattern"), "{error}");
        assert!(toml::from_str::<Writers>("unit=['a']").is_err());
    }

    #[test]
    fn each_doubt_is_told_once_and_everything_counted() {
        let (mut refused, filter) = (Refused::default(), FilterName::from("mine"));
        let writer = Writer { uid: Some(1000), account: Some("al\x1bice"), executable: Some(b"/x\n"), unit: None };
        for doubt in [Doubt::Account, Doubt::Account, Doubt::Executable] {
            refused.note(&filter, doubt, &writer);
        }
        let told: Vec<_> = refused.take_untold().iter().map(|refusal| refusal.writer.clone()).collect();
        assert_eq!(told, ["al\\u{1b}ice (UID 1000)", "/x\\n"]);
        refused.note(&filter, Doubt::Account, &writer);
        assert_eq!((refused.entries(), refused.take_untold().len()), (4, 0));
    }
}
