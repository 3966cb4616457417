//! Filters by their names: those that are built in, and the operator's own files. This is where filters meet the file
//! system; what they find is `detect`'s.
//!
//! | name | what it stands for |
//! | --- | --- |
//! | `cyrus` | the built-in filter of this name |
//! | `mine` | `filters.d/mine.toml`, beside the main configuration file |
//! | `fail2ban:/PATH/NAME.conf[mode=aggressive]` | fail2ban's filter in this file, with these options |

pub mod fail2ban;

mod own;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use self::{
    fail2ban::{ImportError, Reference},
    own::OwnFilter,
};
use crate::{
    config::{Config, DEFAULT_PATH, Diagnostic, Errors, Problem, Quoted, Severity},
    detect::{Detector, Filter, FilterError},
    event::Escaped,
};

/// The directory of the operator's filters, beside the main configuration file.
const DIRECTORY: &str = "filters.d";

/// Where filters are looked for.
#[derive(Clone, Debug)]
pub struct Catalogue {
    directory: PathBuf,
}

/// Why a filter cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// A filter of the operator's, or the directory of them, with what is wrong and where.
    #[error("{0}")]
    Own(#[from] Errors),
    /// It is no filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A filter of fail2ban that cannot be had.
    #[error("filter `{}`: {error}", Escaped(.name.as_bytes()))]
    Import {
        /// As the jail names it.
        name: String,
        /// Why not.
        error: ImportError,
    },
}

impl Catalogue {
    /// That of a configuration: `filters.d` in the directory of its main file, which is [`DEFAULT_PATH`] where none is named.
    #[must_use]
    pub fn beside(config: Option<&Path>) -> Self {
        Self { directory: config.unwrap_or_else(|| Path::new(DEFAULT_PATH)).with_file_name(DIRECTORY) }
    }

    /// Every name that a jail can refer to, but for fail2ban's filters, which are files of any place; of the operator's filters,
    /// whether they can be used or not.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn names(&self) -> Result<Vec<String>, CatalogueError> {
        let mut names: Vec<String> = Filter::built_in_names().map(str::to_owned).collect();
        for own in self.own_filters()? {
            if !names.contains(&own.name) {
                names.push(own.name);
            }
        }
        Ok(names)
    }

    /// The filter of a name.
    ///
    /// # Errors
    /// There is none, or it cannot be used. Among the operator's there may be one with the name of a built-in filter: nobody
    /// can know which of the two is meant.
    pub fn filter(&self, name: &str) -> Result<Filter, CatalogueError> {
        if let Some(reference) = Reference::parse(name) {
            let filter = reference.map_err(ImportError::from).and_then(|reference| fail2ban::filter(name, reference));
            return filter.map_err(|error| CatalogueError::Import { name: name.to_owned(), error });
        }
        match self.own_filters()?.iter().find(|own| own.name == name) {
            Some(own) => Ok(own.compile()?),
            None => Ok(Filter::built_in(name)?),
        }
    }

    /// What is wrong with any of the operator's filters, used or not, and with those that the jails of a configuration name;
    /// and which of them no jail names.
    #[must_use]
    pub fn check(&self, config: Option<&Config>) -> Vec<Diagnostic> {
        let used = config.map(used);
        let own = match self.own_filters() {
            Ok(own) => own,
            Err(errors) => return errors.iter().cloned().collect(),
        };
        let mut found = Vec::new();
        for own in &own {
            match own.compile() {
                Err(errors) => found.extend(errors.iter().cloned()),
                Ok(_) if used.as_ref().is_none_or(|used| used.contains(&&*own.name)) => {}
                Ok(_) => found.push(Diagnostic {
                    severity: Severity::Warning,
                    problem: Problem::UnusedFilter(Quoted::new(&own.name)),
                    place: None,
                }),
            }
        }
        let mut is_unknown = false;
        let mut tells_logins = false;
        for name in used.unwrap_or_default() {
            match self.filter(name) {
                Ok(filter) => tells_logins |= filter.tells_logins(),
                Err(error) => {
                    is_unknown = true;
                    // What is wrong with the operator's own is said already.
                    if own.iter().all(|own| own.name != name) {
                        found.extend(Errors::from(error).iter().cloned());
                    }
                }
            }
        }
        let wants_logins = |config: &Config| config.policy.customers.is_some() && !config.policy.jails.is_empty();
        if let Some(config) = config.filter(|config| !is_unknown && !tells_logins && wants_logins(config)) {
            let problem = Problem::NoLogins { idle: config.policy.idle_without_logins() };
            found.push(Diagnostic { severity: Severity::Warning, problem, place: None });
        }
        found
    }

    /// The filter in a file, named as the file is without `.toml`.
    ///
    /// # Errors
    /// It cannot be read, or not be used.
    pub fn file(path: &Path) -> Result<Filter, CatalogueError> {
        Ok(OwnFilter::at(path.to_owned()).compile()?)
    }

    /// A detector with the filters of all jails. What they can tell is noted in the policy.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn detector(&self, config: &mut Config) -> Result<Detector, CatalogueError> {
        let filters = used(config).into_iter().map(|name| self.filter(name)).collect::<Result<Vec<_>, _>>()?;
        for jail in &mut config.policy.jails {
            let is_its = |filter: &&Filter| jail.filters.contains(filter.name());
            jail.hears_logins = filters.iter().filter(is_its).any(Filter::tells_logins);
        }
        let detector = Detector::new(filters, config.time_zone.clone().unwrap_or_else(TimeZone::system));
        if let Some(fuse) = &mut config.policy.fuse {
            fuse.without_logins = detector.without_logins().cloned().collect();
        }
        Ok(detector)
    }

    fn own_filters(&self) -> Result<Vec<OwnFilter>, Errors> {
        own::list(&self.directory)
    }
}

/// The filters that the enabled jails name, each once.
fn used(config: &Config) -> Vec<&str> {
    let mut names: Vec<&str> = config.policy.jails.iter().flat_map(|jail| &jail.filters).map(|name| &**name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl From<CatalogueError> for Errors {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Own(errors) => errors,
            CatalogueError::Filter(_) | CatalogueError::Import { .. } => {
                let problem = Problem::NoFilter { fault: Escaped(error.to_string().as_bytes()).to_string() };
                Self::from(Diagnostic { severity: Severity::Error, problem, place: None })
            }
        }
    }
}
