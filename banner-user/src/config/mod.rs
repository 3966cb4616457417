//! What an operator configures: what was typed becomes what it means, once, here.
//!
//! Files are merged into one tree that knows its places (`document`), values are taken out of it as the types that they must
//! have (`read`), and everything wrong is reported at once, with file, line, column and remedy ([`Problem`]). Whoever uses a
//! [`Config`] has nothing left to check.
//!
//! # Which file wins
//! The main file is read first, then the files beside it in `banner.d`, in the order of their names. Tables are merged by key; a
//! key set in several files has the value of the last. Lists are not joined: the last file's list is the list.

mod accounts;
pub(crate) mod address;
mod customers;
mod diagnostic;
mod document;
pub mod duration;
mod escalation;
mod files;
mod findings;
mod jail;
mod list;
mod prefixes;
mod problem;
mod read;
mod root;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use self::findings::Findings;
pub use self::{
    address::AddressError,
    diagnostic::{Diagnostic, Errors, Place, Severity},
    duration::DurationError,
    files::DEFAULT_PATH,
    list::List,
    problem::{Problem, Quoted},
};
pub(crate) use self::{
    files::{drop_ins, open, text},
    jail::is_name,
};
use crate::{
    enforce::{
        host::Interfaces,
        kernel::{Attach, MapSizes},
    },
    judge::policy::{Accounts, Customers, Fuse, Increment, Policy, Prefixes, Spraying},
    service::Services,
};

/// Everything that was configured, checked. [`Config::default`] is what no configuration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the program is attached.
    pub interface: Interfaces,
    /// How.
    pub attach: Attach,
    /// The control socket. Absolute, at most [`SOCKET_PATH_MAX`] bytes.
    pub socket: PathBuf,
    /// The directory for what outlives the machine. Absolute.
    pub state_dir: PathBuf,
    /// The directory on bpffs below which the versioned one with maps and links lies. Absolute.
    pub bpffs: PathBuf,
    /// The zone of log stamps that have none; the machine's own where none is configured.
    pub time_zone: Option<TimeZone>,
    /// How many entries the kernel's maps hold.
    pub map_sizes: MapSizes,
    /// How long bans that have ended are remembered.
    pub history: crate::state::Limits,
    /// Names and ports of services.
    pub services: Services,
    /// What the judge goes by. Jails stand in the order in which they are first named; only enabled ones are there.
    pub policy: Policy,
    /// Files of prefixes that are banned or ignored, in the order in which they are first named.
    pub lists: Vec<List>,
    /// What can be used but is probably not what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// The longest path of a unix socket: `sun_path` without its final NUL (unix(7)).
pub const SOCKET_PATH_MAX: usize = 107;

/// Sees that a file is TOML, whatever it says.
///
/// # Errors
/// Every place where it is not.
pub(crate) fn check_toml(file: &(PathBuf, String)) -> Result<(), Errors> {
    let files = std::slice::from_ref(file);
    let mut findings = Findings::new(files);
    document::parse(files, &mut findings);
    findings.check()
}

impl Default for Config {
    fn default() -> Self {
        let services = Services::default();
        Self {
            interface: Interfaces::Auto,
            attach: Attach::Auto,
            socket: PathBuf::from("/run/banner/banner.sock"),
            state_dir: PathBuf::from("/var/lib/banner"),
            bpffs: PathBuf::from("/sys/fs/bpf/banner"),
            time_zone: None,
            map_sizes: MapSizes { bans_v4: 262_144, bans_v6: 131_072, prefixes: 65_536 },
            history: crate::state::Limits::default(),
            policy: Policy {
                customers: Some(Customers::default()),
                fuse: Some(Fuse::default()),
                increment: Some(Increment::default()),
                recidive: Some(escalation::default_recidive(&services)),
                prefixes: Some(Prefixes::default()),
                accounts: Some(Accounts::default()),
                spraying: Some(Spraying::default()),
                ..Policy::plain(vec![jail::default(jail::DEFAULT, &services)])
            },
            services,
            lists: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads `path`, or [`DEFAULT_PATH`], and the files of the directory beside it that is named `.d` instead of `.toml`. The
    /// default file may be missing; a named one may not. Filters can be those of `known_filters`.
    ///
    /// # Errors
    /// Everything that is wrong: with the files, else with TOML, else with what it says.
    pub fn load(path: Option<&Path>, known_filters: &[String]) -> Result<Self, Errors> {
        Self::parse(&files::read(path)?, known_filters)
    }

    /// What these files mean, given in the order in which they were read. Pure, but for the names of time zones, which the
    /// machine knows.
    ///
    /// # Errors
    /// Everything that is wrong: with TOML, else with what it says.
    pub fn parse(files: &[(PathBuf, String)], known_filters: &[String]) -> Result<Self, Errors> {
        let mut findings = Findings::new(files);
        let documents = document::parse(files, &mut findings);
        findings.check()?;
        let mut config = root::read(document::merge(&documents), known_filters, &mut findings);
        config.warnings = findings.finish()?;
        Ok(config)
    }
}
