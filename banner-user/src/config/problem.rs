//! What can be wrong with a configuration: one variant for each thing to say, with its remedy.

use std::{fmt, path::PathBuf};

use super::{address::AddressError, duration::DurationError};
use crate::{catalogue::fail2ban::ReferenceError, event::Escaped};

/// One thing that is wrong or doubtful. [`fmt::Display`] says what; [`Problem::hint`] what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message on each variant says what it is and what its fields are")]
pub enum Problem {
    #[error("cannot read {}: {why}", Escaped(.path.as_os_str().as_encoded_bytes()))]
    Unreadable { path: PathBuf, why: String },
    #[error("{} is larger than {limit} bytes", Escaped(.path.as_os_str().as_encoded_bytes()))]
    TooLarge { path: PathBuf, limit: usize },
    #[error("more than {limit} files in {}", Escaped(.path.as_os_str().as_encoded_bytes()))]
    TooManyFiles { path: PathBuf, limit: usize },
    #[error("not UTF-8")]
    NotText,

    #[error("not TOML: {}", Escaped(.0.as_bytes()))]
    Syntax(String),
    #[error("a value is missing")]
    MissingValue,
    #[error("{0} is not in quotes")]
    Unquoted(Quoted),
    #[error("{0} is set twice in this file")]
    SetTwice(Quoted),
    #[error("unknown key {key}")]
    UnknownKey { key: Quoted, nearest: Option<&'static str>, known: &'static [&'static str] },
    #[error("unknown key {0}")]
    NoDefaults(Quoted),
    #[error("{0} is no table: bans grow by `[increment]`, for all jails")]
    Increment(Quoted),
    #[error("{key} has no effect beside {by}")]
    Overruled { key: Quoted, by: Quoted },
    #[error("{key} does not belong here")]
    MisplacedKey { key: Quoted, home: &'static str },
    #[error("{key} is {found}")]
    WrongType { key: Quoted, found: &'static str, expected: &'static str },

    #[error("{key} is out of range")]
    OutOfRange { key: Quoted, least: String, most: String },
    #[error("{key}: {error}")]
    Duration { key: Quoted, error: DurationError, or: &'static str },
    #[error("{value}: {error}")]
    Address { value: Quoted, error: AddressError },
    #[error("{key} cannot be {value}")]
    NoSuchChoice { key: Quoted, value: Quoted, choices: &'static str },
    #[error("unknown {what} {name}")]
    UnknownName { what: &'static str, name: Quoted, nearest: Option<Quoted>, known: String },
    #[error("{name}: {error}")]
    Fail2ban { name: Quoted, error: ReferenceError },
    #[error("{0} is empty")]
    Empty(Quoted),
    #[error("{0} is listed twice")]
    ListedTwice(Quoted),
    #[error("{0} is not an absolute path")]
    RelativePath(Quoted),
    #[error("{0} has a NUL byte")]
    NulInPath(Quoted),
    #[error("the path of {key} is too long")]
    LongPath { key: Quoted, limit: usize },
    #[error("{0} cannot be the name of an interface")]
    InterfaceName(Quoted),
    #[error("`auto` cannot be in a list of interfaces")]
    AutoInList,
    #[error("{0} cannot be a name")]
    Name(Quoted),
    #[error("more than {limit} services, the built-in ones included")]
    TooManyServices { limit: usize },
    #[error("{0} cannot be a trap")]
    Trap(Quoted),
    #[error("more than {limit} traps")]
    TooManyTraps { limit: usize },
    #[error("jail {jail} has no {key}")]
    MissingKey { jail: Quoted, key: &'static str, example: &'static str },
    #[error("list {list} has no {key}")]
    ListWithout { list: Quoted, key: &'static str, example: &'static str },
    #[error("there are two jails {0}, since the filters of a jail that only observe are one of their own")]
    TwoJails(Quoted),
    #[error("{0} means nothing for a list of what is never banned")]
    OnlyForBans(Quoted),
    #[error("more than {limit} lists")]
    TooManyLists { limit: usize },
    #[error("unknown time zone {0}")]
    TimeZone(Quoted),

    #[error("{}: {name} is the name of a built-in filter", Escaped(.path.as_os_str().as_encoded_bytes()))]
    BuiltInFilter { path: PathBuf, name: Quoted },
    #[error("{}: {name} cannot be the name of a filter", Escaped(.path.as_os_str().as_encoded_bytes()))]
    FilterName { path: PathBuf, name: Quoted },
    #[error("filter {name}: {fault}")]
    Filter { name: Quoted, fault: String, remedy: String },
    #[error("{fault}")]
    NoFilter { fault: String },

    #[error("a ban by {key} is of more than a /{wide}")]
    WidePrefix { key: Quoted, wide: u8 },
    #[error("prefixes of IPv6 are never banned: a source is a /{ipv6_prefix}, and no narrower than a /{ipv6}")]
    NoNeighbours { ipv6: u8, ipv6_prefix: u8 },
    #[error("a ban is shorter than the time in which failures are counted")]
    ShortBan,
    #[error("no enabled jail uses the filter {0}")]
    UnusedFilter(Quoted),
    #[error("no filter of any jail tells of logins: `[customers]` and `[fuse]` spare nobody{}", do_nothing(.idle))]
    NoLogins { idle: Vec<&'static str> },
    #[error("`[customers]` is off{}", do_nothing(.idle))]
    NoCustomers { idle: Vec<&'static str> },
    #[error("no jail is enabled: nothing will be banned")]
    NoJail,
    #[error("jail {0} is off unless it says `enabled`")]
    Off(Quoted),
    #[error("{0} has the journal and files: a failure that is written to both counts twice")]
    JournalAndFiles(Quoted),
    #[error("{0} is every address: none of its family will be banned")]
    IgnoresAll(Quoted),
    #[error("{typed} has bits beyond its prefix: it covers {covers}")]
    HostBits { typed: Quoted, covers: String },
}

impl Problem {
    /// What to do about it, in a few words; it stands under the place.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path, and whether you are root".to_owned(),
            Self::TooLarge { .. } => "a configuration is text of a few kilobytes: is this the right file?".to_owned(),
            Self::TooManyFiles { .. } => "merge some".to_owned(),
            Self::NotText => "save the file as UTF-8".to_owned(),
            Self::Syntax(_) => String::new(),
            Self::MissingValue => "write it behind the `=`".to_owned(),
            Self::Unquoted(text) => match text.0.as_str() {
                "yes" | "on" => "write `true`".to_owned(),
                "no" | "off" => "write `false`".to_owned(),
                text => format!("write \"{text}\""),
            },
            Self::SetTwice(_) => "remove one of the two".to_owned(),
            Self::MisplacedKey { home, .. } => format!("it belongs {home}"),
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownKey { nearest: None, known, .. } => format!("known here: {}", known.join(", ")),
            Self::NoDefaults(_) => {
                "nothing is set here for all jails at once: write it in each `[jail.NAME]`".to_owned()
            }
            Self::Increment(_) => "write `bantime = \"10m\"` here, and for fail2ban's `bantime.factor`, `.multipliers`, `.maxtime` \
                 and `.rndtime` the keys `factor` (of the ban before), `multipliers`, `maxtime` and `rndtime` in `[increment]`"
                .to_owned(),
            Self::Overruled { .. } => "remove one of the two".to_owned(),
            Self::WrongType { expected, .. } => format!("expected {expected}"),
            Self::OutOfRange { least, most, .. } => format!("expected {least} to {most}"),
            Self::Duration { error, or, .. } => format!("{}{or}", error.hint()),
            Self::Address { error, .. } => error.hint().to_owned(),
            Self::NoSuchChoice { choices, .. } => format!("expected {choices}"),
            Self::UnknownName { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Self::UnknownName { nearest: None, known, .. } => format!("known: {}", Escaped(known.as_bytes())),
            Self::Fail2ban { .. } => "write \"fail2ban:/etc/fail2ban/filter.d/NAME.conf[mode=aggressive]\"".to_owned(),
            Self::Empty(_) => "name at least one, or leave the key out for the default".to_owned(),
            Self::ListedTwice(_) => "remove one".to_owned(),
            Self::RelativePath(_) => "start it with `/`".to_owned(),
            Self::NulInPath(_) => "no path has one".to_owned(),
            Self::LongPath { limit, .. } => format!("at most {limit} bytes"),
            Self::InterfaceName(_) => "1 to 15 bytes, without `/`, `:` and spaces".to_owned(),
            Self::AutoInList => "write `interface = \"auto\"`, or names only".to_owned(),
            Self::Name(_) => "1 to 32 letters, digits, `-` and `_`".to_owned(),
            Self::TooManyServices { .. } => "give one service several ports: `web = [80, 443]`".to_owned(),
            Self::Trap(_) => "1 to 64 bytes, `*` for any text, and not only that".to_owned(),
            Self::TooManyTraps { .. } => "join some with a `*`: \"old-*@example.org\"".to_owned(),
            Self::TwoJails(_) => "give the other jail another name".to_owned(),
            Self::OnlyForBans(_) => "remove it, or write `action = \"ban\"`".to_owned(),
            Self::TooManyLists { .. } => "join some of their files".to_owned(),
            Self::MissingKey { example, .. } | Self::ListWithout { example, .. } => format!("add `{example}`"),
            Self::TimeZone(_) => {
                "write a name like \"Europe/Berlin\" (tzdata must be installed), or \"system\"".to_owned()
            }
            Self::BuiltInFilter { .. } => "rename the file, and name that in the jails that are to use it".to_owned(),
            Self::FilterName { .. } => "rename the file: 1 to 32 letters, digits, `-` and `_`, then `.toml`".to_owned(),
            Self::Filter { remedy, .. } => remedy.clone(),
            Self::NoFilter { .. } => String::new(),
            Self::WidePrefix { wide, .. } => {
                format!("a few attackers would take thousands of networks with them: write {wide} or more")
            }
            Self::NoNeighbours { ipv6_prefix, .. } => {
                format!("write `ipv6` below {ipv6_prefix} in `[prefixes]`, or raise `ipv6_prefix`")
            }
            Self::ShortBan => "who was banned is free to go on: make `bantime` at least as long as `findtime`".to_owned(),
            Self::UnusedFilter(_) => "name it under `filter` in a jail, or remove its file".to_owned(),
            Self::NoLogins { .. } => "name banner's own filter of your server, such as `postfix-sasl` or `dovecot`, or set \
                 `enabled = false` in `[customers]` and these; bans grow all the same by `without_logins = true` in `[increment]` \
                 and `[recidive]`"
                .to_owned(),
            Self::NoCustomers { .. } => "set `enabled = false` in these too, or leave `[customers]` on; bans grow all the same by \
                 `without_logins = true` in `[increment]` and `[recidive]`"
                .to_owned(),
            Self::NoJail => "set `enabled = true` in a jail".to_owned(),
            Self::Off(_) => "add `enabled = true`, or `enabled = false`".to_owned(),
            Self::JournalAndFiles(_) => {
                "keep one, unless the files have only what the journal has not (Postfix's `maillog_file`)".to_owned()
            }
            Self::IgnoresAll(_) => "remove it".to_owned(),
            Self::HostBits { covers, .. } => format!("write `{covers}`, or the address alone"),
        }
    }
}

/// Which tables of the configuration have no effect, as the rest of a sentence.
fn do_nothing(tables: &[&str]) -> String {
    match tables {
        [] => String::new(),
        [table] => format!(", and `[{table}]` does nothing"),
        tables => format!(", and `[{}]` do nothing", tables.join("]`, `[")),
    }
}

/// Text as it was typed, made safe to print: escaped, and cut after [`Quoted::LONGEST`] characters. Shown in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// What is shown of a text, in characters.
    pub const LONGEST: usize = 64;

    /// Escapes and cuts.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let mut characters = typed.chars();
        let start: String = characters.by_ref().take(Self::LONGEST).collect();
        let rest = if characters.next().is_some() { "..." } else { "" };
        Self(format!("{}{rest}", Escaped(start.as_bytes())))
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}
