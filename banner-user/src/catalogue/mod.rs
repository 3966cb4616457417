//! Filters by their names: those that are built in, and the operator's own files. This is where filters meet the file
//! system; what they find is `detect`'s.
//!
//! | name | what it stands for |
//! | --- | --- |
//! | `cyrus` | the built-in filter of this name |
//! | `mine` | `filters.d/mine.toml`, beside the main configuration file |
//! | `fail2ban:/PATH/NAME.conf[mode=aggressive]` | fail2ban's filter in this file, with these options |

pub mod fail2ban;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;

use self::fail2ban::{ImportError, Reference};
use crate::{
    config::{Config, DEFAULT_PATH},
    detect::{Detector, Filter, FilterError},
    event::Escaped,
};

/// The directory of the operator's filters, beside the main configuration file.
const DIRECTORY: &str = "filters.d";
/// The largest filter that is read, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// Where filters are looked for.
#[derive(Clone, Debug)]
pub struct Catalogue {
    directory: PathBuf,
}

/// Why a filter cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The file or the directory of filters cannot be read.
    #[error("cannot read {}: {why}", Escaped(.path.as_os_str().as_encoded_bytes()))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
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

    /// Every name that a jail can refer to, but for fail2ban's filters: those are files of any place.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn names(&self) -> Result<Vec<String>, CatalogueError> {
        let mut names: Vec<String> = Filter::built_in_names().map(str::to_owned).collect();
        names.extend(self.own_names()?);
        Ok(names)
    }

    /// The filter of a name.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn filter(&self, name: &str) -> Result<Filter, CatalogueError> {
        if let Some(reference) = Reference::parse(name) {
            let filter = reference.map_err(ImportError::from).and_then(|reference| fail2ban::filter(name, reference));
            return filter.map_err(|error| CatalogueError::Import { name: name.to_owned(), error });
        }
        let path = self.directory.join(format!("{name}.toml"));
        if Filter::built_in_names().any(|known| known == name) || !path.exists() {
            return Ok(Filter::built_in(name)?);
        }
        Ok(Filter::parse(name, &read(&path)?)?)
    }

    /// A detector with the filters of all jails.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn detector(&self, config: &Config) -> Result<Detector, CatalogueError> {
        let mut names: Vec<&str> =
            config.policy.jails.iter().flat_map(|jail| &jail.filters).map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        let filters = names.into_iter().map(|name| self.filter(name)).collect::<Result<_, _>>()?;
        Ok(Detector::new(filters, config.time_zone.clone().unwrap_or_else(TimeZone::system)))
    }

    fn own_names(&self) -> Result<Vec<String>, CatalogueError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&self.directory, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| unreadable(&self.directory, &error))?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".toml")).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(SIZE_MAX as u64).read_to_string(&mut text))
        .map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

fn unreadable(path: &Path, why: &io::Error) -> CatalogueError {
    CatalogueError::Unreadable { path: path.to_owned(), why: why.to_string() }
}
